"""`capsulectl drift`: where the machine differs from what is wanted, and whose doing that is."""

import time
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from capsule.v1 import drift_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import DIFFERS, USAGE, Failure
from capsulectl.moments import At, as_of, no_watch
from capsulectl.names import object_names
from capsulectl.options import COMMON, Common, Format, Output, Watch
from capsulectl.render import age, plain, say, show_row, show_table, widths_of, write, write_line, write_next

INTENDED = "intended"
"""What was asked for, or is on its way: nobody has to be woken for it."""
HEADINGS = ("OBJECT", "LABEL", "SINCE", "EVENT", "WHY", "THEN")
_WIDE = ("OBJECT", "LABEL", "SINCE", "EVENT", "ASPECT", "REPAIR", "WHAT", "WHY", "THEN")

Objects = Annotated[
    tuple[str, ...],
    Parameter(help="Names of workloads and volumes, or `network`; everything when left out.", completer=object_names),
]
Labels = Annotated[
    tuple[Literal["intended", "effect-failed", "foreign"], ...],
    Parameter(name=["--label"], negative="", help="Only differences with this label. Can be repeated."),
]


def drift(
    names: Objects = (),
    /,
    *,
    label: Labels = (),
    output: Output = "table",
    watch: Watch = False,
    at: At = "",
    common: Common = COMMON,
) -> int:
    """Show where the machine differs from what is wanted: as you asked for (intended), because something failed
    (effect-failed), or because another hand changed it (foreign), each with the event that says so.
    Exits 0 when all is as it is wanted or on its way there, 1 when something failed or is foreign (or has a label that
    was asked for), 2 on an error. With -w, go on with every change.

    Example: capsulectl drift --label foreign --label effect-failed
    """
    request = pb.DriftRequest(names=names, labels=label)
    try:
        connection = Connection(common.capsule)
        past = _then_of(connection, no_watch(at, watch), common.quiet, names) if at else None
        if watch:
            _watch(connection, request, output)
            return 0
        answer = past or connection.read(connection.drift.List, request)
    except Failure as failure:
        raise Failure(failure.message, failure.code if watch and not failure.message else USAGE) from failure
    found = list(answer.differences) if past is None else _selected(past.differences, names, label)
    now_ns = None if past is None else past.at_unix_ns
    if output in ("json", "yaml"):
        write({"differences": [plain(one) for one in found], "seq": answer.seq}, output)
    elif output == "name":
        for name in dict.fromkeys(one.object for one in found):
            print(name)
    elif found:
        show_table(_headings(output), [_row(one, output, now_ns=now_ns) for one in found], cut=output == "table")
    else:
        say(f"no drift: everything {'is' if past is None else 'was'} as it is wanted", common.quiet)
    return DIFFERS if any(label or one.label != INTENDED for one in found) else 0


def _then_of(connection: Connection, at: str, quiet: bool, names: Iterable[str]) -> Any:
    """The machine at that moment. Raises Failure for a name that nothing had then."""
    past = as_of(connection, at, quiet, "workloads", "volumes", "images", "differences")
    known = {"network", *(one.object for one in past.differences)}
    for kind, objects in (("workload", past.workloads), ("volume", past.volumes), ("image", past.images)):
        known |= {f"{kind}/{one.name}" for one in objects}
    known |= {one.partition("/")[2] for one in known if "/" in one}
    for name in names:
        if name not in known:
            raise Failure(f"nothing was called {name} then")
    return past


def _selected(differences: Iterable[Any], names: Sequence[str], labels: Sequence[str]) -> list[Any]:
    """Of these objects and with these labels, as the capsule itself tells them apart."""
    return [
        one
        for one in differences
        if (not names or one.object in names or one.object.partition("/")[2] in names)
        and (not labels or one.label in labels)
    ]


def _headings(output: Format) -> tuple[str, ...]:
    return _WIDE if output == "wide" else HEADINGS


def _row(one: Any, output: Format, label: str = "", now_ns: int | None = None) -> tuple[str, ...]:
    head = (one.object, label or one.label, age(one.since_unix_ns, now_ns) or "-", str(one.seq))
    if output == "wide":
        return (*head, one.aspect, "yes" if one.repair else "no", one.what, one.message or "-", _then(one, now_ns))
    return (*head, one.message or one.what, _then(one, now_ns))


def _then(one: Any, now_ns: int | None) -> str:
    left_s = (one.next_at_unix_ns - (now_ns or time.time_ns())) / 1e9
    return f"{one.then} in {left_s:.0f} s" if one.next_at_unix_ns and left_s >= 0.5 else str(one.then)


def _watch(connection: Connection, request: pb.DriftRequest, output: Format) -> None:
    """What there is, then each difference that comes, changes or goes."""
    first: list[Any] = []
    widths: Sequence[int] | None = None
    for item in connection.stream(connection.drift.Watch, request):
        if item.synced:
            widths = widths_of(_headings(output), [_row(one.difference, output) for one in first])
            if output in ("table", "wide"):
                show_row(_headings(output), widths, cut=output == "table")
            for one in first:
                _print(one, output, widths)
        elif widths is None:
            first.append(item)
        else:
            _print(item, output, widths)


def _print(item: Any, output: Format, widths: Sequence[int]) -> None:
    match output:
        case "json":
            write_line({"resolved": item.resolved, "difference": plain(item.difference)})
        case "yaml":
            write_next({"resolved": item.resolved, "difference": plain(item.difference)})
        case "name":
            print(item.difference.object, flush=True)
        case _:
            row = _row(item.difference, output, "resolved" if item.resolved else "")
            show_row(row, widths, cut=output == "table")
