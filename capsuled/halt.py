"""Ending everything a hosted capsule runs, without a daemon: what switching the machine off is for the OS.

Desired state stays as it is: the next daemon finds its runs gone and starts them again. Each run has the grace that its
workload was declared with, and all of it together a time of its own: whoever switches off does not wait for ever. What
cannot be ended, for it hangs in the kernel, holds up nobody else's end.
"""

import asyncio
import logging
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from capsuled.abilities import container_host
from capsuled.drivers import microvm_drivers
from capsuled.emergency import GRACE_MS as UNKNOWN_MS
from capsuled.emergency import HALT
from capsuled.examine import verify_apart
from capsuled.host import cgroup_parent, linux_network, mounted_below, volume_storage
from capsuled.identity import load_or_make_id
from capsuled.layout import Layout
from capsuled.machines import places_of
from capsuled.memory import recall
from capsuled.processes import CommandFailed, run
from capsuled.runtime import keep_containerd
from capsuled.settings import Settings
from effects.containerd.config import paths_under
from effects.containerd.connection import Connection
from effects.containerd.leftovers import TASKS, end_idle_shims
from effects.containers.bundles import Bundles
from effects.containers.containerd_driver import ContainerdDriver
from effects.containers.containerd_executor import ContainerdExecutor
from effects.containers.last_resort import Ends, LastResort
from effects.cut_short import done_unless
from effects.errors import DriverError
from effects.images.content import ContentStore
from effects.images.leases import Leases
from effects.images.rootfs import Unpacker
from effects.memory import unmount_memory
from effects.microvms.qemu_driver import UNMOUNT_S
from effects.runs import cgroups
from effects.runs.by_kind import RunDrivers
from effects.runs.exec_protocol import Executor
from effects.runs.names import stem_of, workload_of
from effects.runs.protocol import RunDriver
from effects.runs.survivors import end_below
from effects.volumes.actions import free
from journal.clock import SystemClock
from journal.codec import BadBody, BrokenChain
from journal.entry import MalformedEntry
from journal.environment import Environment
from journal.errors import JournalDamaged, JournalError
from journal.reader import Reader
from journal.sidelog import FOR_UPDATES, Emergency, SideLog, SideLogFull
from journal.specs import Kind
from projections.ending import ending_turns
from projections.fold import FOLD_VERSION
from projections.observations import ObservedRun, RunKey
from projections.state import Workload
from projections.words import KINDS

log = logging.getLogger(__name__)

READY_S = 10.0
"""For containerd; on a disk that cannot be written it never comes up."""


class Graces:
    """How long each run may take to end, asked for when it is its turn; no longer at all once `hurry` is set."""

    def __init__(self, workloads: Mapping[str, Workload], within_s: float, hurry: asyncio.Event) -> None:
        self.hurry = hurry
        self._by_stem = {stem_of(name): workload.spec.stop_grace_ms for name, workload in workloads.items()}
        self._deadline = time.monotonic() + within_s

    def of(self, name: str) -> int:
        """Of a workload, or of what its identifiers begin with, in milliseconds; no more than is left for all."""
        left_ms = 0 if self.hurry.is_set() else max(0, int((self._deadline - time.monotonic()) * 1_000))
        return min(self._by_stem.get(stem_of(name), UNKNOWN_MS), left_ms)


class Halted(msgspec.Struct, frozen=True):
    """What came of it: how many runs were ended, and in words what lives on or stays mounted; empty for nothing."""

    count: int
    stays: str = ""


async def halt(layout: Layout, settings: Settings, log_file: Path, within_s: float, hurry: asyncio.Event) -> Halted:
    """End every run. The daemon must not be running. No run is waited for when `within_s` are
    over, or `hurry` is set: what has not ended by then is killed."""
    # To end what runs takes no key, and must work where the keys are lost.
    capsule_id = load_or_make_id(layout.identity)
    network, parent = linux_network(layout, settings, capsule_id), cgroup_parent(capsule_id)
    try:
        lives = _has_tasks(layout) or _has_machines(layout)
        count = await _end(layout, settings, parent, log_file, within_s, hurry) if lives else 0
        survivors = await end_survivors(parent)
        left = living(LastResort(layout.runc), survivors)
        end_idle_shims(paths_under(layout.containerd, layout.run))  # of what had ended before, and nobody removed
        note(layout.side_log, left)
        try:
            if await network.stands():
                await network.clear()
        except DriverError as error:
            log.error("the network of what ran stays: %s", error.message)
        await _unmount(layout, settings)
        try:
            unmount_memory(layout.memory)
        except OSError as error:
            log.error("%s cannot be unmounted: %s", layout.memory, error.strerror)
    finally:
        await network.close()
    cgroups.remove(parent)
    stays = staying(left, mounted_below(layout.run))
    if stays:
        # By it the next daemon finds what lives; and what somebody keeps in a volume is below it.
        log.error("%s: %s stays", stays, layout.run)
    else:
        shutil.rmtree(layout.run, ignore_errors=True)
    return Halted(count + survivors.count, stays)


