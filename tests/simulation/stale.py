"""Judges the fold by what came too late: whatever is told of an incarnation that is gone, or of a run before the present
one, changes nothing.

Drivers, watches and the planner look for that, too; so such an entry is hardly ever written, and a fold that took it for
good would not be known for long.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from journal.entry import Header
from journal.events import (
    EffectAbandoned,
    EffectDone,
    EffectFailed,
    EffectStarted,
    Event,
    NetworkAttached,
    NetworkDetached,
    SecretFilesPlaced,
    SecretFilesRemoved,
    SnapshotRemoved,
    SnapshotTaken,
    VolumeDeleteRequested,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeRemoved,
    VolumeRestored,
    VolumeUnmounted,
    WorkloadDeleteRequested,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadOomKilled,
    WorkloadRemoved,
    WorkloadRestartRequested,
    WorkloadStable,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)
from projections.fold import fold
from projections.state import Machine, Volume, Workload


def judge_stale(machine: Machine, last: Header) -> list[str]:
    """Everything that such an entry would change. `last` is the newest entry's header."""
    header = replace(last, seq=last.seq + 1)
    told = [event for one in machine.workloads.values() for event in _of_workload(one)]
    told += [event for one in machine.volumes.values() for event in _of_volume(one)]
    return [f"what is over has changed the state: {event}" for event in told if _changes(machine, header, event)]


def _changes(machine: Machine, header: Header, event: Event) -> bool:
    after = machine.fork()
    fold(after, header, event)
    return (after.workloads, after.volumes, after.network) != (machine.workloads, machine.volumes, machine.network)


def _of_workload(workload: Workload) -> Iterator[Event]:
    name, former = workload.name, workload.uid - 1
    for request in (
        WorkloadStopRequested,
        WorkloadStartRequested,
        WorkloadRestartRequested,
        WorkloadDeleteRequested,
        WorkloadRemoved,
        NetworkDetached,
        SecretFilesRemoved,
    ):
        yield request(name, former)
    yield NetworkAttached(name, former, "172.20.254.250")
    yield SecretFilesPlaced(name, former, ())
    run = workload.run
    if run is not None:
        yield from _of_run(workload, former, run.number)
        yield from _of_run(workload, workload.uid, run.number - 1)


def _of_run(workload: Workload, uid: int, run: int) -> Iterator[Event]:
    name = workload.name
    yield WorkloadStarted(name, uid, run, workload.revision, 77)
    yield WorkloadExited(name=name, uid=uid, run=run, exit_code=7, restart=True, restart_delay_ms=7_000, streak=7)
    yield WorkloadLost(name=name, uid=uid, run=run, reason="it is over", restart=True, streak=7)
    yield WorkloadOomKilled(name, uid, run, 77, 77)
    yield WorkloadStable(name, uid, run)
    yield WorkloadHealthChanged(name=name, uid=uid, run=run, health="unhealthy", message="", restart=True)
    yield EffectStarted(effect="StartRun", name=name, uid=uid, run=run, revision=workload.revision, attempt=7)
    yield EffectStarted(effect="StopRun", name=name, uid=uid, run=run, revision=0, attempt=7)
    yield EffectDone(effect="CleanRun", name=name, uid=uid, run=run)
    if uid != workload.uid:
        yield EffectAbandoned(effect="EnsureImage", name=name, uid=uid, run=0)
        yield EffectFailed(
            effect="StartRun",
            name=name,
            uid=uid,
            run=run,
            reason="OVER",
            message="it is over",
            attempt=7,
            retry_delay_ms=7_000,
            permanent=True,
        )


def _of_volume(volume: Volume) -> Iterator[Event]:
    name, former = volume.name, volume.uid - 1
    yield VolumeMade(name, former, 7)
    yield VolumeMounted(name, former, "nobody", 7)
    for request in (VolumeUnmounted, VolumeDeleteRequested, VolumeRemoved, VolumeLost):
        yield request(name, former)
    for snapshot in volume.snapshots:
        yield SnapshotTaken(name, former, snapshot.uid, 7, "copied")
        yield SnapshotRemoved(name, former, snapshot.uid)
        yield VolumeRestored(name, former, snapshot.uid)
