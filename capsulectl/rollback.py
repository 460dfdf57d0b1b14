"""`capsulectl rollback`: what is desired, as it was; the plan first."""

import contextlib
from typing import Annotated, Any

from cyclopts import Parameter

from capsule.v1 import rollback_pb2 as pb
from capsulectl.applying import print_differences
from capsulectl.connection import UNARY_S, Connection
from capsulectl.errors import FAILED, USAGE, Failure
from capsulectl.moments import moment
from capsulectl.names import full_names, rollback_ends
from capsulectl.options import COMMON, Common, DryRun, ExpectSeq, Format, Output, Timeout, Yes, not_empty
from capsulectl.prompt import confirm
from capsulectl.render import plain, say, show_table, shown_beside, write
from capsulectl.waiting import Goal, wait_for

LONG_S = 920.0
"""Where the storage cannot share blocks, a volume goes back by being copied."""
LEFT = "left"
"""The outcome of a workload that stays as it is: it cannot go back."""
DOES = "status.phase"
"""What is different of a workload by itself, without a word of anybody's."""
_RUNS = frozenset({"created", "configured", "started", "restarted"})


def rollback(
    name: Annotated[
        str,
        Parameter(
            help="A workload, or volume/NAME; everything when left out.", converter=not_empty, completer=full_names
        ),
    ] = "",
    /,
    *,
    to: Annotated[
        str,
        Parameter(
            name="--to",
            converter=not_empty,
            completer=rollback_ends,
            metavar="MOMENT",
            help="An entry (1234), a time (`2h ago`), boot:-1; of one workload also `previous` or `healthy`; of a "
            "volume a snapshot's name, or a moment: then the last that was taken up to it.",
        ),
    ],
    reason: Annotated[str, Parameter(name="--reason", help="Why, for those who read the history.")] = "",
    dry_run: DryRun = False,
    expect_seq: ExpectSeq = None,
    yes: Yes = False,
    wait: Annotated[bool, Parameter(name="--wait", negative="", help="Wait until what goes back runs.")] = False,
    timeout: Timeout = 60,
    output: Output = "table",
    common: Common = COMMON,
) -> None:
    """Have workloads as they were: the plan is shown and asked about, then they are declared again like that.

    Example: capsulectl rollback web --to previous
    Example: capsulectl rollback --to '2h ago' --dry-run
    """
    kind, _, which = name.rpartition("/")
    if name and not which:
        raise Failure(f"{name!r} names nothing: leave it out to have everything as it was", USAGE)
    if kind not in ("", "workload", "volume"):
        raise Failure(f"{kind!r} cannot be rolled back: say workload/NAME or volume/NAME", USAGE)
    if not name and to in ("previous", "healthy"):
        raise Failure(f"{to!r} is a revision of one workload: name it", USAGE)
    request = (_volume_request if kind == "volume" else _request)(which, to, reason, expect_seq)
    connection = Connection(common.capsule)
    request.dry_run = True
    planned = connection.call(connection.rollbacks.Rollback, request)
    if dry_run or all(one.outcome == LEFT for one in planned.items):
        _show(planned, output)
        _all_of(planned)
        return
    if not yes:
        with shown_beside(output):
            _show(planned, "table")
    back = f"snapshot {planned.snapshot}" if planned.snapshot else f"entry {planned.to_seq}"
    confirm(f"Go back to {back}?", yes)
    if planned.snapshot:
        request.snapshot = planned.snapshot
        request.ClearField("moment")
    elif planned.to_seq:
        request.moment.seq = planned.to_seq  # what was shown and agreed to, whatever somebody else declared meanwhile
        if not name and expect_seq is None and planned.desired_seq:
            request.expect_seq = planned.desired_seq  # and of everything nothing that was not shown
    done = _agreed(connection, request, planned, guarded=not name and expect_seq is None)
    _report(done, output)
    if wait:
        waited = {one.name: Goal.HEALTHY for one in done.items if one.outcome in _RUNS}
        wait_for(connection, waited, timeout)
    _all_of(done)


