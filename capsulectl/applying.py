"""What `apply` and `diff` do: manifests to one call, and its answer to lines."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from capsule.v1 import machine_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.apply_line import ApplyLine
from capsulectl.connection import Connection
from capsulectl.endings import ASKED, WAITED, told
from capsulectl.errors import DIFFERS, USAGE, Failure
from capsulectl.manifests import VolumeManifest, load
from capsulectl.places import Places
from capsulectl.render import plain, say, signed, write
from projections.words import bytes_text

if TYPE_CHECKING:
    from capsulectl.options import Format

MESSAGE_BYTES = 4 << 20
"""What a capsule takes in one message."""


def declare(line: ApplyLine) -> None:
    """Apply what the manifests describe, and wait if that was asked for. Raises Failure."""
    places = Places()
    workloads, volumes = load(_checked(line.filenames), line.recursive, places)
    connection = Connection(line.capsule)
    request = machine_pb2.ApplyAllRequest(
        workloads=workloads,
        volumes=_declared(volumes),
        dry_run=line.dry_run,
        expect_seq=line.expect_seq,
        pull=line.pull,
    )
    if request.ByteSize() > MESSAGE_BYTES:
        raise Failure(
            f"the manifests are {bytes_text(request.ByteSize())} together, and a call takes "
            f"{bytes_text(MESSAGE_BYTES)}: keep large values in a volume, or apply fewer at once",
            USAGE,
        )
    with told(ASKED), places.told():
        answer = connection.call(connection.machine.ApplyAll, request)
    if not line.wait or line.dry_run:
        _print(answer, line)
        return
    from capsulectl.waiting import Goal, wait_for

    stopped = pb.DESIRED_STATE_STOPPED
    goals = {one.name: Goal.STOPPED if one.desired_state == stopped else Goal.HEALTHY for one in workloads}
    with told(WAITED):
        _print(answer, line)
        sys.stdout.flush()  # before the waiting, also where it is no terminal
        wait_for(connection, goals, line.timeout)


def _print(answer: Any, line: ApplyLine) -> None:
    if line.output in ("json", "yaml"):
        write(plain(answer), line.output)
    elif line.dry_run and line.output != "name":
        _print_dry_run(answer)
    else:
        for volume in answer.volumes:
            print(f"volume/{volume.name}" if line.output == "name" else f"volume/{volume.name} {volume.outcome}")
        for item in answer.items:
            name = item.workload.name
            print(name if line.output == "name" else f"workload/{name} {item.outcome}")


def differences(filenames: Sequence[str], recursive: bool, pull: bool, output: "Format", capsule: str) -> int:
    """Show what applying would change; the exit code."""
    places = Places()
    try:
        workloads, volumes = load(_checked(filenames), recursive, places)
        connection = Connection(capsule)
        request = machine_pb2.DiffRequest(workloads=workloads, volumes=_declared(volumes), pull=pull)
        with places.told():
            answer = connection.call(connection.machine.Diff, request)
    except Failure as failure:
        raise Failure(failure.message, USAGE) from failure
    differs = print_differences(answer.changes, output)
    for note in answer.notes:
        say(f"workload/{note.name}: {note.message}")
    return differs


def print_differences(changes: Any, output: "Format") -> int:
    """Changes, object by object; the exit code."""
    if output in ("json", "yaml"):
        write([plain(change) for change in changes], output)
    elif output == "name":
        for name in dict.fromkeys(change.name for change in changes):
            print(name)
    else:
        _print_changes(changes)
    return DIFFERS if changes else 0


def _checked(filenames: Sequence[str]) -> list[str]:
    """`-` has to be allowed as a value, and with it cyclopts lets mistyped options through."""
    for name in filenames:
        if name.startswith("-") and name != "-":
            raise Failure(f"unknown option {name}", USAGE)
    return list(filenames)


def _print_dry_run(answer: Any) -> None:
    from capsulectl.workload import print_plan

    for volume in answer.volumes:
        print(f"volume/{volume.name} {volume.outcome} (dry run)")
    for item in answer.items:
        print(f"workload/{item.workload.name} {item.outcome} (dry run)")
    print_plan(answer.plan, "all is as declared")


def _declared(volumes: list[VolumeManifest]) -> list[Any]:
    return [
        machine_pb2.DeclaredVolume(name=one.name, size_bytes=one.size_bytes, drift=one.drift)  # type: ignore[arg-type]
        for one in volumes
    ]


def _print_changes(changes: Any) -> None:
    name = ""
    for change in changes:
        if change.name != name:
            name = change.name
            print(name if "/" in name else f"workload/{name}")
        print(f"  {change_line(change)}")


def change_line(change: Any) -> str:
    """A field, and what became of it."""
    old, new = (_value(change.path, one) for one in (change.old, change.new))
    values = {"add": new, "remove": old}.get(change.op, f"{old} -> {new}")
    means = " (another one under this name)" if change.path == "uid" else ""
    return signed(change.op, f"{change.path}: {values}{means}")


def _value(path: str, value: str) -> str:
    """A size as people read it; with its bytes, where a decimal would hide some."""
    if not path.endswith(("_bytes", "size")) or not value.isdecimal():
        return value
    text = bytes_text(int(value))
    return f"{text} ({value})" if "." in text else text
