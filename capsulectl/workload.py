"""`capsulectl workload …`: list, get, start, stop, restart, delete, wait."""

import shlex
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from capsule.v1 import workload_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.options import COMMON, Common, DryRun, ExpectSeq, Format, Name, Output, Timeout, Watch, Yes
from capsulectl.prompt import confirm
from capsulectl.render import age, plain, say, table, write, write_line
from capsulectl.waiting import Goal, wait_for

Labels = Annotated[str, Parameter(name=["-l", "--selector"], help="Only those with this label: KEY or KEY=VALUE.")]

_HEADINGS = ("NAME", "PHASE", "RESTARTS", "AGE", "IMAGE")
_WIDE = (*_HEADINGS, "RUN", "PID", "UID", "NETWORK", "DIGEST", "MESSAGE")


def list_(*, output: Output = "table", watch: Watch = False, selector: Labels = "", common: Common = COMMON) -> None:
    """List workloads.

    Example: capsulectl workload list -o wide
    """
    connection = Connection(common.capsule)
    if watch:
        for workload, removed in _watched(connection, ()):
            if _selected(workload, selector):
                _print_change(workload, removed, output)
        return
    answer = connection.call(connection.workloads.List, pb.WorkloadListRequest())
    workloads = [workload for workload in answer.workloads if _selected(workload, selector)]
    if output in ("json", "yaml"):
        write({"workloads": [plain(workload) for workload in workloads], "desiredSeq": answer.desired_seq}, output)
    elif output == "name":
        for workload in workloads:
            print(workload.name)
    else:
        print(_table(workloads, output))


def get(name: Name, /, *, output: Output = "table", watch: Watch = False, common: Common = COMMON) -> None:
    """Show one workload; `-o yaml` can be edited and applied again.

    Example: capsulectl workload get web -o yaml
    """
    connection = Connection(common.capsule)
    workload = connection.call(connection.workloads.Get, pb.WorkloadGetRequest(name=name))
    if watch:
        for changed, removed in _watched(connection, (name,)):
            _print_change(changed, removed, output)
            if removed:
                return
        return
    if output in ("json", "yaml"):
        write(plain(workload), output)
    elif output == "name":
        print(workload.name)
    elif output == "wide":
        print(_table([workload], output))
    else:
        print(_page(workload))


def start(name: Name, /, *, dry_run: DryRun = False, expect_seq: ExpectSeq = None, wait: Annotated[
    bool, Parameter(name="--wait", negative="", help="Wait until it runs.")] = False, timeout: Timeout = 60,
    common: Common = COMMON) -> None:  # fmt: skip
    """Let a workload run.

    Example: capsulectl workload start web --wait
    """
    request = pb.WorkloadStartRequest(name=name, dry_run=dry_run, expect_seq=expect_seq)
    _act(common, "Start", request, f"{name} shall run", name, Goal.RUNNING if wait else None, timeout)


def stop(name: Name, /, *, dry_run: DryRun = False, expect_seq: ExpectSeq = None, wait: Annotated[
    bool, Parameter(name="--wait", negative="", help="Wait until it has stopped.")] = False, timeout: Timeout = 60,
    common: Common = COMMON) -> None:  # fmt: skip
    """Stop a workload; it stays stopped over reboots until it is started or applied again.

    Example: capsulectl workload stop web --wait
    """
    request = pb.WorkloadStopRequest(name=name, dry_run=dry_run, expect_seq=expect_seq)
    answer = _act(common, "Stop", request, f"{name} shall stop", name, Goal.STOPPED if wait else None, timeout)
    if answer.not_remembered:
        say(f"{name} was stopped, but the journal cannot write: the stop is not remembered as desired state")


def restart(name: Name, /, *, dry_run: DryRun = False, expect_seq: ExpectSeq = None, wait: Annotated[
    bool, Parameter(name="--wait", negative="", help="Wait until the new run lives.")] = False, timeout: Timeout = 60,
    common: Common = COMMON) -> None:  # fmt: skip
    """End the present run and begin another; the desired state stays as it is.

    Example: capsulectl workload restart web
    """
    request = pb.WorkloadRestartRequest(name=name, dry_run=dry_run, expect_seq=expect_seq)
    _act(common, "Restart", request, f"{name} shall begin a new run", name, Goal.RUNNING if wait else None, timeout)


def delete(names: Annotated[list[str], Parameter(help="The workloads' names.")], /, *, yes: Yes = False,
    dry_run: DryRun = False, expect_seq: ExpectSeq = None, common: Common = COMMON) -> None:  # fmt: skip
    """Leave nothing of a workload: its processes, its file system and its logs go.

    Example: capsulectl workload delete web --yes
    """
    if not dry_run:
        confirm(f"Delete {', '.join(names)} with everything in it?", yes)
    for name in names:
        request = pb.WorkloadDeleteRequest(name=name, dry_run=dry_run, expect_seq=expect_seq)
        _act(common, "Delete", request, f"{name} is gone", name, None, 0)


