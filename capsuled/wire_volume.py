"""Volumes and snapshots as clients see them. Pure."""

from capsule.v1 import volume_pb2 as pb
from projections.state import Machine, Snapshot, Volume
from projections.storage import Fill, SeenVolume, standing
from projections.volumes import users_of


def volume_message(
    machine: Machine, volume: Volume, path: str, seen: SeenVolume | None, fill: Fill | None
) -> pb.Volume:
    """`seen` and `fill` are what the storage says now, if it does."""
    phase, message = standing(volume, seen)
    return pb.Volume(
        name=volume.name,
        size_bytes=volume.size_bytes,
        host_path=path if volume.holder else "",
        mounted_by=users_of(machine, volume.name),
        created_at_unix=volume.created_at // 1_000_000_000,
        uid=volume.uid,
        phase=phase,
        message=message,
        holder=volume.holder,
        allocated_bytes=0 if seen is None else seen.used_bytes,
        fs_total_bytes=0 if fill is None else fill.total_bytes,
        fs_used_bytes=0 if fill is None else fill.used_bytes,
        snapshots=sum(one.taken for one in volume.snapshots),
        desired_seq=volume.desired_seq,
        drift=volume.drift,
    )


def snapshot_message(volume: Volume, snapshot: Snapshot, seen: SeenVolume | None) -> pb.Snapshot:
    """`seen` is what the storage says of the volume now, if it does."""
    shown = {} if seen is None else {one.snapshot: one for one in seen.snapshots}
    found = shown.get(snapshot.uid)
    return pb.Snapshot(
        volume=volume.name,
        name=snapshot.label,
        uid=snapshot.uid,
        size_bytes=snapshot.size_bytes,
        allocated_bytes=0 if found is None else found.used_bytes,
        method=snapshot.method,
        safety=snapshot.safety,
        taken=snapshot.taken,
        requested_at_unix=snapshot.requested_at // 1_000_000_000,
    )


def volume_changes(before: Volume | None, after: Volume | None) -> list[tuple[str, str, str, str]]:
    """(op, path, old, new) of what is declared of a volume: its size, and its policy where it is not the usual one."""
    old, new = (_declared(one) for one in (before, after))
    return [
        ("change" if path in old and path in new else "add" if path in new else "remove", path, before_, after_)
        for path in ("size", "drift")
        if (before_ := old.get(path, "")) != (after_ := new.get(path, ""))
    ]


def _declared(volume: Volume | None) -> dict[str, str]:
    if volume is None:
        return {}
    return {"size": str(volume.size_bytes), **({"drift": volume.drift} if volume.drift != "repair" else {})}
