"""Admission of calls on volumes, and of the mounts that workloads declare. Pure."""

from collections.abc import Iterable

import msgspec
from msgspec.structs import replace

from journal.events import (
    AppliedWorkload,
    EffectFailed,
    Event,
    RollbackRequested,
    SnapshotDeleteRequested,
    SnapshotRemoved,
    SnapshotRequested,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeRestoreRequested,
)
from journal.specs import VolumeMount
from projections.foreign import MOUNT
from projections.intents import (
    CreateVolume,
    DeclaredVolume,
    DeleteSnapshot,
    DeleteVolume,
    ImportVolume,
    ResizeVolume,
    RestoreVolume,
    TakeSnapshot,
    VolumeIntent,
)
from projections.refusals import (
    Refusal,
    beside,
    conflict,
    in_section,
    invalid,
    missing,
    no_volume,
    refused,
    wrong_phase,
)
from projections.rules import NAME, bad_name
from projections.state import Machine, Snapshot, Volume, Workload
from projections.volumes import running_users_of, users_of

MIN_BYTES = 16 << 20
MAX_BYTES = 1 << 50
SNAPSHOTS_MOST = 256

Verdict = tuple[Event, ...] | Refusal


def admit_volume(machine: Machine, call: VolumeIntent, capabilities: frozenset[str]) -> Verdict:
    """The events that the call leads to, or why it is refused."""
    if "volume" not in capabilities:
        return refused("UNIMPLEMENTED", "NO_VOLUME_DRIVER", "this machine has no volume driver")
    if isinstance(call, CreateVolume):
        return _create(machine, call)
    if isinstance(call, ImportVolume):
        return _import(machine, call)
    volume = machine.volumes.get(call.name)
    if volume is None:
        if isinstance(call, DeleteVolume):
            return ()  # what does not exist is deleted: clients rely on it
        return no_volume(call.name, machine.volumes)
    if volume.deleting:
        return () if isinstance(call, DeleteVolume) else _leaving(volume)
    match call:
        case ResizeVolume():
            return _resize(machine, volume, call.size_bytes)
        case DeleteVolume():
            return _delete(machine, volume, call.force)
        case TakeSnapshot():
            return _take(volume, call.label)
        case DeleteSnapshot():
            return _drop(volume, call.label)
        case RestoreVolume():
            return _restore(volume, call)


def _leaving(volume: Volume) -> Refusal:
    return refused("ABORTED", "DELETING", f"volume {volume.name} is being deleted: wait until it is gone", "name")


def _lost(volume: Volume) -> Refusal:
    """Nothing is done to what is not there. While a workload has it open, that is the last way to its data."""
    user = volume.holder
    first = f"what {user} still has open ends with its run: copy out what you need, stop {user}, then " if user else ""
    return wrong_phase(
        "VOLUME_MISSING",
        f"volume {volume.name} is not in the storage any more: {first}bring it back there, have an export of it in "
        f"its place (`capsulectl volume import {volume.name} FILE`), or delete it and create it again",
        "name",
    )


def _sized(name: str, size_bytes: int) -> Refusal | None:
    if not NAME.fullmatch(name):
        return bad_name("a volume", name)
    if not MIN_BYTES <= size_bytes <= MAX_BYTES:
        return invalid("BAD_SIZE", f"volume {name}: a size is from 16MiB to 1PiB", "size")
    return None


def _create(machine: Machine, call: CreateVolume) -> Verdict:
    bad = _sized(call.name, call.size_bytes)
    if bad is not None:
        return bad
    before = machine.volumes.get(call.name)
    if before is not None:
        if before.deleting:
            return _leaving(before)
        return refused(
            "ALREADY_EXISTS",
            "VOLUME_EXISTS",
            f"volume {call.name} exists already: choose another name, or `capsulectl volume resize` it",
            "name",
        )
    return (VolumeApplied(call.name, call.size_bytes, created=True),)


