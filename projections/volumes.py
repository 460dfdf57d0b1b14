"""Volumes: what was declared of them, what they hold, and which workload may use which. Pure.

A mount pins the volume's incarnation: one that was deleted and made again under the same name never serves as the old.
"""

from msgspec.structs import replace

from journal.entry import Header
from journal.events import (
    EffectDone,
    EffectFailed,
    SnapshotDeleteRequested,
    SnapshotRemoved,
    SnapshotRequested,
    SnapshotTaken,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeDrifted,
    VolumeFilling,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeRemoved,
    VolumeRestored,
    VolumeRestoreRequested,
    VolumeUnmounted,
)
from journal.specs import VolumeMount
from projections.foreign import FILE_SYSTEM, MOUNT, STORAGE, marked
from projections.handlers import Handlers
from projections.phases import LIVE
from projections.state import Deadline, Foreign, Machine, Snapshot, Trouble, Volume, Workload
from projections.troubles import relieve

MARKS = (80, 90, 95)
"""Percent of a file system at which its filling is told, before anything is fatal."""


def users_of(machine: Machine, name: str) -> tuple[str, ...]:
    """The workloads whose spec mounts the volume, sorted."""
    return tuple(
        sorted(
            workload.name
            for workload in machine.workloads.values()
            if any(mount.volume_name == name for mount in workload.spec.mounts)
        )
    )


def running_users_of(machine: Machine, name: str) -> tuple[str, ...]:
    """Those of them that shall run."""
    return tuple(user for user in users_of(machine, name) if machine.workloads[user].desired == "running")


def held_by(machine: Machine, workload: Workload) -> tuple[Volume, ...]:
    """The volumes that are mounted for this incarnation, by name."""
    name, uid = workload.name, workload.uid
    held = [volume for volume in machine.volumes.values() if volume.holder_uid == uid and volume.holder == name]
    return tuple(sorted(held, key=lambda volume: volume.name))


def is_needed(workload: Workload, volume: Volume) -> bool:
    """Whether the workload, as it is wanted now, uses the volume, and the volume lets itself be used."""
    mounts = any(mount.volume_uid == volume.uid for mount in workload.spec.mounts)
    return mounts and workload.desired == "running" and _is_settled(volume)


def _is_settled(volume: Volume) -> bool:
    """Whether nothing is to be done to it that needs it unmounted."""
    return not (volume.lost or is_awaited(volume))


def is_awaited(volume: Volume) -> bool:
    """Whether something is to be done to it for which whoever has it mounted ends. Of one that is lost that is only its
    deletion: what is open of it is the last way to its data."""
    changes = bool(volume.restoring) or volume.made_bytes < volume.size_bytes
    return volume.deleting or (changes and not volume.lost)


def due_snapshot(volume: Volume) -> Snapshot | None:
    """The next one to take. What is kept before a restore is the volume as its workload left it, not as it was in the
    middle of work: it waits until the volume has no holder."""
    return next(
        (one for one in volume.snapshots if not (one.taken or one.leaving or (one.safety and volume.holder))), None
    )


def why_not(machine: Machine, workload: Workload, mount: VolumeMount) -> str:
    """Why the mount cannot be had now, in words; empty when it can."""
    volume = machine.volumes.get(mount.volume_name)
    if volume is None or volume.uid != mount.volume_uid:
        what = "it is another one of the same name; " if volume else "create it again, then "
        return f"volume {mount.volume_name} does not exist any more: {what}apply the workload again to use that"
    if volume.lost:
        return (
            f"volume {volume.name} is not in the storage any more: bring it back there, or have an export of it in its "
            f"place (`capsulectl volume import {volume.name} FILE`)"
        )
    if volume.deleting:
        return f"volume {volume.name} is being deleted"
    if volume.restoring:
        return f"volume {volume.name} is being restored"
    if volume.holder and (volume.holder, volume.holder_uid) != (workload.name, workload.uid):
        return f"volume {volume.name} is still held by {volume.holder}"
    if volume.made_bytes < volume.size_bytes:
        # It grows before it is mounted, never under a workload; whoever mounted it first would hold that up for good.
        why = f": {volume.trouble.message}" if volume.trouble is not None else ""
        return f"volume {volume.name} is being {'grown' if volume.made_bytes else 'made'}{why}"
    return ""


