"""`capsulectl drift`: where the machine differs from what is wanted, and whose doing that is."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from capsule.v1 import drift_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.errors import DIFFERS, USAGE, Failure
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
        if watch:
            _watch(connection, request, output)
            return 0
        answer = connection.read(connection.drift.List, request)
    except Failure as failure:
        raise Failure(failure.message, failure.code if watch and not failure.message else USAGE) from failure
    found = list(answer.differences)
    if output in ("json", "yaml"):
        write({"differences": [plain(one) for one in found], "seq": answer.seq}, output)
    elif output == "name":
        for name in dict.fromkeys(one.object for one in found):
            print(name)
    elif found:
        show_table(_headings(output), [_row(one, output) for one in found], cut=output == "table")
    else:
        say("no drift: everything is as it is wanted", common.quiet)
    return DIFFERS if any(label or one.label != INTENDED for one in found) else 0


def _headings(output: Format) -> tuple[str, ...]:
    return _WIDE if output == "wide" else HEADINGS


def _row(one: Any, output: Format, label: str = "") -> tuple[str, ...]:
    head = (one.object, label or one.label, age(one.since_unix_ns) or "-", str(one.seq))
    if output == "wide":
        return (*head, one.aspect, "yes" if one.repair else "no", one.what, one.message or "-", _then(one))
    return (*head, one.message or one.what, _then(one))


def _then(one: Any) -> str:
    left_s = (one.next_at_unix_ns - time.time_ns()) / 1e9
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