def _import(machine: Machine, call: ImportVolume) -> Verdict:
    """A lost one is the same volume afterwards, which its workloads wait for, and keeps its snapshots: whichever the
    storage does not have are missed once it is looked at. What was still to be done to it is called off: that was asked
    for of other content."""
    bad = _sized(call.name, call.size_bytes)
    if bad is not None:
        return bad
    before = machine.volumes.get(call.name)
    if before is None:
        return (VolumeApplied(call.name, call.size_bytes, created=True, staged=call.staged),)
    if before.deleting:
        return _leaving(before)
    if not before.lost:
        return refused(
            "ALREADY_EXISTS",
            "VOLUME_EXISTS",
            f"volume {call.name} exists already, with data of its own: delete it first, or import under another name",
            "name",
        )
    if before.holder:
        return wrong_phase(
            "VOLUME_IN_USE",
            f"volume {call.name} is lost, but {before.holder} still has it open: stop {before.holder} first",
            "name",
        )
    never_taken = (SnapshotRemoved(before.name, before.uid, one.uid) for one in before.snapshots if not one.taken)
    size_bytes = max(call.size_bytes, before.size_bytes)
    return (*_given_up(before), VolumeApplied(call.name, size_bytes, staged=call.staged), *never_taken)


def _given_up(lost: Volume) -> tuple[EffectFailed, ...]:
    """The restore that an import comes before."""
    if not lost.restoring:
        return ()
    why = f"volume {lost.name} was lost before, and an import takes its place"
    of = lost.restoring
    return (EffectFailed("RestoreVolume", lost.name, lost.uid, "VOLUME_MISSING", why, permanent=True, snapshot=of),)


def _resize(machine: Machine, volume: Volume, size_bytes: int) -> Verdict:
    bad = _sized(volume.name, size_bytes)
    if bad is not None:
        return bad
    # What it has counts, not what was asked for: a growth that does not come about can be taken back.
    if size_bytes < volume.made_bytes:
        return wrong_phase(
            "VOLUME_SHRINK",
            f"volume {volume.name} has {volume.made_bytes >> 20} MiB and cannot shrink: make a smaller one and copy",
            "size",
        )
    if size_bytes == volume.size_bytes:
        return ()
    if volume.lost and size_bytes > volume.made_bytes:
        return _lost(volume)
    users = running_users_of(machine, volume.name)
    if users and volume.made_bytes and size_bytes > volume.made_bytes:
        return wrong_phase(
            "VOLUME_IN_USE",
            f"volume {volume.name} is used by {', '.join(users)}: stop it, resize, then start it again",
            "name",
        )
    return (VolumeApplied(volume.name, size_bytes),)


def _delete(machine: Machine, volume: Volume, force: bool) -> Verdict:
    users = users_of(machine, volume.name)
    if users and not force:
        them = "it" if len(users) == 1 else "them"
        return wrong_phase(
            "VOLUME_REFERENCED",
            f"volume {volume.name} is mounted by {', '.join(users)}: delete {' and '.join(users)} first, or "
            f"`capsulectl volume delete {volume.name} --force`, which stops {them}",
            "name",
        )
    return (VolumeDeleteRequested(volume.name, volume.uid, users),)


def _find(volume: Volume, label: str) -> Snapshot | None:
    return next((one for one in volume.snapshots if one.label == label and not one.leaving), None)


def _take(volume: Volume, label: str) -> Verdict:
    if not NAME.fullmatch(label):
        return bad_name("a snapshot", label, field="snapshot")
    if any(one.label == label for one in volume.snapshots):
        return refused(
            "ALREADY_EXISTS",
            "SNAPSHOT_EXISTS",
            f"volume {volume.name} has a snapshot {label} already: choose another name",
            "snapshot",
        )
    if (refusal := full(volume)) is not None:
        return refusal
    if volume.lost:
        return _lost(volume)
    if volume.restoring:
        return wrong_phase("RESTORING", f"volume {volume.name} is being restored: wait until it is done", "name")
    return (SnapshotRequested(volume.name, volume.uid, label),)


