"""Resolve: the one step before admission that may touch the world. Tags become digests, env values are sealed."""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from msgspec.structs import replace

from capsule.v1 import workload_pb2 as pb
from capsuled.sealing import PREFIX
from capsuled.wire import Parsed, is_sealed, parse_workload
from effects.images.protocol import ImageStore
from journal.specs import ContainerSpec, ImagePin, SealedEnv
from projections.abilities import UNKNOWN, Abilities
from projections.intents import Apply, Declared, DeclaredVolume
from projections.refusals import Refusal, about, invalid
from projections.state import Machine


class Sealer(Protocol):
    """What keeps values out of the journal."""

    def name_of(self, value: str) -> str:
        """The keyed hash that stands for `value`."""
        ...

    def seal(self, value: str) -> str:
        """Keep `value` and return its name."""
        ...


class Resolver:
    """Turns requests into intents that admission can judge without looking at anything.

    `subnet` is the bridge's, `abilities` what the machine has for containers, `exists` whether it has a path.
    """

    def __init__(
        self,
        images: ImageStore,
        vault: Sealer,
        subnet: str,
        abilities: Abilities = UNKNOWN,
        exists: Callable[[str], bool] = os.path.exists,
    ) -> None:
        self._images = images
        self._vault = vault
        self._subnet = subnet
        self._abilities = abilities
        self._exists = exists

    async def apply(
        self,
        machine: Machine,
        messages: Sequence[pb.Workload],
        volumes: Sequence[DeclaredVolume] = (),
        *,
        expect_seq: int | None,
        pull: bool,
        dry: bool,
    ) -> Apply | Refusal:
        """The intent, or what is wrong with the request. `dry`: hash env values, but keep nothing."""
        parsed: list[Parsed] = []
        for message in messages:
            one = parse_workload(message)
            if isinstance(one, Refusal):
                return about(message.name, one) if len(messages) > 1 else one
            parsed.append(one)
        declared: list[Declared] = []
        for one in parsed:
            env = self._environment(machine, one, dry)
            if isinstance(env, Refusal):
                return env
            pin = await self._pin(machine, one.declared, pull)
            absent = tuple(named for named in _host_paths(one.declared.spec) if not self._exists(named[0]))
            cached = pin is not None and pin.index_digest in machine.cached
            spec = replace(one.declared.spec, env=env)
            declared.append(replace(one.declared, resolved=pin, cached=cached, spec=spec, absent_paths=absent))
        return Apply(tuple(declared), expect_seq, pull, self._subnet, self._abilities, tuple(volumes))

    def _environment(self, machine: Machine, parsed: Parsed, dry: bool) -> tuple[SealedEnv, ...] | Refusal:
        before = machine.workloads.get(parsed.declared.name)
        known = {} if before is None else {variable.sealed: variable for variable in before.spec.env}
        sealed: list[SealedEnv] = []
        for name, value in parsed.env:
            if is_sealed(value):
                kept = known.get(value.removeprefix(PREFIX))
                if kept is None:
                    return invalid(
                        "UNKNOWN_SEALED_VALUE",
                        f"{parsed.declared.name} has no such sealed value to keep: give the value itself",
                        f"container.env.{name}",
                    )
                sealed.append(replace(kept, name=name))
            else:
                reference = self._vault.name_of(value) if dry else self._vault.seal(value)
                sealed.append(SealedEnv(name, reference, len(value.encode())))
        return tuple(sealed)

    async def _pin(self, machine: Machine, declared: Declared, pull: bool) -> ImagePin | None:
        before = machine.workloads.get(declared.name)
        if before is not None and before.spec.image.ref == declared.image_ref and not pull:
            return before.spec.image  # pinned: nobody has to be asked
        found = await self._images.resolve(declared.image_ref)
        if found is None or machine.leaving.keys() & {declared.image_ref, found.index_digest}:
            return None
        return ImagePin(declared.image_ref, found.index_digest, found.platform_digest)


def _host_paths(spec: ContainerSpec) -> Iterator[tuple[str, str]]:
    """The machine's paths that a spec binds, each with the field that names it."""
    for number, path in enumerate(spec.host_bind_paths):
        yield path, f"container.hostBindPaths[{number}]"
    for number, bind in enumerate(spec.host_binds):
        yield bind.source, f"container.hostBinds[{number}].source"
