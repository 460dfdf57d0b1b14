"""`capsulectl volume …`: volumes and their snapshots."""

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import volume_pb2 as pb
from capsulectl.absent import parted, tell
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.field_names import nearest
from capsulectl.moments import At, as_of
from capsulectl.names import snapshot_names, volume_names
from capsulectl.options import COMMON, Common, Output, Yes, not_empty
from capsulectl.prompt import asks, confirm
from capsulectl.quantities import size_bytes
from capsulectl.render import age, plain, say, show_table, write, write_documents, write_items
from projections.words import bytes_text

LONG_S = 920.0
"""Where the storage cannot share blocks, a snapshot is a copy, and so is a restore."""


def _named(type_: object, tokens: Sequence[Any]) -> Any:
    """A converter: `volume/data`, as other verbs print and take it, is `data` here."""
    found = not_empty(type_, tokens)
    return _bare(found) if isinstance(found, str) else type(found)(_bare(one) for one in found)


def _bare(asked: str) -> str:
    return asked.removeprefix("volume/") or asked


Name = Annotated[str, Parameter(help="The volume's name.", converter=_named, completer=volume_names)]
Names = Annotated[list[str], Parameter(help="Volumes' names.", converter=_named, completer=volume_names, negative="")]
New = Annotated[str, Parameter(help="The volume's name.")]
Label = Annotated[str, Parameter(help="The snapshot's name.", completer=snapshot_names)]
Labels = Annotated[
    list[str], Parameter(help="Snapshots' names.", converter=not_empty, completer=snapshot_names, negative="")
]
Size = Annotated[str, Parameter(help="With a unit: 512MiB, 2GiB.")]


def create(name: New, size: Size, /, *, output: Output = "table", common: Common = COMMON) -> None:
    """Make a volume with an ext4 file system.

    Example: capsulectl volume create data 2GiB
    """
    request = pb.VolumeCreateRequest(name=name, size_mib=_mib(size))
    connection = Connection(common.capsule)
    volume = connection.call(connection.volumes.Create, request)
    _print(volume, output, f"volume/{name} created, {bytes_text(volume.size_bytes)}")


def list_(*, output: Output = "table", at: At = "", common: Common = COMMON) -> None:
    """List volumes, and how full they and the storage are.

    Example: capsulectl volume list
    """
    connection = Connection(common.capsule)
    past = as_of(connection, at, common.quiet, "volumes", "snapshots") if at else None
    now_ns = None if past is None else past.at_unix_ns
    answer = past or connection.read(connection.volumes.List, pb.VolumeListRequest())
    if not write_items(answer.volumes, output, lambda volume: volume.name, as_data):
        wide = output == "wide"
        headings = ("NAME", "PHASE", "SIZE", "USED", "MOUNTED BY", "SNAPSHOTS", "AGE", *(("ALLOCATED", "PATH") * wide))
        show_table(headings, [_row(volume, wide, now_ns) for volume in answer.volumes], cut=not wide)
        if past is not None:
            return  # how full the storage was is not remembered
        free = answer.pool_total_bytes - answer.pool_used_bytes
        say(f"the storage has {bytes_text(free)} of {bytes_text(answer.pool_total_bytes)} left", common.quiet)


def _row(volume: Any, wide: bool, now_ns: int | None) -> tuple[str, ...]:
    used = f"{volume.fs_used_bytes * 100 // volume.fs_total_bytes}%" if volume.fs_total_bytes else "-"
    row = (
        volume.name,
        volume.phase,
        bytes_text(volume.size_bytes),
        used,
        ",".join(volume.mounted_by) or "-",
        str(volume.snapshots),
        age(volume.created_at_unix * 1_000_000_000, now_ns),
    )
    return (*row, bytes_text(volume.allocated_bytes), volume.host_path or "-") if wide else row