def full(volume: Volume, another: str = "", more: int = 1) -> Refusal | None:
    """No room for so many more snapshots: for `another` that is not what was asked for, but comes with it."""
    if len(volume.snapshots) + more <= SNAPSHOTS_MOST:
        return None
    return refused(
        "RESOURCE_EXHAUSTED",
        "TOO_MANY_SNAPSHOTS",
        f"volume {volume.name} has {len(volume.snapshots)} snapshots, and {SNAPSHOTS_MOST} are the most{another}: "
        "delete some first",
        "snapshot",
    )


def _drop(volume: Volume, label: str) -> Verdict:
    found = _find(volume, label)
    if found is None:
        return ()
    if volume.lost:
        return _lost(volume)
    if found.uid == volume.restoring:
        return wrong_phase("RESTORING", f"volume {volume.name} is being restored from {label}", "snapshot")
    if volume.restoring and found is _safety(volume):
        return wrong_phase("RESTORING", f"{label} keeps what volume {volume.name} has until it is restored", "snapshot")
    return (SnapshotDeleteRequested(volume.name, volume.uid, found.uid),)


def _safety(volume: Volume) -> Snapshot | None:
    """What was kept, or is to be kept, before the last restore."""
    return next((one for one in reversed(volume.snapshots) if one.safety), None)


def _restore(volume: Volume, call: RestoreVolume) -> Verdict:
    found = _find(volume, call.label)
    if found is None:
        known = ", ".join(one.label for one in volume.snapshots if one.taken) or "none"
        return missing(
            "SNAPSHOT_NOT_FOUND", f"volume {volume.name} has no snapshot {call.label}; it has {known}", "snapshot"
        )
    if volume.lost:
        return _lost(volume)
    if not found.taken:
        return wrong_phase("NOT_TAKEN", f"snapshot {call.label} is not taken yet", "snapshot")
    if volume.restoring:
        return wrong_phase("RESTORING", f"volume {volume.name} is being restored already", "name")
    if call.expect_seq not in (None, volume.desired_seq):
        return refused(
            "ABORTED",
            "SEQUENCE_MISMATCH",
            f"volume {volume.name} was last changed at {volume.desired_seq}, not at {call.expect_seq}: read it again, "
            "then repeat the call",
            "expect_seq",
        )
    restore = VolumeRestoreRequested(volume.name, volume.uid, found.uid)
    asked = RollbackRequested(found.uid, (volume.name,), call.reason, snapshot=found.label)
    told = (asked,) if call.rollback else ()
    if not call.safety_label:
        return (restore, *told)
    if (refusal := full(volume, ", with the one that is taken before a restore")) is not None:
        return refusal
    # Two restores within a second are proposed the same label.
    taken = {one.label for one in volume.snapshots}
    labels = (call.safety_label, *(f"{call.safety_label}-{number}" for number in range(2, len(taken) + 3)))
    safety = next(label for label in labels if label not in taken)
    return (SnapshotRequested(volume.name, volume.uid, safety, safety=True), restore, *told)


# --- as parts of an apply ----------------------------------------------------------------------------------------


class Declaration(msgspec.Struct, frozen=True):
    """What an apply says of volumes: the events, and the names that it creates."""

    events: tuple[VolumeApplied, ...]
    created: frozenset[str]


