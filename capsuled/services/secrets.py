"""SecretService: values come in here and are sealed. What leaves again was asked for, and that is a fact."""

import asyncio
from collections.abc import AsyncIterator, Sequence, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from msgspec.structs import replace

from capsule.v1 import secret_pb2 as pb
from capsule.v1.secret_pb2_grpc import SecretServiceServicer
from capsuled.answers import Answers
from capsuled.arguments import arguments_of
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.rpc import Refused, caller_of, refuse
from capsuled.seals import Seals
from capsuled.secrets import is_text, sealed_text, value_of
from capsuled.wire import workload_message
from capsuled.wire_sealed import secret_message
from journal.specs import ContainerSpec
from projections.intents import CreateSecret, RemoveSecret, RevealEnv, RevealSecret, RotateSecret
from projections.refusals import Refusal
from projections.state import Machine


class Keeper(Protocol):
    """What keeps values."""

    def name_of(self, value: str) -> str:
        """The keyed hash that stands for `value`."""
        ...

    def kept(self, values: Sequence[str], names: Set[str] = frozenset()) -> AbstractAsyncContextManager[object]:
        """Inside, `values` are durable, and they and what is kept under `names` stay. Raises DriverError."""
        ...

    def open(self, name: str) -> str:
        """The value behind a name. Raises SealBroken."""
        ...


class SecretService(SecretServiceServicer):
    """See proto/capsule/v1/secret.proto."""

    def __init__(self, engine: Engine, answers: Answers, vault: Keeper, seals: Seals) -> None:
        self._engine = engine
        self._answers = answers
        self._vault = vault
        self._seals = seals

    async def Create(self, request: pb.SecretCreateRequest, context: Any) -> pb.Secret:
        """Sealed, then journaled."""
        text = sealed_text(request.name, request.value)
        name = self._vault.name_of(text)
        intent = CreateSecret(request.name, name, len(request.value), is_text(request.value))
        bare = pb.SecretCreateRequest(name=request.name, value=name.encode())
        return await self._kept(intent, text, _caller(context, "Create", request, bare))

    async def Rotate(self, request: pb.SecretRotateRequest, context: Any) -> pb.Secret:
        """The former value is destroyed once the new one is the secret's, durably."""
        text = sealed_text(request.name, request.value)
        name = self._vault.name_of(text)
        intent = RotateSecret(request.name, name, len(request.value), is_text(request.value))
        bare = pb.SecretRotateRequest(name=request.name, value=name.encode())
        told = await self._kept(intent, text, _caller(context, "Rotate", request, bare))
        await self._seals.sweep()
        return told

    async def _kept(self, intent: CreateSecret | RotateSecret, text: str, caller: Caller) -> pb.Secret:
        @asynccontextmanager
        async def keep() -> AsyncIterator[None]:
            async with self._vault.kept((text,)):
                yield

        answer = await self._answers.call(intent, caller, keep)
        return secret_message(answer.machine, answer.machine.secrets[intent.name])

    async def List(self, request: pb.SecretListRequest, context: Any) -> pb.SecretListResponse:
        """By name."""
        machine = self._engine.machine
        return pb.SecretListResponse(
            secrets=[secret_message(machine, one) for _, one in sorted(machine.secrets.items())]
        )

    async def Reveal(self, request: pb.SecretRevealRequest, context: Any) -> pb.SecretRevealResponse:
        """Journaled, then told. A call that is repeated is told the value that it was told, or that it is gone."""
        known = self._engine.machine.secrets.get(request.name)
        names = frozenset() if known is None else frozenset((known.sealed,))
        async with self._vault.kept((), names):
            answer = await self._answers.call(
                RevealSecret(request.name), caller_of(context, "SecretService.Reveal", request)
            )
            secret, now = answer.machine.secrets[request.name], self._engine.machine.secrets.get(request.name)
            if now is None or now.sealed != secret.sealed:
                words = (
                    f"version {secret.version} of secret {secret.name}, which this call asked for, is destroyed by now"
                )
                refuse("FAILED_PRECONDITION", "VERSION_GONE", words, "name")
            value = value_of(await asyncio.to_thread(self._vault.open, secret.sealed), secret.name)
        return pb.SecretRevealResponse(value=value, version=secret.version, seq=answer.seq)

    async def RevealEnv(self, request: pb.SecretRevealEnvRequest, context: Any) -> pb.SecretRevealEnvResponse:
        """Journaled, then told; repeated, as with Reveal."""
        names = _variables(self._engine.machine, request.name)
        async with self._vault.kept((), names):
            answer = await self._answers.call(
                RevealEnv(request.name), caller_of(context, "SecretService.RevealEnv", request)
            )
            workload = answer.machine.workloads[request.name]
            if not _variables(answer.machine, request.name) <= names:
                words = (
                    f"the environment of {workload.name}'s revision {workload.revision}, which this call asked for, is "
                    "another by now: ask anew"
                )
                refuse("FAILED_PRECONDITION", "VERSION_GONE", words, "name")
            told = workload_message(answer.machine, workload)
            section = told.container if workload.spec.vm is None else told.micro_vm
            section.env.update(await asyncio.to_thread(self._environment, workload.spec))
        return pb.SecretRevealEnvResponse(workload=told, seq=answer.seq)

    def _environment(self, spec: ContainerSpec) -> dict[str, str]:
        return {variable.name: self._vault.open(variable.sealed) for variable in spec.env}

    async def Remove(self, request: pb.SecretRemoveRequest, context: Any) -> pb.SecretRemoveResponse:
        """The value is destroyed before this is answered."""
        outcome = await self._engine.call(
            RemoveSecret(request.name), caller_of(context, "SecretService.Remove", request)
        )
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        await self._seals.sweep()
        return pb.SecretRemoveResponse(seq=outcome.seq)


def _variables(machine: Machine, name: str) -> frozenset[str]:
    """Under which names the values of a workload's environment are sealed."""
    workload = machine.workloads.get(name)
    return frozenset() if workload is None else frozenset(variable.sealed for variable in workload.spec.env)


def _caller(context: Any, method: str, request: Any, bare: Any) -> Caller:
    """The hash of a call's arguments stands in the journal: here of the sealed value's name, not of the value."""
    caller = caller_of(context, f"SecretService.{method}", bare)
    return replace(caller, arguments=arguments_of(request))
