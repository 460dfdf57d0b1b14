"""A clock that went back though no server of the time was asked: the journal says so where it did.

Between two such entries times hardly ever go back, and a moment is looked for by halves (moments.py).
"""

from collections.abc import Sequence

from journal.entry import SYSTEM
from journal.events import ClockStepped
from journal.sequencer import Draft

BEHIND_NS = 60_000_000_000
"""By so little a clock that is kept may be set back."""
ITS_HOST = "its host"
"""Stands for the server that nobody asked."""


def with_step(drafts: Sequence[Draft], last_ns: int, stamp_ns: int) -> Sequence[Draft]:
    """The batch, and with it what tells that it is from before the last entry: of a call's batch, too, whose answer is
    the state behind all of it, also when it is given again. Whoever set the clock says so itself."""
    behind_ns = last_ns - stamp_ns
    if behind_ns <= BEHIND_NS or any(isinstance(draft.event, ClockStepped) for draft in drafts):
        return drafts
    return (*drafts, Draft(ClockStepped(-(behind_ns // 1_000_000), ITS_HOST), SYSTEM, call=drafts[0].call))
