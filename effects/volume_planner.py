"""The planner's part for volumes: what is due of each, and of a workload's mounts. Pure."""

from effects.goals import (
    CleanRun,
    EnsureVolume,
    MountVolume,
    RemoveSnapshot,
    RemoveVolume,
    RestoreVolume,
    TakeSnapshot,
    UnmountVolume,
    VolumeEffect,
)
from projections.foreign import MOUNT
from projections.phases import LIVE, RunPhase
from projections.secrets import spec_of
from projections.state import Machine, Volume, Workload
from projections.volumes import due_snapshot, held_by, is_needed


def plan_volume(volume: Volume) -> VolumeEffect | None:
    """The volume's next goal. What needs it unmounted waits for its holder's lane."""
    if volume.lost and not volume.deleting:
        return None  # its data may be found again: nothing is made in its place
    attempt = 1 if volume.trouble is None or volume.trouble.permanent else volume.trouble.attempt + 1
    name, uid, hold = volume.name, volume.uid, volume.hold
    if volume.deleting:
        asked_at = 0 if volume.made_bytes else volume.created_at
        return None if volume.holder else RemoveVolume(name, uid, hold, attempt, asked_at)
    if volume.trouble is not None and volume.trouble.permanent and not volume.made_bytes:
        return None  # it can never be made like this: another size may be asked for
    if volume.made_bytes < volume.size_bytes and not volume.holder:
        sizes = volume.size_bytes, volume.made_bytes
        keeps = tuple(one.uid for one in volume.snapshots if volume.staged and one.taken)
        return EnsureVolume(name, uid, *sizes, hold, attempt, volume.staged, volume.created_at, keeps)
    leaving = next((one for one in volume.snapshots if one.leaving), None)
    if leaving is not None:
        asked_at = 0 if leaving.taken else leaving.requested_at
        return RemoveSnapshot(name, uid, leaving.uid, hold, attempt, asked_at)
    snapshot = due_snapshot(volume)
    if snapshot is not None:
        return TakeSnapshot(name, uid, snapshot.uid, volume.made_bytes, hold, attempt, snapshot.requested_at)
    if volume.restoring and not volume.holder:
        return RestoreVolume(name, uid, volume.restoring, volume.size_bytes, hold, attempt)
    return None


def plan_release(machine: Machine, workload: Workload, attempt: int) -> CleanRun | UnmountVolume | None:
    """The next volume that the workload holds and does not need, once nothing of it runs."""
    run = workload.run
    if run is not None and run.phase in LIVE:
        return None
    idle = [volume for volume in held_by(machine, workload) if not is_needed(workload, volume)]
    if not idle:
        return None
    if run is not None and not run.cleaned:
        again = workload.retry_of("CleanRun")
        return CleanRun(workload.name, workload.uid, run.number, again, attempt, workload.kind)
    again = workload.retry_of("UnmountVolume")
    return UnmountVolume(workload.name, workload.uid, idle[0].name, idle[0].uid, again, attempt, workload.kind)


def plan_mounts(machine: Machine, workload: Workload, attempt: int) -> MountVolume | None:
    """The next volume that a run needs to begin and that is not mounted, or not as it should be; `blocked` has let it
    pass."""
    for mount in workload.spec.mounts:
        volume = machine.volumes[mount.volume_name]
        if not volume.holder or volume.foreign is not None:
            return _mount(workload, volume, attempt)
    return None


def plan_remount(machine: Machine, workload: Workload, attempt: int) -> MountVolume | None:
    """The next volume that another hand unmounted under a run, and that is to be mended. What broke by an error is
    mounted anew by the next run only: this one has it open."""
    if workload.run is None or workload.run.phase is not RunPhase.RUNNING:
        return None
    for volume in held_by(machine, workload) if spec_of(workload, workload.run).mounts else ():
        mark = volume.foreign
        if mark is not None and mark.aspect == MOUNT and mark.repair:
            return _mount(workload, volume, attempt)
    return None


def _mount(workload: Workload, volume: Volume, attempt: int) -> MountVolume:
    return MountVolume(workload.name, workload.uid, volume.name, volume.uid, workload.retry, attempt, workload.kind)
