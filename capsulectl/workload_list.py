"""`capsulectl workload list`, `get` and `events`: what there is, what it is like, and what happened to it.

A plain list never comes here (see list_line.py).
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import workload_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import USAGE, Failure
from capsulectl.moments import At, as_of, no_watch
from capsulectl.options import COMMON, Common, Format, Name, Output, Some, Watch, count, not_empty
from capsulectl.render import plain, say, show_row, widths_of, write, write_documents, write_line, write_next
from capsulectl.selecting import Labels, Phases, Selection, check_asked, targets, workload_named
from capsulectl.workload_rows import SINCE, headings, row_of, show, show_all, show_answer

TOLD = ("workload.", "effect.failed", "call.refused")
"""What the page of a workload shows: what was asked and what became of it, not every step between."""

ENTERED = ("stream.opened",)
"""And who went in; `events` shows that, too."""


def list_(
    *,
    output: Output = "table",
    watch: Watch = False,
    selector: Labels = (),
    phase: Phases = (),
    at: At = "",
    all_: Annotated[bool, Parameter(name=["-a", "--all"], negative="", show=False)] = False,  # as it is anyway
    common: Common = COMMON,
) -> None:
    """List workloads. With -w, go on with every change; -o json is then one object a line.

    Example: capsulectl workload list -l app=web,tier!=db --phase pending,failed
    """
    selection = Selection(selector, phase)
    connection = Connection(common.capsule)
    if at:
        answer = as_of(connection, no_watch(at, watch), common.quiet, "workloads")
        show_answer(answer, output, selection.has, answer.at_unix_ns)
        return
    if watch:
        _watch(connection, (), selection, output)
        return
    show_all(connection, output, selection.has)


Reveal = Annotated[
    bool,
    Parameter(
        name="--reveal",
        negative="",
        help="Show the values of the environment, too. Who asked, and when, stands in the history.",
    ),
]


def get(
    names: Some = (),
    /,
    *,
    selector: Labels = (),
    output: Output = "table",
    watch: Watch = False,
    reveal: Reveal = False,
    at: At = "",
    common: Common = COMMON,
) -> None:
    """Show workloads in full; `-o yaml` can be edited and applied again. With -w each is a line, as in `list`, and so
    is every change from then on.

    Example: capsulectl workload get web -o yaml
    """
    check_asked(names, selector, "get")
    if reveal and (watch or at):
        raise Failure(f"--reveal tells of now, once: leave out {'--watch' if watch else '--at'}", USAGE)
    connection = Connection(common.capsule)
    past = as_of(connection, no_watch(at, watch), common.quiet, "workloads") if at else None
    chosen = targets(connection, names, selector, "get", there=None if past is None else past.workloads)
    if past is not None:
        workloads, missing = _found_in(past, chosen)
    else:
        workloads, missing = (_revealed if reveal else _found)(connection, chosen)
    now_ns = None if past is None else past.at_unix_ns
    if watch and workloads:
        _watch(connection, () if selector else tuple(one.name for one in workloads), Selection(selector), output)
    elif output == "yaml":
        write_documents([plain(workload) for workload in workloads])
    elif output == "json":
        data = [plain(workload) for workload in workloads]
        write(data[0] if len(names) == 1 else {"workloads": data}, output)
    elif output == "table":
        from capsulectl.workload_page import page

        upto = 0 if past is None else past.seq
        pages = (page(one, _last_events(connection, one.name, upto), now_ns) for one in workloads)
        print("\n\n".join(pages), end="\n" if workloads else "")
    else:
        show(workloads, output, now_ns)
    if missing:
        raise Failure("\ncapsulectl: ".join(missing))


def _found(connection: Connection, names: Sequence[str]) -> tuple[list[Any], list[str]]:
    """The workloads there are, and what the capsule says of those there are not."""
    requests = [pb.WorkloadGetRequest(name=name) for name in names]
    return _told(connection.calls(connection.workloads.Get, requests, changes=False))


def _revealed(connection: Connection, names: Sequence[str]) -> tuple[list[Any], list[str]]:
    """The same, with the values of their environments in clear."""
    from capsule.v1 import secret_pb2

    requests = [secret_pb2.SecretRevealEnvRequest(name=name) for name in names]
    workloads, missing = _told(connection.calls(connection.secrets.RevealEnv, requests))
    return [one.workload for one in workloads], missing


def _told(answers: Sequence[Any]) -> tuple[list[Any], list[str]]:
    missing = [one for one in answers if isinstance(one, Failure)]
    if len(answers) == 1 and missing:
        raise missing[0]
    return [one for one in answers if not isinstance(one, Failure)], [one.message for one in missing]


def _found_in(past: Any, names: Sequence[str]) -> tuple[list[Any], list[str]]:
    """The workloads there were, and a sentence for each that there was not."""
    there = {workload.name: workload for workload in past.workloads}
    missing = [f"there was no workload {name} then" for name in names if name not in there]
    return [there[name] for name in names if name in there], missing


def events(
    name: Name,
    /,
    *,
    follow: Annotated[bool, Parameter(name=["-f", "--follow"], negative="", help="Go on as it grows.")] = False,
    limit: Annotated[
        int, Parameter(name=["-n", "--limit"], validator=count, help="Only the newest so many; 0: all.")
    ] = 0,
    since: Annotated[
        str, Parameter(name="--since", converter=not_empty, help="A span (10m, 2h, 7d) or a moment (2026-11-24T10:00).")
    ] = "",
    all_: Annotated[bool, Parameter(name=["-a", "--all"], negative="", help="Every step, not only the news.")] = False,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """What happened to a workload: asked for, started, ended, failed, entered. `history` knows everything else.

    Example: capsulectl workload events web -n 20 -f
    """
    from capsule.v1 import history_pb2
    from capsulectl.history import print_entries
    from capsulectl.times import parse_since

    name = workload_named(name, "history volume/{}")
    request = history_pb2.HistoryListRequest(
        name=name,
        limit=limit,
        follow=follow,
        since_unix_ns=parse_since(since),
        types=() if all_ else TOLD + ENTERED,
    )
    connection = Connection(common.capsule)
    _never_was(connection, name)
    told = print_entries(connection.stream(connection.history.List, request), output, follow)
    if not told and not since:
        say(f"nothing is remembered of {name}", common.quiet)


def _never_was(connection: Connection, name: str) -> None:
    """Raises Failure, with what `get` says, where there neither is nor was a workload of that name. A registry or a
    refused call may have it all the same: those are not what is asked about."""
    from capsule.v1 import history_pb2

    request = history_pb2.HistoryListRequest(name=name, limit=1, types=("workload.",))
    if not list(connection.stream(connection.history.List, request)):
        connection.read(connection.workloads.Get, pb.WorkloadGetRequest(name=name))


def _last_events(connection: Connection, name: str, upto: int = 0) -> list[Any]:
    """The last few, up to an entry (0: to the end); none where the memory cannot be read."""
    from capsule.v1 import history_pb2

    request = history_pb2.HistoryListRequest(name=name, limit=8, types=TOLD, upto=upto)
    try:
        return list(connection.stream(connection.history.List, request))
    except Failure:
        return []


# --- watching --------------------------------------------------------------------------------------------------------


def _watch(connection: Connection, names: tuple[str, ...], selection: Selection, output: Format) -> None:
    """What there is, then each change that can be seen. One that leaves the selection is shown once more, as it is
    then."""
    shown: set[str] = set()
    lines: dict[str, tuple[str, ...]] = {}
    first: list[Any] = []
    widths: list[int] | None = None
    for item in _watched(connection, names):
        if item.synced:
            widths = widths_of(headings(output), [row_of(workload, output) for workload in first])
            _print_first(first, output, widths)
            continue
        name = item.workload.name
        wanted = not item.removed and selection.has(item.workload)
        if wanted or name in shown:
            (shown.add if wanted else shown.discard)(name)
            before, lines[name] = lines.get(name), () if item.removed else _lasting(item.workload, output)
            if widths is None:
                first.append(item.workload)
            elif lines[name] != before or not wanted:
                _print_change(item.workload, item.removed, output, widths)
        if item.removed and set(names) == {name}:
            return


def _lasting(workload: Any, output: Format) -> tuple[str, ...]:
    """What tells one state of a workload from another, as this output shows it: all but how long it has been so."""
    if output in ("json", "yaml"):
        return (repr(plain(workload)),)
    row = row_of(workload, output)
    return (*row[:SINCE], *row[SINCE + 1 :])


def _watched(connection: Connection, names: tuple[str, ...]) -> Iterator[Any]:
    from capsule.v1 import machine_pb2

    yield from connection.stream(connection.machine.Watch, machine_pb2.WatchRequest(names=names))


def _print_first(workloads: list[Any], output: Format, widths: list[int]) -> None:
    if output in ("table", "wide"):
        show_row(headings(output), widths, cut=output == "table")
    for workload in workloads:
        _print_change(workload, False, output, widths)


def _print_change(workload: Any, removed: bool, output: Format, widths: list[int]) -> None:
    match output:
        case "json":
            write_line({"removed": removed, "workload": plain(workload)})
        case "yaml":
            write_next({"removed": removed, "workload": plain(workload)})
        case "name":
            print(workload.name, flush=True)
        case _:
            row = (workload.name, "Gone", *[""] * (len(widths) - 2)) if removed else row_of(workload, output)
            show_row(row, widths, cut=output == "table")