def get(names: Names, /, *, output: Output = "table", at: At = "", common: Common = COMMON) -> None:
    """Show volumes in full.

    Example: capsulectl volume get data
    """
    chosen = list(dict.fromkeys(names))
    connection = Connection(common.capsule)
    past = as_of(connection, at, common.quiet, "volumes", "snapshots") if at else None
    if past is None:
        requests = [pb.VolumeGetRequest(name=name) for name in chosen]
        answers = connection.calls(connection.volumes.Get, requests, changes=False)
    else:
        answers = [_then(past, name) for name in chosen]
    missing = [one for one in answers if isinstance(one, Failure)]
    if missing and len(answers) == 1:
        raise missing[0]
    volumes = [one for one in answers if not isinstance(one, Failure)]
    if output == "yaml":
        write_documents([as_data(one) for one in volumes])
    elif output == "json":
        data = [as_data(one) for one in volumes]
        write(data[0] if len(names) == 1 else {"volumes": data}, output)
    elif output == "name":
        for one in volumes:
            print(one.name)
    else:
        print("\n\n".join(_page(one, past) for one in volumes), end="\n" if volumes else "")
    if missing:
        raise Failure("\ncapsulectl: ".join(one.message for one in missing))


def as_data(volume: Any) -> dict[str, Any]:
    """A volume as plain data, which may be applied again: that takes its kind."""
    return {"name": volume.name, "kind": "Volume"} | plain(volume)


def _page(volume: Any, past: Any) -> str:
    """A volume in full. `past`: the machine at the moment that was asked about, if it was."""
    used = f"{bytes_text(volume.fs_used_bytes)} of {bytes_text(volume.fs_total_bytes)}" if volume.fs_total_bytes else ""
    lines = {
        "Volume": volume.name,
        "Phase": f"{volume.phase}{': ' + volume.message if volume.message else ''}",
        "Size": bytes_text(volume.size_bytes),
        "Used": used or ("" if past else "not mounted"),
        "Allocated": "" if past else bytes_text(volume.allocated_bytes),
        "Mounted by": ", ".join(volume.mounted_by) or "nothing",
        "Path": volume.host_path,
        "Snapshots": str(volume.snapshots),
        "Age": age(volume.created_at_unix * 1_000_000_000, None if past is None else past.at_unix_ns),
    }
    return "\n".join(f"{heading + ':':<12}{text}" for heading, text in lines.items() if text)


def _then(past: Any, name: str) -> Any:
    """The volume there was, or a Failure in its place."""
    found = next((volume for volume in past.volumes if volume.name == name), None)
    return Failure(f"there was no volume {name} then") if found is None else found


def resize(name: Name, size: Size, /, *, output: Output = "table", common: Common = COMMON) -> None:
    """Let a volume grow. It never shrinks, and nothing may run on it meanwhile.

    Example: capsulectl volume resize data 4GiB
    """
    request = pb.VolumeResizeRequest(name=name, new_size_mib=_mib(size))
    connection = Connection(common.capsule)
    volume = connection.call(connection.volumes.Resize, request)
    _print(volume, output, f"volume/{name} has {bytes_text(volume.size_bytes)}")


def delete(
    *names: Name,
    force: Annotated[
        bool, Parameter(name="--force", negative="", help="Also when workloads mount it; they are stopped.")
    ] = False,
    yes: Yes = False,
    common: Common = COMMON,
) -> None:
    """Leave nothing of volumes, their data and their snapshots included.

    Example: capsulectl volume delete data --yes
    """
    if not names:
        raise Failure("which volume? Name one, or several", USAGE)
    connection = Connection(common.capsule)
    chosen, never = parted(names, lambda: _known(connection), yes)
    if chosen:
        confirm(f"Delete {', '.join(chosen)} with all data and snapshots?", yes)
    for name in chosen:
        answer = connection.call(connection.volumes.Delete, pb.VolumeDeleteRequest(name=name, force=force))
        taken = f", taken from {', '.join(answer.detached_from)}" if answer.detached_from else ""
        if answer.absent:
            never.append(name)
        else:
            say(f"volume {name} is gone{taken}", common.quiet)
    tell(never, lambda: _known(connection), "volume {}", common.quiet)


def _known(connection: Connection) -> list[str]:
    """The volumes there are."""
    return [one.name for one in connection.read(connection.volumes.List, pb.VolumeListRequest()).volumes]


def _labels(connection: Connection, name: str) -> list[str]:
    """The snapshots that a volume has. Raises Failure where it is none."""
    found = connection.read(connection.snapshots.List, pb.SnapshotListRequest(volume=name)).snapshots
    return [one.name for one in found]


