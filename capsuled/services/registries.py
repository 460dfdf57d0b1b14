"""RegistryService: how registries are reached. Passwords come in here and are sealed; none ever leaves."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

from capsule.v1 import registry_pb2 as pb
from capsule.v1.registry_pb2_grpc import RegistryServiceServicer
from capsuled.caller import Caller, Keep, Outcome
from capsuled.engine import Engine
from capsuled.registries import meant_by, sealed_text
from capsuled.rpc import Refused, caller_of, refuse
from capsuled.seals import Seals
from capsuled.wire_sealed import registry_message
from effects.images.reference import is_host, registry_domain
from effects.images.registry import Access, Registry
from projections.intents import ConfigureRegistry, ForgetRegistry
from projections.refusals import Refusal

CA_BYTES = 256 << 10


class Keeper(Protocol):
    """What keeps secrets."""

    def name_of(self, value: str) -> str:
        """The keyed hash that stands for `value`."""
        ...

    def kept(self, values: Sequence[str]) -> AbstractAsyncContextManager[object]:
        """Inside, `values` are durable; afterwards they stay as long as something names them. Raises DriverError."""
        ...


class RegistryService(RegistryServiceServicer):
    """See proto/capsule/v1/registry.proto."""

    def __init__(self, engine: Engine, registry: Registry, vault: Keeper, seals: Seals) -> None:
        self._seals = seals
        self._engine = engine
        self._registry = registry
        self._vault = vault

    async def Login(self, request: pb.RegistryLoginRequest, context: Any) -> pb.RegistryLoginResponse:
        """Tried, sealed, then journaled."""
        _check(request)
        host = registry_domain(request.host)  # one login, whatever spelling images are called by
        text = sealed_text(host, request.username, request.password) if request.username else ""
        intent = ConfigureRegistry(
            host=host,
            username=request.username,
            secret=self._vault.name_of(text) if text else "",
            ca=self._vault.name_of(request.ca_pem) if request.ca_pem else "",
            ca_bytes=len(request.ca_pem.encode()),
            plain_http=request.plain_http,
        )
        # The hash of a call's arguments stands in the journal: here of the sealed value's name, not of the value.
        bare = pb.RegistryLoginRequest(host=intent.host, username=intent.username, password=intent.secret)
        bare.MergeFrom(pb.RegistryLoginRequest(ca_pem=intent.ca, plain_http=intent.plain_http))
        caller = caller_of(context, "RegistryService.Login", bare)
        # A call that was answered before is not tried anew: the registry may be away by now, or the password another.
        if not request.unchecked and await self._engine.answered(caller) is None:
            access = Access(host, request.username, request.password, request.ca_pem, request.plain_http)
            await self._registry.check(access)

        @asynccontextmanager
        async def keep() -> AsyncIterator[None]:
            async with self._vault.kept([value for value in (text, request.ca_pem) if value]):
                yield

        return pb.RegistryLoginResponse(seq=(await self._call(intent, caller, keep)).seq)

    async def Logout(self, request: pb.RegistryLogoutRequest, context: Any) -> pb.RegistryLogoutResponse:
        """The sealed values go once their registry is forgotten, durably."""
        caller = caller_of(context, "RegistryService.Logout", request)
        host = meant_by(self._engine.machine.registries, request.host)
        outcome = await self._call(ForgetRegistry(host), caller)
        return pb.RegistryLogoutResponse(seq=outcome.seq)

    async def List(self, request: pb.RegistryListRequest, context: Any) -> pb.RegistryListResponse:
        """By host."""
        known = self._engine.machine.registries
        return pb.RegistryListResponse(registries=[registry_message(one) for _, one in sorted(known.items())])

    async def _call(
        self, intent: ConfigureRegistry | ForgetRegistry, caller: Caller, keep: Keep | None = None
    ) -> Outcome:
        outcome = await self._engine.call(intent, caller, keep)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        await self._seals.sweep()
        return outcome


def _check(request: pb.RegistryLoginRequest) -> None:
    if not is_host(request.host):
        refuse("INVALID_ARGUMENT", "BAD_HOST", "a registry is called by its host, and a port if it has one", "host")
    if request.plain_http and request.ca_pem:
        refuse("INVALID_ARGUMENT", "BAD_TLS", "a registry without TLS shows no certificate: leave one out", "ca_pem")
    if len(request.ca_pem) > CA_BYTES:
        refuse("INVALID_ARGUMENT", "BAD_CA", "that is more than any certificate authority needs", "ca_pem")
    if bool(request.username) != bool(request.password):
        refuse("INVALID_ARGUMENT", "BAD_CREDENTIALS", "a user needs a password, and a password a user", "username")
    if not (request.username or request.ca_pem or request.plain_http):
        refuse("INVALID_ARGUMENT", "NOTHING_SAID", "say a user, a CA, or that there is no TLS", "username")
