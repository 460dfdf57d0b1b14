"""Updates beside a journal that takes nothing: an engine of them, and what a story before it may have been."""

from collections.abc import Iterator, Sequence

from capsuled.engine import Engine
from capsuled.evidence.finding import Found
from capsuled.updates.beside import engine_beside
from capsuled.updates.level import own
from capsuled.updates.noted import Stands, known
from journal.codec import encode
from journal.entry import Header
from journal.errors import JournalReadOnly
from journal.events import (
    Event,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateStaged,
)
from journal.evidence import Evidence, Loader, Verdict
from journal.sequencer import Draft
from journal.sidelog import SideLog
from projections.admission import Admitted
from projections.fold import fold
from projections.state import Update
from projections.update_intents import BeginUpdate, System
from tests.support.clock import HandClock
from tests.support.story import Story
from tests.unit.projections.test_update_calls import begin, standing, uid

WHY = JournalReadOnly("only a newer release may act on this state")


def armed() -> Story:
    """An update of a system that reads what this one does waits for its boot."""
    story = standing()
    assert isinstance(begin(story, level=own()), Admitted)
    story.tell(UpdateStaged(uid(story), "b" * 64, "r" * 64, 1, 2), UpdateArming(uid(story)), UpdateArmed(uid(story)))
    return story


def beside(story: Story, side_log: SideLog, boot: str = "boot-2", known: int = 0) -> Engine:
    """An engine where the state ends at entry `known`, and what is behind it is read for what it says of slots."""
    machine = story.beginning.fork()
    for header, event in story.entries[:known]:
        fold(machine, header, event)
    behind, stands = story.entries[known:], among(story.entries)
    return engine_beside(machine, behind, side_log, stands, WHY, HandClock(boot), "slot_a", frozenset())


def among(entries: Sequence[tuple[Header, Event]]) -> Stands:
    """As of a journal with these."""
    return lambda one: any((header.seq, encode(event)) == (one.seq, one.event) for header, event in entries)


def records_of(side_log: SideLog) -> Iterator[Draft]:
    """What the side log has of slots, in its order."""
    return (draft for _, draft in known(side_log))


def begun(**more: object) -> UpdateBegun:
    return UpdateBegun("slot_b", "0.0.3", "ccc", 3, "slot_a", "0.0.1", "aaa", **more)  # type: ignore[arg-type]


def another() -> BeginUpdate:
    return BeginUpdate(System("0.0.3", "ccc", 30), System("0.0.1", "aaa", 10), 1, "", (), (), (), 900)


def told_why(update: Update, loader: Loader) -> Found:
    return Found(Verdict("operator", "certain"), Evidence(update.slot))


async def at_once(point: str) -> None:
    return None
