"""Resolve: the one step before admission that may touch the world. Tags become digests, env values are sealed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import msgspec
from msgspec.structs import replace

from capsule.v1 import workload_pb2 as pb
from capsuled.rpc import status_of_error
from capsuled.sealing import PREFIX
from capsuled.wire import Parsed, is_sealed, parse_workload
from effects.errors import DriverError, RegistryUnreachable
from effects.host_paths import HostPaths, Seen
from effects.images.protocol import ImageStore
from effects.images.registry import Registry
from effects.images.retries import retried
from journal.specs import ContainerSpec, ImagePin, SealedEnv
from projections.abilities import UNKNOWN, Abilities
from projections.host_network import UNSEEN, HostNetwork
from projections.intents import Apply, Declared, DeclaredVolume
from projections.refusals import Refusal, about, in_section, invalid, refused
from projections.rights import permit
from projections.state import Machine, Workload

RESOLVE_S = 10.0
"""A client in the field gives a call 30 seconds; it must hear why before it gives up."""
RESOLVE_TRIES = 3
RESOLVES_AT_ONCE = 8
"""Registries count what they are asked, and throttle who asks too much at a time."""


class Sealer(Protocol):
    """What keeps values out of the journal."""

    def name_of(self, value: str) -> str:
        """The keyed hash that stands for `value`."""
        ...

    def kept(self, values: Sequence[str], names: Set[str] = frozenset()) -> AbstractAsyncContextManager[frozenset[str]]:
        """Inside, `values` are durable, and they and what is kept under `names` stay; it gives those of `names` under
        which nothing is kept that can be opened. Raises DriverError."""
        ...


class Resolved:
    """What a request means: the intent, in which names stand for the env values, and the values themselves, which are
    kept only once it is admitted. No record: it must never be printed."""

    def __init__(self, intent: Apply, values: Sequence[str], vault: Sealer) -> None:
        self.intent = intent
        self._values = values
        self._vault = vault

    @asynccontextmanager
    async def keep(self) -> AsyncIterator[Refusal | None]:
        """Seal what was given; what is only named must still be there, and open. See Engine.call."""
        given = {self._vault.name_of(value) for value in self._values}
        variables = [(declared, one) for declared in self.intent.workloads for one in declared.spec.env]
        async with self._vault.kept(self._values, {one.sealed for _, one in variables} - given) as gone:
            lacking = next(((of.name, one.name, of.kind) for of, one in variables if one.sealed in gone), None)
            yield None if lacking is None else in_section(lacking[2], _unknown(*lacking[:2]))


class Resolver:
    """Turns requests into intents that admission can judge without looking at anything.

    `subnet` is the bridge's, `abilities` what the machine has for containers, `paths` looks at its paths, `look` tells
    who has which of its ports.
    """

    def __init__(
        self,
        images: ImageStore,
        registry: Registry,
        vault: Sealer,
        subnet: str,
        abilities: Abilities = UNKNOWN,
        paths: HostPaths | None = None,
        look: Callable[[], Awaitable[HostNetwork]] | None = None,
    ) -> None:
        self._images = images
        self._registry = registry
        self._vault = vault
        self._subnet = subnet
        self._abilities = abilities
        self._paths = paths or HostPaths()
        self._look = look

    async def apply(
        self,
        machine: Machine,
        messages: Sequence[pb.Workload],
        volumes: Sequence[DeclaredVolume] = (),
        *,
        role: str,
        expect_seq: int | None,
        pull: bool,
    ) -> Resolved | Refusal:
        """The intent, or what is wrong with the request. Nothing is kept.

        Nothing is looked at for a caller whose role does not suffice: what is there is the answer to a question, too.
        """
        parsed: list[Parsed] = []
        for message in messages:
            one = parse_workload(message)
            if isinstance(one, Refusal):
                return about(message.name, one) if len(messages) > 1 else one
            parsed.append(one)
        denied = permit(role, Apply(tuple(one.declared for one in parsed)))
        if denied is not None:
            return denied
        pins = await self._pins(machine, [one.declared for one in parsed], pull)
        seen = await self._seen(one.declared.spec for one in parsed)
        declared: list[Declared] = []
        for one, pin in zip(parsed, pins, strict=True):
            env = self._environment(machine, one)
            if isinstance(env, Refusal):
                return in_section(one.declared.kind, env)
            spec = replace(one.declared.spec, env=env)
            declared.append(
                replace(
                    one.declared,
                    resolved=pin.pin,
                    unresolved=pin.why,
                    cached=pin.found and pin.pin is not None and pin.pin.index_digest in machine.cached,
                    asked=pin.asked,
                    spec=spec,
                    absent_paths=_absent(spec, seen),
                    silent_paths=_silent(spec, seen),
                )
            )
        host = await self._look() if self._look is not None and _maps_ports(declared) else UNSEEN
        intent = Apply(tuple(declared), expect_seq, pull, self._subnet, self._abilities, host, tuple(volumes))
        values = [value for one in parsed for _, value in one.env if not is_sealed(value)]
        return Resolved(intent, values, self._vault)

    async def again(self, back: Sequence[Workload]) -> Apply:
        """The intent that declares workloads as they were: their values are sealed, their images pinned already."""
        seen = await self._seen(was.spec for was in back)
        declared = tuple(
            Declared(
                name=was.name,
                kind=was.kind,
                spec=was.spec,
                image_ref=was.spec.image.ref,
                resolved=was.spec.image,
                labels=was.labels,
                desired="stopped" if was.desired == "stopped" else "running",
                absent_paths=_absent(was.spec, seen),
                silent_paths=_silent(was.spec, seen),
                depends_on=was.depends_on,
                drift=was.drift,
            )
            for was in back
        )
        host = await self._look() if self._look is not None and _maps_ports(declared) else UNSEEN
        # Not the present pin of the same name, but the one that it had.
        return Apply(declared, None, True, self._subnet, self._abilities, host)

    def keeping(self, intent: Apply) -> "Resolved":
        """An intent whose values are all sealed already, and must still be there."""
        return Resolved(intent, (), self._vault)

    async def _seen(self, specs: Iterable[ContainerSpec]) -> Mapping[str, Seen]:
        """What there is of the machine's paths that specs name."""
        return await self._paths.look(path for spec in specs for path, _ in _host_paths(spec))

    def _environment(self, machine: Machine, parsed: Parsed) -> tuple[SealedEnv, ...] | Refusal:
        before = machine.workloads.get(parsed.declared.name)
        known = {} if before is None else {variable.sealed: variable for variable in before.spec.env}
        sealed: list[SealedEnv] = []
        for name, value in parsed.env:
            if is_sealed(value):
                kept = known.get(value.removeprefix(PREFIX))
                if kept is None:
                    return _unknown(parsed.declared.name, name)
                sealed.append(replace(kept, name=name))
            else:
                sealed.append(SealedEnv(name, self._vault.name_of(value), len(value.encode())))
        return tuple(sealed)

    async def _pins(self, machine: Machine, declared: Sequence[Declared], pull: bool) -> list["_Pin"]:
        """What each workload's image was pinned to, else what its name means now: the same for all of one call, and
        looked up once. All of it within RESOLVE_S, and at few registries at a time."""
        pinned = [None if pull and one.spec.has_image else _pinned(machine, one) for one in declared]
        refs = list(dict.fromkeys(one.image_ref for one, pin in zip(declared, pinned, strict=True) if pin is None))
        at_once, until_s = asyncio.Semaphore(RESOLVES_AT_ONCE), asyncio.get_running_loop().time() + RESOLVE_S
        found = await asyncio.gather(*(self._meaning(machine, ref, pull, at_once, until_s) for ref in refs))
        meanings = dict(zip(refs, found, strict=True))
        return [pin or meanings[one.image_ref] for one, pin in zip(declared, pinned, strict=True)]

    async def _meaning(
        self, machine: Machine, ref: str, pull: bool, at_once: asyncio.Semaphore, until_s: float
    ) -> "_Pin":
        """What an image's name means here, else what its registry says.

        With `pull` the registry is asked although the name means something here; but what was pushed under a name is
        never another image only because a registry has one of that name.
        """
        found = await self._images.resolve(ref)
        if found is not None and not machine.leaving.keys() & {ref, found.index_digest}:
            known = machine.images.get(ref)
            if not pull or "@" in ref or known is None or not known.pulled:
                return _Pin(replace(found.pin, ref=ref), found=True)
        try:
            async with asyncio.timeout_at(until_s), at_once:
                return _Pin(await retried(lambda: self._registry.resolve(ref), RESOLVE_TRIES), asked="@" not in ref)
        except (DriverError, TimeoutError) as error:
            return _Pin(None, why=_refusal(ref, error, here=found is not None))