def staying(left: str, mounts: Sequence[str]) -> str:
    """In words; empty for nothing. Pure."""
    if left:
        return f"{left} lives on, although it was killed"
    return f"{' and '.join(mounts)} cannot be unmounted, for something uses it" if mounts else ""


def note(place: Path, left: str) -> None:
    """For the next daemon: nothing that is gone then has ended by itself, and no restart policy counts it. `left`
    lives on: in this boot it is not to be told that all has ended."""
    try:
        side_log = SideLog(place)
        try:
            side_log.make_room(FOR_UPDATES + 1)
            side_log.append(Emergency(HALT, left, at=time.time_ns(), boot=SystemClock().boot_id))
        finally:
            side_log.close()
    except (SideLogFull, OSError) as error:
        log.error("the next start will take what was ended for lost: %s", error)


def _has_tasks(layout: Layout) -> bool:
    """Whether there is anything that only the runtime knows how to end."""
    return any(layout.runc.glob("*/*")) or any((layout.run / "state").glob(f"{TASKS}/*/*"))


def _has_machines(layout: Layout) -> bool:
    """Whether a microVM may live."""
    places = places_of(layout)
    return any(places.of(key).monitor() is not None for key in places.runs())


async def _end(
    layout: Layout, settings: Settings, parent: str, log_file: Path, within_s: float, hurry: asyncio.Event
) -> int:
    """How many runs were ended. A containerd that does not start is done without."""
    workloads = await _remembered(layout)
    graces = Graces(workloads, within_s, hurry)
    paths = paths_under(layout.containerd, layout.run)
    connection = Connection(paths.address)
    leases = Leases(connection)
    unpacker = Unpacker(connection, ContentStore(connection), leases)
    boot, unmount_s = SystemClock().boot_id, min(UNMOUNT_S, within_s)
    _, machines = microvm_drivers(layout, connection, unpacker, leases, parent, settings.subnet, boot, unmount_s)
    drivers: dict[Kind, RunDriver] = {"microvm": machines.driver}
    runtime = None

    async def without() -> Ends:
        return await _end_directly(layout, workloads, graces)

    try:
        directly = 0
        if _has_tasks(layout):
            runtime = asyncio.ensure_future(keep_containerd(paths, log_file.with_name("containerd.log")))
            try:
                async with asyncio.timeout(READY_S):
                    await connection.ready()
                bundles = Bundles(paths)
                await _swept(ContainerdExecutor(connection, layout.execs, bundles))
                host = container_host(parent)
                drivers["container"] = ContainerdDriver(
                    connection, unpacker, host, layout.logs, layout.containers, layout.runc, bundles
                )
            except TimeoutError:
                log.error("containerd does not start: what runs is ended without it")
                directly = (await without()).count
        return directly + await end_each(drivers, workloads, graces, without)
    finally:
        await machines.close()
        await connection.close()
        if runtime is not None:
            runtime.cancel()
            await asyncio.gather(runtime, return_exceptions=True)


async def end_survivors(parent: str) -> Ends:
    """Whatever still lives below the cgroup `parent`: a runtime may have forgotten it, the kernel has not."""
    ends = await end_below(parent)
    for name, why in ends.items():
        if why:
            log.error("%s, of which the runtime knows nothing, cannot be ended: %s", name, why)
        else:
            log.warning("%s lived on, and the runtime knew nothing of it: it was killed", name)
    left = tuple(workload_of(name) for name, why in ends.items() if why)
    return Ends(len(ends) - len(left), left)


def living(last_resort: LastResort, survivors: Ends) -> str:
    """The workload of a run that lives when all was done, empty where none does. What was tried before does not count:
    a run that withstood its driver may since have been killed, by its cgroup at the last."""
    # A privileged one can have left its cgroup: runc still knows its first process.
    return next(iter((*survivors.left, *last_resort.living())), "")


async def _swept(execs: Executor) -> None:
    try:
        await execs.sweep()
    except DriverError as error:
        log.error("what an earlier exec left cannot be ended: %s", error.message)


