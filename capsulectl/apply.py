"""`capsulectl apply` and `capsulectl diff`."""

from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import machine_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import DIFFERS, USAGE, Failure
from capsulectl.manifests import VolumeManifest, load
from capsulectl.options import COMMON, Common, DryRun, ExpectSeq, Output, Timeout
from capsulectl.render import plain, write

Files = Annotated[
    list[str],
    Parameter(
        name=["-f", "--filename"],
        help="A manifest: file, directory, or - for standard input. Can be repeated.",
        allow_leading_hyphen=True,
        negative="",
    ),
]
Pull = Annotated[bool, Parameter(name="--pull", negative="", help="Resolve image names again, off their pins.")]


def apply(
    *,
    filename: Files,
    dry_run: DryRun = False,
    pull: Pull = False,
    expect_seq: ExpectSeq = None,
    wait: Annotated[bool, Parameter(name="--wait", negative="", help="Wait until everything runs.")] = False,
    timeout: Timeout = 60,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Declare what the manifests describe: all of it or, if anything is wrong, nothing.

    Example: capsulectl apply -f web.yaml --wait
    """
    workloads, volumes = load(_checked(filename))
    connection = Connection(common.capsule)
    request = machine_pb2.ApplyAllRequest(
        workloads=workloads, volumes=_declared(volumes), dry_run=dry_run, expect_seq=expect_seq, pull=pull
    )
    answer = connection.call(connection.machine.ApplyAll, request)
    if output in ("json", "yaml"):
        write(plain(answer), output)
    elif dry_run:
        _print_dry_run(answer)
    else:
        for volume in answer.volumes:
            print(volume.name if output == "name" else f"volume/{volume.name} {volume.outcome}")
        for item in answer.items:
            print(item.workload.name if output == "name" else f"workload/{item.workload.name} {item.outcome}")
    if wait and not dry_run:
        from capsulectl.waiting import Goal, wait_for

        stopped = pb.DESIRED_STATE_STOPPED
        goals = {one.name: Goal.STOPPED if one.desired_state == stopped else Goal.RUNNING for one in workloads}
        wait_for(connection, goals, timeout)


def _checked(filenames: list[str]) -> list[str]:
    """`-` has to be allowed as a value, and with it cyclopts lets mistyped options through."""
    for name in filenames:
        if name.startswith("-") and name != "-":
            raise Failure(f"unknown option {name}", USAGE)
    return filenames


def _print_dry_run(answer: Any) -> None:
    from capsulectl.workload import print_plan

    for volume in answer.volumes:
        print(f"volume/{volume.name} {volume.outcome} (dry run)")
    for item in answer.items:
        print(f"workload/{item.workload.name} {item.outcome} (dry run)")
    print_plan(answer.plan)


def _declared(volumes: list[VolumeManifest]) -> list[Any]:
    return [machine_pb2.DeclaredVolume(name=one.name, size_bytes=one.size_bytes) for one in volumes]


def diff(*, filename: Files, pull: Pull = False, output: Output = "table", common: Common = COMMON) -> int:
    """Show what applying the manifests would change. Exits 0 when nothing, 1 when something, 2 on an error.

    Example: capsulectl diff -f web.yaml
    """
    try:
        workloads, volumes = load(_checked(filename))
        connection = Connection(common.capsule)
        answer = connection.call(
            connection.machine.Diff, machine_pb2.DiffRequest(workloads=workloads, volumes=_declared(volumes), pull=pull)
        )
    except Failure as failure:
        raise Failure(failure.message, USAGE) from failure
    if output in ("json", "yaml"):
        write([plain(change) for change in answer.changes], output)
    elif output == "name":
        for name in dict.fromkeys(change.name for change in answer.changes):
            print(name)
    else:
        _print_changes(answer.changes)
    return DIFFERS if answer.changes else 0


def _print_changes(changes: Any) -> None:
    signs = {"add": "+", "remove": "-", "change": "~"}
    name = ""
    for change in changes:
        if change.name != name:
            name = change.name
            print(name if "/" in name else f"workload/{name}")
        values = {"add": change.new, "remove": change.old}.get(change.op, f"{change.old} -> {change.new}")
        print(f"  {signs[change.op]} {change.path}: {values}")
