"""Moments of the past, as an operator writes them, and the machine as it was then."""

import re
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from capsulectl.errors import USAGE, Failure
from capsulectl.options import not_empty

if TYPE_CHECKING:
    from capsulectl.connection import Connection

At = Annotated[
    str,
    Parameter(
        name="--at",
        converter=not_empty,
        metavar="MOMENT",
        help="As it was: after an entry (1234), at a time (2026-11-24T10:00, `2h ago`), at a boot's end (boot:-1).",
    ),
]
_BOOT = re.compile(r"boot:(-?\d+)")
_SEQ_DIGITS = 19


def moment(text: str, option: str = "--at", begins: bool = False) -> Any:
    """A Moment, as an end: a time has what happened at it. `begins`: what is meant ends before it. `now` is none in
    particular. Raises Failure for what is no moment."""
    from capsule.v1 import history_pb2 as pb
    from capsulectl.times import parse_since, parse_until

    text = text.strip()
    if text == "now":
        return pb.Moment()
    if text.isascii() and text.isdigit() and len(text) <= _SEQ_DIGITS and int(text):
        return pb.Moment(seq=int(text))
    boot = _BOOT.fullmatch(text)
    if boot is not None and -(1 << 31) <= int(boot[1]) < 0:
        return pb.Moment(boot=int(boot[1]))
    try:
        return pb.Moment(at_unix_ns=(parse_since if begins else parse_until)(text, option=option))
    except Failure as error:
        raise Failure(
            f"{option} {text!r} is no moment: give an entry (1234), a time (2026-11-24T10:00 or `2h ago`), or the end "
            "of an earlier boot (boot:-1)",
            USAGE,
        ) from error


def no_watch(at: str, watch: bool) -> str:
    """`at`, unless what it shows is to go on. Raises Failure."""
    if watch:
        raise Failure("-w goes on from now; --at looks at the past: use one of them", USAGE)
    return at


def as_of(connection: "Connection", text: str, quiet: bool = False, *only: str) -> Any:
    """The machine at that moment, `only` these fields of the answer, if any are named; which moment that is is said
    beside it."""
    from capsule.v1 import history_pb2 as pb
    from capsulectl.render import moment as shown
    from capsulectl.render import say

    answer = connection.read(connection.history.AsOf, pb.AsOfRequest(at=moment(text), only=only))
    when = f"entry {answer.seq}, {shown(answer.at_unix_ns)[:19]}" if answer.seq else "before the first entry"
    say(f"as of {when}", quiet)
    return answer
