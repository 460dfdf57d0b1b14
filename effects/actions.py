"""Reaching goals: the one place from which drivers are asked to act, and where what came of it becomes events."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager, nullcontext, suppress
from typing import Protocol, assert_never
from weakref import WeakValueDictionary

from effects.errors import ImageMissing, NotRunning, VolumeMissing
from effects.goals import (
    AttachNetwork,
    CleanRun,
    DetachNetwork,
    Effect,
    EnsureImage,
    EnsureNetwork,
    EnsureSecretFiles,
    EnsureVolume,
    MountVolume,
    RemoveSecretFiles,
    RemoveSnapshot,
    RemoveVolume,
    RemoveWorkload,
    RestoreVolume,
    StartRun,
    StopRun,
    TakeSnapshot,
    UnmountVolume,
)
from effects.images.actions import ImageActions
from effects.network.protocol import Link, LinkKind, NetworkDriver
from effects.recorder import Recorder
from effects.runs.by_kind import RunDrivers, driver_of
from effects.runs.guest_protocol import Guests
from effects.runs.protocol import MountedVolume
from effects.runs.translation import run_spec
from effects.secrets.protocol import SecretContent, SecretFilesDriver
from effects.volumes.actions import bring, reach_volume, volume_of
from effects.volumes.protocol import VolumeDriver
from journal.clock import Clock
from journal.events import (
    Event,
    NetworkAttached,
    NetworkDetached,
    NetworkEnsured,
    SecretFilesPlaced,
    SecretFilesRemoved,
    VolumeLost,
    WorkloadRemoved,
)
from journal.specs import Kind, VolumeMount
from projections.network import in_use
from projections.observations import ObservedRun, lost, observe_run
from projections.phases import LIVE, RunPhase

VOLUME = "volume/"
PULLS_AT_ONCE = 3
STARTS_AT_ONCE = 16
"""And clean-ups: what burdens the machine. More at once are not quicker, and starve what serves the API."""
BOOTS_AT_ONCE = 4
"""Of microVMs. A kernel that boots keeps a processor busy, for seconds without KVM, and has a time to be up in: of a
dozen at once on two processors none was."""


class Unsealer(Protocol):
    """What opens sealed values, for the drivers alone. Raises DriverError when one cannot be opened."""

    async def environment(self, goal: StartRun) -> tuple[tuple[str, str], ...]:
        """The environment that a run is given, in clear."""
        ...

    async def files(self, goal: EnsureSecretFiles) -> tuple[SecretContent, ...]:
        """The files that a run is given, in clear."""
        ...


class Actions:
    """Acts through the drivers. `guard` says what of a goal lanes share, and waits for it. Without `guests` nothing can
    be done inside of microVMs. `boots` says of a run (name, uid, number) whether its machine is there, and only waited
    for until its program begins."""

    def __init__(
        self,
        recorder: Recorder,
        runs: RunDrivers,
        network: NetworkDriver,
        volumes: VolumeDriver,
        secrets: SecretFilesDriver,
        images: ImageActions,
        unsealer: Unsealer,
        clock: Clock,
        guests: Guests | None = None,
        boots: Callable[[str, int, int], bool] = lambda name, uid, run: False,
    ) -> None:
        self._recorder = recorder
        self._runs = runs
        self._network = network
        self._volumes = volumes
        self.images = images
        self._pulling = asyncio.Semaphore(PULLS_AT_ONCE)
        self._room = asyncio.Semaphore(STARTS_AT_ONCE)
        self._boots = asyncio.Semaphore(BOOTS_AT_ONCE)
        self._secrets = secrets
        self._unsealer = unsealer
        self._clock = clock
        self._guests = guests
        self._is_booting = boots
        # As long as somebody holds one or waits for it: objects come and go, and their locks with them.
        self._shared: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def guard(self, goal: Effect) -> AbstractAsyncContextManager[object]:
        """What the goal shares with other lanes: the network's rules, a volume, the way to registries, the machine.

        A stop shares nothing while it waits out its grace: many that are stubborn hold up nobody's start.
        """
        match goal:
            case EnsureImage():
                return self._pulling
            case EnsureNetwork():
                return self._lock("rules")
            case MountVolume() | UnmountVolume():
                return self._lock(VOLUME + goal.volume)
            case EnsureVolume() | RemoveVolume() | TakeSnapshot() | RemoveSnapshot() | RestoreVolume():
                return self._lock(VOLUME + goal.name)
            case StartRun() if goal.spec.vm is not None:
                return self._boots
            case AttachNetwork() | DetachNetwork() | StartRun() | CleanRun() | RemoveWorkload():
                return self._room
            case StopRun() | EnsureSecretFiles() | RemoveSecretFiles():
                return nullcontext()
            case _:
                assert_never(goal)

    def may_be_left(self, goal: EnsureImage | StartRun) -> bool:
        """Whether the goal is still being worked for, in a way that can be left at any moment."""
        if isinstance(goal, EnsureImage):
            return self.images.may_be_left(goal)
        return self._is_booting(goal.name, goal.uid, goal.run)

    def _lock(self, name: str) -> asyncio.Lock:
        return self._shared.setdefault(name, asyncio.Lock())

    async def reach(self, goal: Effect, started: int) -> tuple[Event, ...]:
        """Act, and return what is so now. `started` is the entry that began it. Raises DriverError."""
        match goal:
            case EnsureNetwork():
                await self._network.ensure(goal.mappings)
                return (NetworkEnsured(goal.upto, len(goal.mappings)),)
            case AttachNetwork():
                return (await self._attach(goal),)
            case DetachNetwork():
                await self._unlink(goal.name, goal.uid)
                return (NetworkDetached(goal.name, goal.uid),)
            case EnsureImage():
                await self.images.ensure(goal, started)
                return ()
            case EnsureSecretFiles():
                await self._secrets.ensure(goal.name, goal.uid, await self._unsealer.files(goal))
                await self._renew(goal)
                return (SecretFilesPlaced(goal.name, goal.uid, goal.files),)
            case RemoveSecretFiles():
                await self._secrets.remove(goal.name, goal.uid)
                return (SecretFilesRemoved(goal.name, goal.uid),)
            case StartRun():
                return self._news(await self._start(goal, started))
            case StopRun():
                return await self._stop(goal, started)
            case CleanRun():
                await driver_of(self._runs, goal.kind).remove_run(goal.name, goal.uid, goal.run)
                return ()
            case RemoveWorkload():
                return await self._remove(goal)
            case _:
                name, uid = volume_of(goal)
                with self._watched(name, uid, started):
                    return (await reach_volume(self._volumes, goal),)

    @contextmanager
    def _watched(self, name: str, uid: int, started: int) -> Iterator[None]:
        """A volume that is not in the storage any more is known as lost from now on: nothing is made in its place."""
        try:
            yield
        except VolumeMissing:
            volume = self._recorder.machine.volumes.get(name)
            if volume is not None and volume.uid == uid and not volume.lost:
                lost = VolumeLost(name, uid, mounted=bool(volume.holder))
                self._recorder.record((lost,), cause=started, vital=True)
            raise

    async def _mounted(self, mount: VolumeMount, kind: Kind, started: int) -> MountedVolume:
        with self._watched(mount.volume_name, mount.volume_uid, started):
            path = await bring(self._volumes, mount.volume_name, mount.volume_uid, kind)
        return MountedVolume(path, mount.mount_path, mount.read_only)

    async def _start(self, goal: StartRun, started: int) -> ObservedRun:
        spec = goal.spec
        bridged = spec.network == "bridge"
        # What it joins the bridge by: a microVM's monitor opens the machine's end.
        joins = self._network.port_of if spec.vm is not None else self._network.namespace
        namespace = joins(goal.name, goal.uid) if bridged else ""
        nameserver = self._network.nameserver if bridged else ""
        # They are held, but an unmount whose answer was lost may have happened: on an empty directory the workload
        # would write beside its data. Mounting what is mounted costs a look.
        volumes = tuple([await self._mounted(one, spec.kind, started) for one in spec.mounts])
        secrets = self._secrets.directories(goal.name, goal.uid, tuple(one.path for one in spec.secrets))
        run = run_spec(goal, await self._unsealer.environment(goal), namespace, nameserver, volumes, secrets)
        try:
            return await driver_of(self._runs, run.kind).ensure_running(run)
        except ImageMissing:
            self.images.lost(spec.image.index_digest, started)
            raise

    async def _renew(self, goal: EnsureSecretFiles) -> None:
        """A microVM has copies of its files: one that lives, as far as anybody knows, is given the present ones. Also
        one whose start has not been told of: its answer may have been lost."""
        workload = self._recorder.machine.workloads.get(goal.name)
        run = None if workload is None or workload.uid != goal.uid else workload.run
        if self._guests is None or workload is None or workload.kind != "microvm":
            return
        if run is None or run.phase not in LIVE:
            return
        directories = self._secrets.directories(goal.name, goal.uid, tuple(one.path for one in goal.files))
        with suppress(NotRunning):
            await self._guests.renew_secrets(goal.name, goal.uid, run.number, directories)

    async def _stop(self, goal: StopRun, started: int) -> tuple[Event, ...]:
        driver = driver_of(self._runs, goal.kind)
        end = await driver.stop(goal.name, goal.uid, goal.run, goal.grace_ms)
        if end is not None:
            # The exit is durable before the runtime forgets it: a crash between the two loses no exit code.
            self._recorder.record(self._news(end), cause=started, vital=True)
            await self._recorder.durable()
        async with self._room:
            await driver.remove_run(goal.name, goal.uid, goal.run)
        return self._gone(goal)

    async def _remove(self, goal: RemoveWorkload) -> tuple[Event, ...]:
        await driver_of(self._runs, goal.kind).remove_workload(goal.name, goal.uid)
        await self._secrets.remove(goal.name, goal.uid)
        workload = self._recorder.machine.workloads.get(goal.name)
        if workload is not None and workload.address:
            await self._unlink(goal.name, goal.uid)
        return (WorkloadRemoved(goal.name, goal.uid),)

    async def _attach(self, goal: AttachNetwork) -> NetworkAttached:
        kind: LinkKind = "tap" if goal.kind == "microvm" else "veth"
        await self._network.attach(Link(goal.name, goal.uid, goal.address, kind))
        workload = self._recorder.machine.workloads.get(goal.name)
        run = None if workload is None or workload.uid != goal.uid else workload.run
        # Also one whose start has not been told of: it may live, and have the link that was there before.
        runs = kind == "tap" and run is not None and run.phase in (RunPhase.STARTING, RunPhase.RUNNING)
        anew = runs and not await self._network.is_open(goal.name, goal.uid)
        return NetworkAttached(goal.name, goal.uid, goal.address, anew)

    async def _unlink(self, name: str, uid: int) -> None:
        """The link goes, and with the last one the bridge: a machine that uses neither has neither."""
        await self._network.detach(name, uid)
        async with self._lock("rules"):
            if not in_use(self._recorder.machine, but=name):
                await self._network.clear()

    def _news(self, seen: ObservedRun) -> tuple[Event, ...]:
        """What the driver's answer adds to the state; a run that came up and ended at once adds both."""
        machine, clock = self._recorder.machine, self._clock
        return observe_run(machine, seen, clock.boot_id, clock.mono_ns())

    def _gone(self, goal: StopRun) -> tuple[Event, ...]:
        """A run that should be stopped and that nobody has seen end is lost, not for ever stopping. Of one whose start
        failed, or was called off, there was nothing to find."""
        workload = self._recorder.machine.workloads.get(goal.name)
        run = None if workload is None or workload.uid != goal.uid else workload.run
        if run is None or run.number != goal.run or run.phase not in LIVE:
            return ()
        assert workload is not None
        reason = "nothing of it was found when it was stopped"
        clock, unborn = self._clock, not run.started_at
        return (lost(workload, run, reason, clock.boot_id, clock.mono_ns(), unborn=unborn),)
