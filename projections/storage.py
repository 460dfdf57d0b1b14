"""What the storage shows, compared with the state: what vanished or came back, what nobody holds, what fills. Pure.

A driver's volume is one of ours only as an incarnation (name and uid); what is none of ours is never touched: it may be
somebody's data.
"""

from typing import Literal

import msgspec

from journal.events import (
    Event,
    SnapshotRemoved,
    VolumeDrifted,
    VolumeFilling,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeUnmounted,
)
from projections.foreign import MOUNT
from projections.phases import RunPhase
from projections.state import Machine, Volume
from projections.volumes import MARKS, is_needed, read_only

_CALM_PERCENT = 5
"""How far below a mark a file system must fall before the mark is taken back: it must not be told over and over."""

Incarnation = tuple[str, int]
"""A volume by its name and uid."""

SnapshotMethod = Literal["thin", "reflink", "copy"]
"""How a snapshot shares its blocks: `thin` and `reflink` take none of their own at first, a `copy` is one."""


class SeenSnapshot(msgspec.Struct, frozen=True):
    """A snapshot as the driver finds it. `snapshot` is its uid. Sizes as of a volume."""

    snapshot: int
    size_bytes: int
    used_bytes: int
    method: SnapshotMethod


class SeenVolume(msgspec.Struct, frozen=True):
    """A volume as the driver finds it. `size_bytes` is what was asked for; `used_bytes` what it takes on the disk.
    Both are 0 of one that is there and could not be looked at. `read_only`: it is mounted, and its file system takes no
    writes any more after an error."""

    name: str
    uid: int
    size_bytes: int
    used_bytes: int
    mounted: bool
    snapshots: tuple[SeenSnapshot, ...] = ()
    read_only: bool = False


class Fill(msgspec.Struct, frozen=True):
    """How full a file system or a pool is."""

    total_bytes: int
    used_bytes: int


def strangers(machine: Machine, seen: tuple[SeenVolume, ...]) -> tuple[Incarnation, ...]:
    """What the storage has that no volume here is, sorted."""
    known = {(volume.name, volume.uid) for volume in machine.volumes.values()}
    return tuple(sorted({(one.name, one.uid) for one in seen} - known))


def stray_snapshots(machine: Machine, seen: tuple[SeenVolume, ...]) -> tuple[tuple[str, int, int], ...]:
    """Name, uid and snapshot of what the storage has of volumes here and no snapshot here is, sorted."""
    known = {(one.name, one.uid): {snapshot.uid for snapshot in one.snapshots} for one in machine.volumes.values()}
    shown = (((one.name, one.uid), snapshot.snapshot) for one in seen for snapshot in one.snapshots)
    return tuple(sorted((*key, uid) for key, uid in shown if key in known and uid not in known[key]))


def unheld(machine: Machine, seen: tuple[SeenVolume, ...], mounted: frozenset[Incarnation]) -> tuple[Incarnation, ...]:
    """What is mounted and held by nobody, sorted: left by a life that ended between the mount and its entry, or of a
    file that is gone. Whoever is a stranger may be mounted for its owner."""
    held = {(volume.name, volume.uid) for volume in machine.volumes.values() if volume.holder}
    return tuple(sorted(mounted - held - set(strangers(machine, seen))))


def spoiled(machine: Machine, seen: tuple[SeenVolume, ...]) -> tuple[Volume, ...]:
    """The volumes whose file system takes no writes any more."""
    broken = {(one.name, one.uid) for one in seen if one.read_only}
    return tuple(volume for volume in machine.volumes.values() if (volume.name, volume.uid) in broken)


def standing(volume: Volume, seen: SeenVolume | None = None) -> tuple[str, str]:
    """One word for where the volume stands, and what is wrong with it, if anything. `seen` is what the storage says of
    it now, if it does."""
    if seen is not None and seen.read_only:
        return "read-only", read_only(volume)
    wrong = "" if volume.trouble is None else " ".join(volume.trouble.message.split())
    return _phase(volume), wrong


def _phase(volume: Volume) -> str:
    if volume.deleting:
        return "deleting"
    if volume.lost:
        return "lost"
    if volume.restoring:
        return "restoring"
    if volume.made_bytes < volume.size_bytes:
        return "growing" if volume.made_bytes else "making"
    return "in-use" if volume.holder else "ready"


