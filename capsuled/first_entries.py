"""The first entries of a life: what became of the one before, what was done meanwhile, and who had a word for this one.

They are durable before anything else is done; the files that some of them come from go only then.
"""

import logging
import os
from typing import NamedTuple

from capsuled import installed, restoring
from capsuled.boot.ends import crashes, forget
from capsuled.boot.system import MODE, System
from capsuled.debug import left_over as debug_left_over
from capsuled.emergency import of_runs, recovered, told_in
from capsuled.engine import Engine
from capsuled.layout import Layout
from capsuled.retention import NoRoom, Retention
from capsuled.services.capsule import About
from capsuled.startup import Memory, moved_events, opening_events, reset_asked
from capsuled.updates.fitting import Fitted, settled
from capsuled.updates.fitting import opening as update_opening
from capsuled.updates.noted import stands_in
from capsuled.updates.reading_in import read_in
from capsuled.volume_streams import left_over as exports_left_over
from journal.clock import Clock
from journal.entry import SYSTEM
from journal.sidelog import Emergency, SideLog
from projections.updates import unconfirmed

log = logging.getLogger(__name__)


class Opened(NamedTuple):
    """`stray`: the system that runs is on trial, and the journal knows of no such trial. `told`: what was done of runs
    meanwhile, stands in the journal, and could not be forgotten."""

    stray: bool = False
    told: tuple[Emergency, ...] = ()


async def open_life(
    engine: Engine,
    memory: Memory,
    clock: Clock,
    layout: Layout,
    subnet: str,
    system: System | None,
    fitted: Fitted | None,
    about: About,
) -> Opened:
    """The first entries of this life, and what was done while the journal could not write. Raises JournalFull, and
    OSError for a subnet that is too small."""
    journal = memory.journal
    assert journal is not None
    if (restored := restoring.laid_down(layout)) is not None:
        # Before anything is made of the state: some of it is another machine's until then.
        engine.record(restored.events(engine.machine), vital=True, actor=restored.actor)
    of_runs_noted = of_runs(memory.side_log)
    of_runs_told = told_in(journal.reader, of_runs_noted)
    of_runs_fresh = tuple(one for one in of_runs_noted if one not in of_runs_told)
    of_slots = await read_in(engine, memory.side_log, stands_in(journal.reader))
    for lost in of_slots.lost:
        about.warn(lost)
    reset_file = layout.by_hand / "RESET_AUTH"
    reset = reset_asked(reset_file)
    moved = moved_events(engine.machine, subnet) if memory.state.acts else ()
    begun = (*debug_left_over(engine.machine), *exports_left_over(engine.machine)) if memory.state.acts else ()
    crashed = () if system is None else crashes()
    before = engine.machine.boot
    halted = before is not None and any(one.boot == before.boot for one in of_runs_fresh)
    opening = opening_events(engine.machine, clock, os.getpid(), "hosted" if system is None else MODE, halted)
    found = None
    if system is not None and fitted is not None:
        found = await update_opening(fitted, system, clock.boot_id, about)
    if (by_installer := installed.laid_down(layout)) is not None:
        engine.record(by_installer.events(engine.machine), vital=True, actor=installed.INSTALLER)
    # What was done meanwhile was done before this life: what a halt ended did not lose its power.
    engine.record(tuple(recovered(of_runs_fresh, clock.boot_id)), vital=True, actor=SYSTEM)
    engine.record((*crashed, *opening, *moved, *reset), vital=True, actor=SYSTEM)
    for opened, event in begun:
        engine.record((event,), cause=opened, vital=True, actor=SYSTEM)
    stray = False
    if found is not None and fitted is not None:
        stray = (await settled(fitted, found, layout, clock.boot_id, about)).stray
    await engine.durable()
    if crashed:
        forget()
    if by_installer is not None:
        installed.clear(layout)
    try:
        if not unconfirmed(engine.machine):
            await Retention(journal, memory.reader).resume()
    except NoRoom as error:  # whoever is to free some needs the daemon for it
        log.warning("%s", error)
    forgotten = _forget(memory.side_log, (*of_runs_noted, *of_slots.told), about)
    if restored is not None:
        restoring.clear(layout)
    if reset:
        log.warning("every operator's key was taken off, as %s asked for", reset_file)
        reset_file.unlink(missing_ok=True)
    return Opened(stray, () if forgotten else of_runs_noted)


def _forget(side_log: SideLog | None, told: tuple[Emergency, ...], about: About) -> bool:
    """What is in the journal now; False where that cannot be done. What else there is is another release's, which may
    come back for it."""
    if side_log is None:
        return True
    try:
        if told:
            side_log.forget(told)
        left = side_log.count()
    except OSError as error:
        about.warn(
            f"{side_log.path} cannot be written: {error.strerror}. What stands in it is in the journal, too, and is "
            "forgotten at the next start"
        )
        return False
    if left:
        about.warn(
            f"{left} records of what was done while the journal could not be written cannot be read by this release: "
            f"they are kept for the one that wrote them. If it will not come back, remove {side_log.path}, and start "
            "the daemon anew"
        )
    return True