def snapshot(
    name: Name,
    label: Annotated[str, Parameter(help="The snapshot's name; made from the time when left out.")] = "",
    /,
    *,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Keep a volume as it is now, also while a workload runs on it.

    Example: capsulectl volume snapshot data before-upgrade
    """
    connection = Connection(common.capsule)
    request = pb.SnapshotTakeRequest(volume=name, name=label)
    taken = connection.call(connection.snapshots.Take, request, timeout=LONG_S)
    how = "a copy: this storage cannot share blocks" if taken.method == "copy" else f"by {taken.method}"
    _print(taken, output, f"snapshot/{taken.name} of volume {name} taken ({how})")


def snapshots(
    name: Annotated[
        str, Parameter(help="The volume; all of them when left out.", converter=_named, completer=volume_names)
    ] = "",
    /,
    *,
    output: Output = "table",
    at: At = "",
    common: Common = COMMON,
) -> None:
    """List snapshots.

    Example: capsulectl volume snapshots data
    """
    connection = Connection(common.capsule)
    past = as_of(connection, at, common.quiet, "volumes", "snapshots") if at else None
    now_ns = None if past is None else past.at_unix_ns
    if past is None:
        found = connection.read(connection.snapshots.List, pb.SnapshotListRequest(volume=name)).snapshots
    else:
        found = [one for one in past.snapshots if name in ("", one.volume)]
    if not write_items(found, output, lambda one: one.name if name else f"{one.volume} {one.name}"):
        rows = [
            (
                one.volume,
                one.name,
                bytes_text(one.size_bytes) if one.taken else "being taken",
                bytes_text(one.allocated_bytes),
                one.method or "-",
                "before a restore" if one.safety else "",
                age(one.requested_at_unix * 1_000_000_000, now_ns),
            )
            for one in found
        ]
        show_table(
            ("VOLUME", "SNAPSHOT", "SIZE", "ALLOCATED", "METHOD", "KEPT", "AGE"), rows, cut=output != "wide", kept=2
        )


def restore(name: Name, label: Label, /, *, yes: Yes = False, common: Common = COMMON) -> None:
    """Bring a volume back to a snapshot. What runs on it is stopped meanwhile; a safety snapshot is kept.

    Example: capsulectl volume restore data before-upgrade --yes
    """
    connection = Connection(common.capsule)
    there = _labels(connection, name) if asks(yes) else [label]
    if label not in there:
        instead = nearest(label, there) or f": `capsulectl volume snapshots {name}` shows those there are"
        raise Failure(f"volume {name} has no snapshot {label}{instead}")
    confirm(f"Replace the content of volume {name} by snapshot {label}?", yes)
    request = pb.SnapshotRestoreRequest(volume=name, name=label)
    answer = connection.call(connection.snapshots.Restore, request, timeout=LONG_S)
    restarted = f"; {', '.join(answer.restarted)} starts again" if answer.restarted else ""
    print(f"volume/{name} restored from {label}{restarted}")
    say(f"what it was before is kept as {answer.safety}", common.quiet)


def delete_snapshot(name: Name, labels: Labels, /, *, yes: Yes = False, common: Common = COMMON) -> None:
    """Forget snapshots of a volume.

    Example: capsulectl volume snapshot-delete data before-upgrade --yes
    """
    connection = Connection(common.capsule)
    chosen, never = parted(labels, lambda: _labels(connection, name), yes)
    if chosen:
        confirm(f"Delete snapshot{'s' if len(chosen) > 1 else ''} {', '.join(chosen)} of volume {name}?", yes)
    for label in chosen:
        answer = connection.call(connection.snapshots.Delete, pb.SnapshotDeleteRequest(volume=name, name=label))
        if answer.absent:
            never.append(label)
        else:
            say(f"snapshot {label} of volume {name} is gone", common.quiet)
    tell(never, lambda: _labels(connection, name), f"snapshot {{}} of volume {name}", common.quiet)


def _print(message: Any, output: str, text: str) -> None:
    if output in ("json", "yaml"):
        write(as_data(message) if isinstance(message, pb.Volume) else plain(message), output)  # type: ignore[arg-type]
    else:
        print(message.name if output == "name" else text)


def _mib(text: str) -> int:
    try:
        count = size_bytes(text)
    except ValueError as error:
        raise Failure(str(error), USAGE) from error
    if count % (1 << 20):
        raise Failure(f"{text}: a volume's size is in whole MiB", USAGE)
    return int(count >> 20)