def filling(fill: Fill, told: int, name: str = "", uid: int = 0) -> VolumeFilling | None:
    """The mark that was passed, up or well below, since `told` was the last one."""
    percent = fill.used_bytes * 100 // fill.total_bytes if fill.total_bytes else 0
    mark = max((one for one in MARKS if percent >= one), default=0)
    if mark == told or (mark < told and percent > told - _CALM_PERCENT):
        return None
    return VolumeFilling(mark, fill.used_bytes, fill.total_bytes, name, uid)


def differences(machine: Machine, seen: tuple[SeenVolume, ...], mounted: frozenset[Incarnation]) -> tuple[Event, ...]:
    """What the storage shows that the state does not know. `mounted`: of whatever is mounted, name and uid."""
    shown = {(one.name, one.uid): one for one in seen}
    events: list[Event] = [*found_again(machine, seen)]
    for volume in machine.volumes.values():
        one, is_mounted = shown.get((volume.name, volume.uid)), (volume.name, volume.uid) in mounted
        events += gone(volume, one, is_mounted)
        if one is None:
            if volume.lost and volume.holder and not (is_mounted or volume.deleting):
                events.append(_unmounted(volume))
            continue
        if volume.holder and not one.mounted and has_it_open(machine, volume):
            events += mount_news(volume, mounted=False)
        elif volume.holder and not one.mounted:
            events.append(_unmounted(volume))
    return (*events, *broken(machine, seen))


def gone(volume: Volume, seen: SeenVolume | None, mounted: bool) -> tuple[Event, ...]:
    """What of the volume is not in the storage any more and was there: itself, or snapshots. Of what is lost the
    snapshots are not looked for: they come back with it, or under an import."""
    if seen is None:
        if volume.lost or volume.deleting or not volume.made_bytes:
            return ()
        return (VolumeLost(volume.name, volume.uid, mounted=mounted and bool(volume.holder)),)
    there = {snapshot.snapshot for snapshot in seen.snapshots}
    return tuple(
        SnapshotRemoved(volume.name, volume.uid, snapshot.uid)
        for snapshot in volume.snapshots
        if snapshot.taken and snapshot.uid not in there
    )


def _unmounted(volume: Volume) -> VolumeUnmounted:
    return VolumeUnmounted(volume.name, volume.uid, reason="it was not mounted any more")


def broken(machine: Machine, seen: tuple[SeenVolume, ...]) -> tuple[VolumeDrifted, ...]:
    """What is to be told of file systems that a workload holds and that take no writes any more."""
    return tuple(
        VolumeDrifted(volume.name, volume.uid, "read-only")
        for volume in spoiled(machine, seen)
        if volume.holder and not volume.lost and volume.foreign is None
    )


def has_it_open(machine: Machine, volume: Volume) -> bool:
    """Whether a run has the volume open, as far as the state knows, and shall go on with it."""
    workload = machine.workloads.get(volume.holder)
    if workload is None or workload.uid != volume.holder_uid or not is_needed(workload, volume):
        return False
    return workload.run is not None and workload.run.phase is RunPhase.RUNNING


def mount_news(volume: Volume, mounted: bool) -> tuple[Event, ...]:
    """What is new of the mount of a volume that a run has open: it is gone, or it was only reported and is back."""
    mark = volume.foreign
    if not mounted and mark is None:
        return (VolumeDrifted(volume.name, volume.uid, "unmounted"),)
    if mounted and mark is not None and mark.aspect == MOUNT and not mark.repair:
        return (VolumeMounted(volume.name, volume.uid, volume.holder, volume.holder_uid),)
    return ()


def found_again(machine: Machine, seen: tuple[SeenVolume, ...]) -> tuple[Event, ...]:
    """What was lost and is there again. Not while the old one is still mounted: its holder would write into that. The
    file may be larger than the file system in it, when a growth was cut short. Of which size it is has to be known."""
    lost = {
        (volume.name, volume.uid): volume.made_bytes
        for volume in machine.volumes.values()
        if volume.lost and not volume.holder
    }
    return tuple(
        VolumeMade(one.name, one.uid, min(one.size_bytes, lost[one.name, one.uid] or one.size_bytes))
        for one in seen
        if (one.name, one.uid) in lost and one.size_bytes
    )