def wait(
    name: Name,
    /,
    *,
    until: Annotated[
        Literal["running", "stopped", "gone"], Parameter(name="--for", help="running, stopped or gone.")
    ] = "running",
    timeout: Timeout = 60,
    common: Common = COMMON,
) -> None:
    """Wait until a workload runs, has stopped, or is gone. Exits 124 when the time is over.

    Example: capsulectl workload wait web --for running --timeout 30
    """
    wait_for(Connection(common.capsule), {name: Goal(until)}, timeout)


def _act(common: Common, method: str, request: Any, done: str, name: str, goal: Goal | None, timeout: float) -> Any:
    connection = Connection(common.capsule)
    call: Callable[..., Any] = getattr(connection.workloads, method)
    answer = connection.call(call, request)
    if request.dry_run:
        print_plan(answer.plan)
        return answer
    if goal is not None:
        wait_for(connection, {name: goal}, timeout)
    say(done, common.quiet)
    return answer


def print_plan(plan: Any) -> None:
    """What would be done."""
    if not plan:
        print("nothing to do")
        return
    print(table(("EFFECT", "OBJECT", "DETAIL"), [(one.effect, one.object, one.detail) for one in plan]))


def _watched(connection: Connection, names: tuple[str, ...]) -> Iterator[tuple[Any, bool]]:
    from capsule.v1 import machine_pb2

    for item in connection.stream(connection.machine.Watch, machine_pb2.WatchRequest(names=names)):
        if not item.synced:
            yield item.workload, item.removed


def _print_change(workload: Any, removed: bool, output: Format) -> None:
    if output in ("json", "yaml"):
        write_line({"removed": removed, "workload": plain(workload)})
    elif output == "name":
        print(workload.name, flush=True)
    elif removed:
        print(f"{workload.name}  gone", flush=True)
    else:
        print(table(_row(workload, output), []), flush=True)


def _selected(workload: Any, selector: str) -> bool:
    if not selector:
        return True
    key, equals, value = selector.partition("=")
    return key in workload.labels and (not equals or workload.labels[key] == value)


def _table(workloads: list[Any], output: Format) -> str:
    headings = _WIDE if output == "wide" else _HEADINGS
    return table(headings, [_row(workload, output) for workload in workloads])


def _row(workload: Any, output: Format) -> tuple[str, ...]:
    status = workload.status
    row = (
        workload.name,
        phase(workload),
        str(status.restart_count),
        age(status.started_at_unix_ns if status.phase == pb.WORKLOAD_PHASE_RUNNING else status.finished_at_unix_ns),
        short_image(workload.container.image),
    )
    if output != "wide":
        return row
    network = pb.NetworkMode.Name(workload.container.network_mode).removeprefix("NETWORK_MODE_")
    return (
        *row,
        str(status.run or ""),
        str(status.pid or ""),
        str(workload.uid),
        network,
        workload.image_digest[:19],
        status.message,
    )


def phase(workload: Any) -> str:
    """The phase, and what is behind it where that says more: `Pending (backoff)`."""
    word = pb.WorkloadPhase.Name(workload.status.phase).removeprefix("WORKLOAD_PHASE_").capitalize()
    detail = workload.status.phase_detail
    return word if detail in ("", word.lower()) else f"{word} ({detail})"


def short_image(ref: str) -> str:
    """Without what everybody knows."""
    return ref.removeprefix("docker.io/library/").removeprefix("docker.io/")


def _page(workload: Any) -> str:
    status, container = workload.status, workload.container
    lines = [
        ("Name", workload.name),
        ("Phase", phase(workload)),
        ("Message", status.message),
        ("Desired", pb.DesiredState.Name(workload.desired_state).removeprefix("DESIRED_STATE_").lower()),
        ("Image", f"{short_image(container.image)} ({workload.image_digest})"),
        ("Command", shlex.join([*container.command, *container.args]).replace("\n", " ")),
        ("Network", pb.NetworkMode.Name(container.network_mode).removeprefix("NETWORK_MODE_")),
        ("Run", f"{status.run}" + (f", pid {status.pid}" if status.pid else "")),
        ("Started", f"{age(status.started_at_unix_ns)} ago" if status.started_at_unix_ns else ""),
        ("Ended", f"{age(status.finished_at_unix_ns)} ago" if status.finished_at_unix_ns else ""),
        ("Exit code", str(status.exit_code) if status.HasField("exit_code") else ""),
        ("Restarts", str(status.restart_count)),
        ("Labels", ", ".join(f"{key}={value}" for key, value in sorted(workload.labels.items()))),
        ("Env", ", ".join(f"{key}={value}" for key, value in sorted(container.env.items()))),
        ("Changed at", f"{workload.desired_seq} (`capsulectl history show {workload.desired_seq}`)"),
    ]
    return "\n".join(f"{name + ':':<12}{value}" for name, value in lines if value)