def _unknown(workload: str, variable: str) -> Refusal:
    words = (
        f"{workload} has no such sealed value to keep: apply it with the value itself. Sealed values go with the "
        "workload when it is deleted, and with its older revisions; one that cannot be opened any more is none"
    )
    return invalid("UNKNOWN_SEALED_VALUE", words, f"container.env.{variable}")


class _Pin(msgspec.Struct, frozen=True):
    """`found` in the image cache, or `asked` of its registry; or None, and `why`."""

    pin: ImagePin | None
    found: bool = False
    asked: bool = False
    why: Refusal | None = None


def _pinned(machine: Machine, declared: Declared) -> _Pin | None:
    """A name that stays what it was stays pinned: nobody has to be asked."""
    if not declared.spec.has_image:
        return _Pin(declared.spec.image)
    before = machine.workloads.get(declared.name)
    if before is None or before.spec.image.ref != declared.image_ref:
        return None
    return _Pin(before.spec.image)


def _refusal(ref: str, error: DriverError | TimeoutError, here: bool) -> Refusal:
    if isinstance(error, TimeoutError):
        error = RegistryUnreachable(f"its registry gave no answer within {RESOLVE_S:g} s")
    code, reason, message, _ = status_of_error(error)
    # What is missing is not the object of the call.
    status = "FAILED_PRECONDITION" if code.name == "NOT_FOUND" else code.name
    if here:
        return refused(status, reason, f"what {ref} means now cannot be asked for: {message}", "container.image")
    words = f"image {ref} is not on this machine, and {message}. `capsulectl image push FILE` brings one from a file"
    return refused(status, reason, words, "container.image")


def _maps_ports(declared: Sequence[Declared]) -> bool:
    return any(one.spec.ports and one.spec.network == "bridge" for one in declared)


def _host_paths(spec: ContainerSpec) -> Iterator[tuple[str, str]]:
    """The machine's paths that a spec binds or boots, each with the field that names it."""
    for number, path in enumerate(spec.host_bind_paths):
        yield path, f"container.hostBindPaths[{number}]"
    for number, bind in enumerate(spec.host_binds):
        yield bind.source, f"container.hostBinds[{number}].source"
    if spec.vm is not None and not spec.has_image:
        yield spec.vm.kernel_path, "container.kernelPath"
        yield spec.vm.rootfs_path, "container.rootfsPath"


def _absent(spec: ContainerSpec, seen: Mapping[str, Seen]) -> tuple[tuple[str, str], ...]:
    """Of a spec's paths, those that are not there."""
    return tuple(named for named in _host_paths(spec) if seen[named[0]] == Seen())


def _silent(spec: ContainerSpec, seen: Mapping[str, Seen]) -> tuple[tuple[str, str], ...]:
    """Of a spec's paths, those that give no answer."""
    return tuple(named for named in _host_paths(spec) if seen[named[0]].silent)