async def end_each(
    drivers: RunDrivers,
    workloads: Mapping[str, Workload],
    graces: Graces,
    without: Callable[[], Awaitable[Ends]],
) -> int:
    """How many were ended: by their drivers, and `without` a runtime those that these could not see or end. That is
    asked of them, too, with their own signal, grace and order: by its cgroup a run is only killed."""
    count, all_ended = await end_all(drivers, workloads, graces)
    if all_ended:
        return count
    directly = await without()
    if directly.count:
        log.warning("%d containers were ended without containerd", directly.count)
    return count + directly.count


async def end_all(drivers: RunDrivers, workloads: Mapping[str, Workload], graces: Graces) -> tuple[int, bool]:
    """One after the other where one uses another. What cannot be ended is told, and the next has its turn. How many
    were ended, and whether that is all: none withstood its driver, and each driver saw what runs."""
    runs: list[tuple[RunDriver, ObservedRun]] = []
    all_seen = True
    for kind, driver in drivers.items():
        try:
            runs += [(driver, one) for one in await driver.observe()]
        except DriverError as error:
            all_seen = False
            log.error("which %ss run cannot be seen: %s", KINDS[kind], error.message)
    # Who uses another ends before it, while it can still answer.
    withstood: set[RunKey] = set()
    for turn in ending_turns(_needs(workloads), dict.fromkeys(one.name for _, one in runs)):
        ours = [(driver, one) for driver, one in runs if one.name in turn]
        ends = (_stop(driver, one, graces) for driver, one in ours)
        withstood |= await _failed("ended", [one for _, one in ours], ends)
    removals = (driver.remove_run(one.name, one.uid, one.run) for driver, one in runs)
    withstood &= await _failed("removed", [one for _, one in runs], removals)
    ended = [_key(one) not in withstood for _, one in runs if one.alive]
    return sum(ended), all_seen and all(ended)


async def _stop(driver: RunDriver, one: ObservedRun, graces: Graces) -> None:
    grace_ms = graces.of(one.name)
    if grace_ms:
        if await done_unless(graces.hurry, driver.stop(one.name, one.uid, one.run, grace_ms)):
            return
        log.warning("%s is not waited for any longer: it is killed", one.name)
    await driver.stop(one.name, one.uid, one.run, 0)


def _needs(workloads: Mapping[str, Workload]) -> Mapping[str, Sequence[str]]:
    return {name: workload.depends_on for name, workload in workloads.items()}


async def _failed(what: str, runs: Sequence[ObservedRun], work: Iterable[Awaitable[object]]) -> set[RunKey]:
    """Those of which it could not be done, when all is. Why is told here."""
    done = await asyncio.gather(*work, return_exceptions=True)
    failed: set[RunKey] = set()
    for one, outcome in zip(runs, done, strict=True):
        if isinstance(outcome, BaseException):
            why = str(outcome) or type(outcome).__name__
            log.error("run %d of %s cannot be %s: %s", one.run, one.name, what, why)
            failed.add(_key(one))
    return failed


def _key(one: ObservedRun) -> RunKey:
    return one.name, one.uid, one.run


async def _remembered(layout: Layout) -> Mapping[str, Workload]:
    """What is known of the workloads: who depends on whom, and how long each may take. A memory that cannot be read
    holds up no halt."""
    try:
        report = await verify_apart(layout.journal, FOLD_VERSION)
        if not report.whole:
            raise JournalDamaged(report.findings[0].problem)
        environment = Environment(layout.journal, readonly=True)
        try:
            machine = recall(Reader(environment), proven=True).machine
        finally:
            environment.close()
    except (JournalError, OSError, BadBody, BrokenChain, MalformedEntry) as error:
        seconds = UNKNOWN_MS // 1_000
        log.warning("what depends on what is not known, all ends at once, within %d seconds each: %s", seconds, error)
        return {}
    return machine.workloads


async def _end_directly(layout: Layout, workloads: Mapping[str, Workload], graces: Graces) -> Ends:
    ended = await LastResort(layout.runc).stop_all(graces.of, _needs(workloads), graces.hurry)
    for place in (layout.run / "state").glob(f"{TASKS}/*/*/rootfs"):
        if place.is_mount():
            try:
                await run("umount", str(place))
            except CommandFailed as error:
                log.error("%s", error)
    return ended


async def _unmount(layout: Layout, settings: Settings) -> None:
    volumes, _ = volume_storage(layout, settings)
    try:
        await volumes.thaw()  # a frozen file system would live on in the kernel, with its loop device
    except DriverError as error:
        log.error("a volume may be frozen still: %s", error.message)
    for name, uid in sorted(await volumes.mounted()):
        try:
            await free(volumes, name, uid)
        except DriverError as error:
            log.error("%s", error.message)