def _agreed(connection: Connection, request: Any, planned: Any, guarded: bool) -> Any:
    """Does what was shown. Where nothing may be taken away that was not in the plan, and the machine is another by now,
    that is planned again: the same goes back from the same all the same, as where a deletion has come to its end."""
    while True:
        request.dry_run = False
        try:
            return connection.call(
                connection.rollbacks.Rollback, request, timeout=LONG_S if planned.snapshot else UNARY_S
            )
        except Failure as refused:
            if not guarded:
                raise
            before, request.dry_run = request.expect_seq, True
            request.ClearField("expect_seq")
            again = connection.call(connection.rollbacks.Rollback, request)
            if again.desired_seq in (0, before) or _shown(again) != _shown(planned):
                raise refused from None
            request.expect_seq = again.desired_seq


def _shown(planned: Any) -> tuple[list[Any], list[Any]]:
    """What a yes is for: what becomes of each, and which words of theirs are replaced by which. How each does is no
    word, and of what is deleted all of it goes."""
    kept = {one.name for one in planned.items if one.outcome != "deleted"}
    words = [one for one in planned.changes if one.name in kept and one.path != DOES]
    return list(planned.items), words


def _all_of(answer: Any) -> None:
    """Raises Failure where something is left as it is, done or only planned."""
    if any(one.outcome == LEFT for one in answer.items):
        raise Failure("not all of it can go back", FAILED)


def _request(name: str, to: str, reason: str, expect_seq: int | None) -> Any:
    request = pb.RollbackRequest(name=name, reason=reason, expect_seq=expect_seq)
    match to:
        case "previous":
            request.previous = True
        case "healthy":
            request.healthy = True
        case _:
            try:
                request.moment.CopyFrom(moment(to, "--to"))
            except Failure as failure:
                volume = f"If a volume is meant, it goes back to a snapshot of that name: volume/{name}"
                hint = f", or `previous` or `healthy`. {volume}"
                told = failure.message + (hint if name and _like_a_name(to) else "")
                raise Failure(told, failure.code) from failure
    return request


def _like_a_name(to: str) -> bool:
    """And not like an entry or a time that nobody can read."""
    return not to.isdigit() and not any(letter in " :" for letter in to)


def _volume_request(name: str, to: str, reason: str, expect_seq: int | None) -> Any:
    """A volume's data goes back to a snapshot, and to nothing between: one of this name, or the last up to a moment."""
    request = pb.RollbackRequest(name=f"volume/{name}", reason=reason, expect_seq=expect_seq, snapshot=to)
    with contextlib.suppress(Failure):
        request.moment.CopyFrom(moment(to, "--to"))
    return request


def _show(planned: Any, output: Format) -> None:
    """What goes back, what does not, field by field, and what would be done."""
    if output in ("json", "yaml"):
        write(plain(planned), output)
        return
    if output == "name":
        _print_names(planned)
        return
    if not planned.items:
        print("nothing to do")
        return
    if planned.changes:
        print_differences(planned.changes, "table")
        print()
    show_table(
        ("VOLUME" if planned.snapshot else "WORKLOAD", "OUTCOME", "NOTE"),
        [(one.name, one.outcome, _note(one)) for one in planned.items],
        cut=not planned.snapshot,
    )
    if planned.plan:
        print()
        show_table(("EFFECT", "OBJECT", "DETAIL"), [(one.effect, one.object, one.detail) for one in planned.plan])


def _note(item: Any) -> str:
    notes = [
        "its present run ends" if item.restarts else "",
        "its image has to be fetched" if item.image_missing else "",
        _why(item),
    ]
    return ", ".join(filter(None, notes))


def _why(item: Any) -> str:
    return f"cannot go back: {item.reason}" if item.reason and item.outcome == LEFT else str(item.reason)


def _print_names(answer: Any) -> None:
    """Of what goes back."""
    for item in answer.items:
        if item.outcome != LEFT:
            print(_called(item.name))


def _report(done: Any, output: Format) -> None:
    if output in ("json", "yaml"):
        write(plain(done), output)
        return
    if output == "name":
        _print_names(done)
        return
    if done.snapshot:
        _report_volume(done)
        return
    for item in done.items:
        if item.outcome == LEFT:
            say(f"workload/{item.name} left as it is: {item.reason}")
        else:
            print(f"workload/{item.name} {item.outcome}, as after entry {done.to_seq}")


def _report_volume(done: Any) -> None:
    volume, *users = done.items
    starts = f"; {', '.join(item.name for item in users)} starts again" if users else ""
    print(f"{volume.name} restored from {done.snapshot}{starts}")
    if volume.reason:
        say(volume.reason)


def _called(name: str) -> str:
    return name if "/" in name else f"workload/{name}"
