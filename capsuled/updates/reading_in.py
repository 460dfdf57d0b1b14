"""What was done of updates while the journal took nothing, told to it by the first life that can write it."""

from collections.abc import Sequence

import msgspec

from capsuled.engine import Engine
from capsuled.updates.noted import Stands, header, known
from journal.entry import SYSTEM
from journal.events import Event, type_of
from journal.sequencer import Draft
from journal.sidelog import Emergency, SideLog
from projections.fold import fold
from projections.state import Machine
from projections.update_data import brought_back, owed_late


class ReadIn(msgspec.Struct, frozen=True):
    """`told`: the records of slots that stand in the journal now; `lost`: which volumes cannot be as they were to be,
    in words."""

    told: tuple[Emergency, ...] = ()
    lost: tuple[str, ...] = ()


async def read_in(engine: Engine, side_log: SideLog | None, stands: Stands) -> ReadIn:
    """What was done of updates while the journal took nothing is told to it, durably, once, and before all else, for
    the boot is judged by it; and with it what is done now of volumes, which were not to be touched meanwhile."""
    records = () if side_log is None else tuple(known(side_log))
    drafts = [draft for one, draft in records if not stands(one)]
    lost: tuple[str, ...] = ()
    if drafts:
        back, lost = _brought_back(engine.machine, drafts)
        engine.commit([*drafts, *(Draft(event, SYSTEM) for event in back)], vital=True)
        await engine.durable()
    return ReadIn(tuple(one for one, _ in records), lost)


def _brought_back(machine: Machine, drafts: Sequence[Draft]) -> tuple[list[Event], tuple[str, ...]]:
    after = machine.fork()
    for draft in drafts:
        fold(after, header(after.seq + 1, type_of(draft.event), draft.event.VERSION), draft.event)
    back: list[Event] = []
    lost: tuple[str, ...] = ()
    for update in owed_late(after, [draft.event for draft in drafts]):
        events, stay = brought_back(machine, update)
        back += events
        lost += stay
    return back, lost