def taken_away(machine: Machine, workload: Workload) -> tuple[VolumeMount, ...]:
    """Its mounts of incarnations that are gone or going: no waiting brings those back; another apply names others."""
    return tuple(mount for mount in workload.spec.mounts if _is_gone(machine.volumes.get(mount.volume_name), mount))


def _is_gone(volume: Volume | None, mount: VolumeMount) -> bool:
    return volume is None or volume.uid != mount.volume_uid or volume.deleting


def is_wanted(volume: Volume, failed: EffectFailed | Trouble) -> bool:
    """Whether what failed is still to be done. What was given up is not."""
    if volume.deleting:
        return failed.effect == "RemoveVolume"
    match failed.effect:
        case "EnsureVolume":
            return failed.size_bytes == volume.size_bytes
        case "TakeSnapshot":
            return any(one.uid == failed.snapshot and not (one.taken or one.leaving) for one in volume.snapshots)
        case "RemoveSnapshot":
            return any(one.uid == failed.snapshot for one in volume.snapshots)
        case "RestoreVolume":
            return failed.snapshot == volume.restoring
        case _:
            return True


def read_only(volume: Volume) -> str:
    """What to say of a file system that takes no writes any more."""
    mend = (
        f"`capsulectl restart {volume.holder}` checks it and mounts it anew" if volume.holder else "it is mounted anew"
    )
    return f"its file system went read only by an error, and what was written last may be lost: {mend}"


def blocked(machine: Machine, workload: Workload) -> str:
    """Why the workload's volumes do not let it run now; empty when they do."""
    reasons = (why_not(machine, workload, mount) for mount in workload.spec.mounts)
    return next((reason for reason in reasons if reason), "")


# --- the fold ----------------------------------------------------------------------------------------------------


def _mine(machine: Machine, name: str, uid: int) -> Volume | None:
    volume = machine.volumes.get(name)
    return volume if volume is not None and volume.uid == uid else None


def applied(machine: Machine, header: Header, event: VolumeApplied) -> None:
    """A new incarnation, or a larger size."""
    machine.desired_seq = header.seq
    before = machine.volumes.get(event.name)
    if before is None or event.created:
        machine.volumes[event.name] = Volume(
            event.name,
            header.seq,
            event.size_bytes,
            header.at,
            header.seq,
            drift=event.drift or "repair",
            word_at=header.at,
            staged=event.staged,
        )
    elif event.staged:
        # It is made anew, from this, under the incarnation that its users mean.
        machine.volumes[event.name] = replace(
            before,
            size_bytes=event.size_bytes,
            made_bytes=0,
            lost=False,
            staged=event.staged,
            desired_seq=header.seq,
            word_at=header.at,
            trouble=None,
            hold=None,
            foreign=None,
        )
    else:
        machine.volumes[event.name] = replace(
            before,
            size_bytes=event.size_bytes,
            desired_seq=header.seq,
            word_at=header.at,
            trouble=None,
            hold=None,
            drift=event.drift or before.drift,
            foreign=None if before.foreign is None else replace(before.foreign, repair=True),
        )


def delete_requested(machine: Machine, header: Header, event: VolumeDeleteRequested) -> None:
    """From here the incarnation only ends."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None:
        machine.desired_seq = header.seq
        _take_from_users(machine, event.name)
        machine.volumes[event.name] = replace(
            volume, deleting=True, restoring=0, desired_seq=header.seq, word_at=header.at, trouble=None, hold=None
        )


def _take_from_users(machine: Machine, name: str) -> None:
    """What lives on it is not wanted any more; another run begins once the volume lets it. What has ended stays so."""
    for user in users_of(machine, name):
        relieve(machine, user, "MountVolume")
        workload = machine.workloads[user]
        if workload.run is not None and workload.run.phase in LIVE:
            machine.workloads[user] = replace(workload, superseded=workload.run.number, streak=0)


def made(machine: Machine, header: Header, event: VolumeMade) -> None:
    """It is there. A growth that ended after it was taken back has come about: nothing shrinks."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None:
        machine.volumes[event.name] = replace(
            volume,
            size_bytes=max(volume.size_bytes, event.size_bytes),
            made_bytes=event.size_bytes,
            lost=False,
            staged="",
            foreign=_without_aspects(volume, STORAGE),
        )