def declare_volumes(
    machine: Machine, volumes: Iterable[DeclaredVolume], capabilities: frozenset[str]
) -> Declaration | Refusal:
    """Create what is missing, grow what is smaller, and say what becomes of another hand's changes."""
    events: list[VolumeApplied] = []
    seen: set[str] = set()
    for declared in volumes:
        if declared.name in seen:
            return invalid("DUPLICATE_NAME", f"volume {declared.name} is declared twice in this call", "volumes")
        seen.add(declared.name)
        exists = declared.name in machine.volumes
        call: VolumeIntent = (ResizeVolume if exists else CreateVolume)(declared.name, declared.size_bytes)
        verdict = admit_volume(machine, call, capabilities)
        if isinstance(verdict, Refusal):
            return verdict
        sized = [event for event in verdict if isinstance(event, VolumeApplied)]
        before = machine.volumes.get(declared.name)
        if not sized and before is not None and not before.deleting and _says_more(before, declared):
            sized = [VolumeApplied(declared.name, before.size_bytes, same_size=True)]
        events += [replace(event, drift=declared.drift) for event in sized]
    return Declaration(tuple(events), frozenset(event.name for event in events if event.created))


def _says_more(before: Volume, declared: DeclaredVolume) -> bool:
    """Whether a declaration of the size that it has changes its policy, or is the word that something waits for."""
    mark = before.foreign
    return before.drift != declared.drift or (mark is not None and mark.aspect == MOUNT and not mark.repair)


def pin_mounts(machine: Machine, item: AppliedWorkload, created: frozenset[str]) -> AppliedWorkload | Refusal:
    """The item with each mount pinned to the incarnation it means; what this call creates is pinned by the fold."""
    if len({mount.volume_name for mount in item.container.mounts}) < len(item.container.mounts):
        return invalid("MOUNT_TWICE", "a volume is mounted more than once", "container.mounts")
    mounts: list[VolumeMount] = []
    for mount in item.container.mounts:
        volume = machine.volumes.get(mount.volume_name)
        if volume is not None and volume.deleting:
            return _leaving(volume)
        if volume is None and mount.volume_name not in created:
            return missing(
                "VOLUME_NOT_FOUND",
                f"{item.name} mounts volume {mount.volume_name}, which does not exist: create it with "
                f"`capsulectl volume create {mount.volume_name} SIZE`, or declare it beside the workload",
                "container.mounts",
                code="FAILED_PRECONDITION",
            )
        mounts.append(replace(mount, volume_uid=0 if volume is None else volume.uid))
    return replace(item, container=replace(item.container, mounts=tuple(mounts)))


def check_holders(machine: Machine, items: Iterable[AppliedWorkload]) -> Refusal | None:
    """A volume has one mounter at a time: of the workloads that shall run, those that stay and then the items."""
    items = tuple(items)
    replaced = {item.name for item in items}
    holders = {
        mount.volume_name: workload.name
        for workload in machine.workloads.values()
        if workload.name not in replaced and workload.desired == "running"
        for mount in workload.spec.mounts
    }
    for item in items:
        for mount in item.container.mounts if item.desired == "running" else ():
            holder = holders.setdefault(mount.volume_name, item.name)
            if holder != item.name:
                return in_section(item.kind, beside(item.name, _held(item.name, mount.volume_name, holder)))
    return None


def check_held(machine: Machine, items: Iterable[AppliedWorkload]) -> Refusal | None:
    """A run that has a lost volume open is not replaced by one that could not begin. Stopping it is another word."""
    for item in items:
        for mount in item.container.mounts if item.changed and item.desired == "running" else ():
            volume = machine.volumes.get(mount.volume_name)
            if volume is not None and volume.lost and volume.holder == item.name:
                lost = replace(_lost(volume), fields=("container.mounts",))
                return in_section(item.kind, beside(item.name, lost))
    return None


def check_start(machine: Machine, workload: Workload) -> Refusal | None:
    """Whether a stopped workload's volumes are free for it."""
    for other in machine.workloads.values():
        if other.name != workload.name and other.desired == "running":
            shared = {one.volume_name for one in other.spec.mounts} & {one.volume_name for one in workload.spec.mounts}
            if shared:
                return _held(workload.name, min(shared), other.name)
    return None


def _held(name: str, volume: str, holder: str) -> Refusal:
    return conflict(
        "VOLUME_HELD",
        f"{name} wants volume {volume}, which {holder} mounts: one workload at a time. Stop {holder} first",
        "container.mounts",
    )
