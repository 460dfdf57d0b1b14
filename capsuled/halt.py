"""Ending everything a hosted capsule runs, without a daemon: what switching the machine off is for the OS.

Desired state stays as it is: the next daemon finds its runs gone and starts them again.
"""

import asyncio
import logging
import shutil
import time
from pathlib import Path

from capsuled.abilities import container_host
from capsuled.emergency import HALT
from capsuled.examine import verify_apart
from capsuled.host import cgroup_parent, is_mounted_below, linux_network, remove_cgroups, sparse_volumes
from capsuled.identity import Identity, load_or_make
from capsuled.layout import Layout
from capsuled.memory import recall
from capsuled.processes import run
from capsuled.runtime import keep_containerd
from capsuled.settings import Settings
from effects.containerd.config import paths_under
from effects.containerd.connection import Connection
from effects.containerd.leftovers import TASKS, end_idle_shims
from effects.containers.bundles import Bundles
from effects.containers.containerd_driver import ContainerdDriver
from effects.containers.containerd_executor import ContainerdExecutor
from effects.containers.last_resort import LastResort
from effects.errors import DriverError
from effects.images.content import ContentStore
from effects.images.leases import Leases
from effects.images.rootfs import Unpacker
from effects.memory import unmount_memory
from journal.codec import BadBody, BrokenChain
from journal.entry import MalformedEntry
from journal.environment import Environment
from journal.errors import JournalDamaged, JournalError
from journal.reader import Reader
from journal.sidelog import Emergency, SideLog, SideLogFull
from projections.ending import ending_turns
from projections.fold import FOLD_VERSION

log = logging.getLogger(__name__)

GRACE_MS = 5_000
READY_S = 10.0
"""For containerd; on a disk that cannot be written it never comes up."""


async def halt(layout: Layout, settings: Settings, log_file: Path) -> int:
    """End every run; returns how many were alive. The daemon must not be running."""
    identity = load_or_make(layout.identity)
    network = linux_network(layout, settings, identity)
    try:
        ended = await _end(layout, identity, log_file) if _has_tasks(layout) else 0
        end_idle_shims(paths_under(layout.containerd, layout.run))  # of what had ended before, and nobody removed
        _note(layout)
        if layout.namespaces.exists():
            await network.clear()
        await _unmount(layout)
        try:
            unmount_memory(layout.memory)
        except OSError as error:
            log.error("%s cannot be unmounted: %s", layout.memory, error.strerror)
    finally:
        await network.close()
    remove_cgroups(cgroup_parent(identity))
    if is_mounted_below(layout.run):
        # Removing what is volatile would remove what somebody keeps in a volume.
        log.error("something below %s cannot be unmounted, for it is used. It stays mounted", layout.run)
    else:
        shutil.rmtree(layout.run, ignore_errors=True)
    return ended


def _note(layout: Layout) -> None:
    """For the next daemon: nothing that is gone then has ended by itself, and no restart policy counts it."""
    try:
        side_log = SideLog(layout.journal / "side.log")
        try:
            side_log.append(Emergency(HALT, at=time.time_ns()))
        finally:
            side_log.close()
    except (SideLogFull, OSError) as error:
        log.error("the next start will take what was ended for lost: %s", error)


def _has_tasks(layout: Layout) -> bool:
    """Whether there is anything that only the runtime knows how to end."""
    return any(layout.runc.glob("*/*")) or any((layout.run / "state").glob(f"{TASKS}/*/*"))


async def _end(layout: Layout, identity: Identity, log_file: Path) -> int:
    """How many lived. A containerd that does not start is done without."""
    paths = paths_under(layout.containerd, layout.run)
    runtime = asyncio.ensure_future(keep_containerd(paths, log_file.with_name("containerd.log")))
    connection = Connection(paths.address)
    try:
        try:
            async with asyncio.timeout(READY_S):
                await connection.ready()
        except TimeoutError:
            log.error("containerd does not start: what runs is ended without it")
            return await _end_directly(layout)
        return await _end_all(layout, identity, connection)
    finally:
        await connection.close()
        runtime.cancel()
        await asyncio.gather(runtime, return_exceptions=True)


async def _end_all(layout: Layout, identity: Identity, connection: Connection) -> int:
    bundles = Bundles(layout.memory)
    await ContainerdExecutor(connection, layout.execs, bundles).sweep()
    host = container_host(cgroup_parent(identity))
    unpacker = Unpacker(connection, ContentStore(connection), Leases(connection))
    driver = ContainerdDriver(connection, unpacker, host, layout.logs, layout.containers, layout.runc, bundles)
    runs = await driver.observe()
    # Who uses another ends before it, while it can still answer.
    for turn in ending_turns(await _needs(layout), dict.fromkeys(one.name for one in runs)):
        ends = (driver.stop(one.name, one.uid, one.run, GRACE_MS) for one in runs if one.name in turn)
        await asyncio.gather(*ends)
    await asyncio.gather(*(driver.remove_run(run.name, run.uid, run.run) for run in runs))
    return sum(run.status == "running" for run in runs)


async def _needs(layout: Layout) -> dict[str, tuple[str, ...]]:
    """What each workload depends on, as far as the memory says so: one that cannot be read holds up no halt."""
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
        log.warning("what depends on what is not known, all ends at once: %s", error)
        return {}
    return {name: workload.depends_on for name, workload in machine.workloads.items()}


async def _end_directly(layout: Layout) -> int:
    ended = await LastResort(layout.runc).stop_all(GRACE_MS)
    for place in (layout.run / "state").glob(f"{TASKS}/*/*/rootfs"):
        if place.is_mount():
            await run("umount", str(place))
    return ended


async def _unmount(layout: Layout) -> None:
    volumes = sparse_volumes(layout)
    await volumes.thaw()  # a frozen file system would live on in the kernel, with its loop device
    for name, uid in sorted(await volumes.mounted()):
        try:
            await volumes.unmount(name, uid)
        except DriverError as error:
            log.error("%s", error.message)