def mounted(machine: Machine, header: Header, event: VolumeMounted) -> None:
    """It has a holder."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None:
        machine.volumes[event.name] = replace(
            volume,
            holder=event.workload,
            holder_uid=event.workload_uid,
            foreign=_without_aspects(volume, MOUNT, FILE_SYSTEM),
        )


def unmounted(machine: Machine, header: Header, event: VolumeUnmounted) -> None:
    """It has none."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None:
        foreign = _without_aspects(volume, MOUNT, FILE_SYSTEM)
        relieve(machine, volume.holder, "UnmountVolume")
        machine.volumes[event.name] = replace(volume, holder="", holder_uid=0, foreign=foreign)


def _without_aspects(volume: Volume, *aspects: str) -> Foreign | None:
    mark = volume.foreign
    return None if mark is None or mark.aspect in aspects else mark


def drifted(machine: Machine, header: Header, event: VolumeDrifted) -> None:
    """Its holder goes on with it, and stays its holder."""
    volume = _mine(machine, event.name, event.uid)
    if volume is None or not volume.holder or volume.lost:
        return
    if event.how == "unmounted":
        foreign = marked(header, MOUNT, f"another hand unmounted it; {volume.holder} still has it open", volume.drift)
    else:
        foreign = marked(header, FILE_SYSTEM, read_only(volume), "report")
    machine.volumes[event.name] = replace(volume, foreign=foreign)


def removed(machine: Machine, header: Header, event: VolumeRemoved) -> None:
    """The incarnation is over."""
    if _mine(machine, event.name, event.uid) is not None:
        machine.desired_seq = header.seq
        del machine.volumes[event.name]


def lost(machine: Machine, header: Header, event: VolumeLost) -> None:
    """Its data may still be somewhere: nothing is formatted in its place."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None:
        foreign = marked(header, STORAGE, "it is not in the storage any more, and nobody here removed it", "report")
        for user in users_of(machine, event.name):
            relieve(machine, user, "MountVolume")
        volume = _relieved(replace(volume, lost=True, foreign=foreign))
        if not event.mounted:
            relieve(machine, volume.holder, "UnmountVolume")
            volume = replace(volume, holder="", holder_uid=0)
        machine.volumes[event.name] = volume


def filling(machine: Machine, header: Header, event: VolumeFilling) -> None:
    """Remember the mark, so that it is told once."""
    if not event.name:
        machine.pool_filling = event.percent
        return
    volume = _mine(machine, event.name, event.uid)
    if volume is not None:
        machine.volumes[event.name] = replace(volume, filling=event.percent)


def snapshot_requested(machine: Machine, header: Header, event: SnapshotRequested) -> None:
    """Its uid is the entry that asked for it."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None:
        fresh = Snapshot(header.seq, event.label, header.at, safety=event.safety)
        machine.volumes[event.name] = replace(volume, snapshots=(*volume.snapshots, fresh))


def _change(machine: Machine, name: str, uid: int, snapshot: int, **changes: object) -> None:
    volume = _mine(machine, name, uid)
    if volume is not None:
        snapshots = tuple(replace(one, **changes) if one.uid == snapshot else one for one in volume.snapshots)
        machine.volumes[name] = _relieved(replace(volume, snapshots=snapshots))


def snapshot_taken(machine: Machine, header: Header, event: SnapshotTaken) -> None:
    """It is there."""
    _change(
        machine, event.name, event.uid, event.snapshot, taken=True, size_bytes=event.size_bytes, method=event.method
    )


def snapshot_delete_requested(machine: Machine, header: Header, event: SnapshotDeleteRequested) -> None:
    """It shall be gone."""
    _change(machine, event.name, event.uid, event.snapshot, leaving=True)


def snapshot_removed(machine: Machine, header: Header, event: SnapshotRemoved) -> None:
    """It is gone."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None:
        kept = tuple(one for one in volume.snapshots if one.uid != event.snapshot)
        machine.volumes[event.name] = _relieved(replace(volume, snapshots=kept))


def restore_requested(machine: Machine, header: Header, event: VolumeRestoreRequested) -> None:
    """Its users are stopped, and started again once it is done."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None:
        machine.desired_seq = header.seq
        _take_from_users(machine, event.name)
        machine.volumes[event.name] = replace(
            volume, restoring=event.snapshot, desired_seq=header.seq, word_at=header.at, trouble=None, hold=None
        )


def restored(machine: Machine, header: Header, event: VolumeRestored) -> None:
    """Its users may run again."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None and volume.restoring == event.snapshot:
        machine.volumes[event.name] = replace(volume, restoring=0)


def done(machine: Machine, event: EffectDone) -> None:
    """An effect on a volume was reached: the trouble with it is over."""
    volume = _mine(machine, event.name, event.uid)
    if volume is not None and volume.trouble is not None and volume.trouble.effect == event.effect:
        machine.volumes[event.name] = replace(volume, trouble=None, hold=None)


def failed(machine: Machine, event: EffectFailed, trouble: Trouble, hold: Deadline | None) -> None:
    """An effect on a volume was not reached: hold the next try back. What is not wanted any more holds up nothing.

    A growth that is given up is not wanted any more. Nor is a snapshot or a restore, and with the snapshot that was to
    be kept before a restore goes the restore: what was stopped for it runs again, on what it had.
    """
    volume = _mine(machine, event.name, event.uid)
    if volume is None or not is_wanted(volume, event):
        return
    volume = replace(volume, hold=hold, trouble=trouble)
    machine.volumes[event.name] = _without(volume, event) if event.permanent else _relieved(volume)


def _without(volume: Volume, event: EffectFailed) -> Volume:
    """The volume as it is wanted now that this is given up."""
    match event.effect:
        case "EnsureVolume" if volume.made_bytes:
            return replace(volume, size_bytes=volume.made_bytes)
        case "TakeSnapshot":
            (given_up,) = (one for one in volume.snapshots if one.uid == event.snapshot)
            kept = tuple(one for one in volume.snapshots if one is not given_up)
            return replace(volume, snapshots=kept, restoring=0 if given_up.safety else volume.restoring)
        case "RestoreVolume":
            return replace(volume, restoring=0)
        case _:
            return volume


def _relieved(volume: Volume) -> Volume:
    """Without trouble that is said to be tried again, and is not: nothing is done to what is lost, or for what nobody
    wants any more. What was given up is told of until somebody asks for something else."""
    trouble = volume.trouble
    if trouble is None or trouble.permanent:
        return volume
    if is_wanted(volume, trouble) and (volume.deleting or not volume.lost):
        return volume
    return replace(volume, trouble=None, hold=None)


def power_lost(machine: Machine) -> None:
    """Mounts do not outlive a boot."""
    for name, volume in machine.volumes.items():
        if volume.holder or volume.hold is not None:
            foreign = _without_aspects(volume, MOUNT, FILE_SYSTEM)
            machine.volumes[name] = replace(volume, holder="", holder_uid=0, hold=None, foreign=foreign)


HANDLERS: Handlers = {
    VolumeApplied: applied,
    VolumeDeleteRequested: delete_requested,
    VolumeMade: made,
    VolumeMounted: mounted,
    VolumeUnmounted: unmounted,
    VolumeRemoved: removed,
    VolumeLost: lost,
    VolumeDrifted: drifted,
    VolumeFilling: filling,
    SnapshotRequested: snapshot_requested,
    SnapshotTaken: snapshot_taken,
    SnapshotDeleteRequested: snapshot_delete_requested,
    SnapshotRemoved: snapshot_removed,
    VolumeRestoreRequested: restore_requested,
    VolumeRestored: restored,
}
