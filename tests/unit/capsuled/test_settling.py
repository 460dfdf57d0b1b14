"""A start that has to find out why the machine came back: it finds out or not, and it is told, and the start goes on."""

import asyncio

import pytest

from capsuled.evidence.finding import Found
from capsuled.updates.at_boot import look, settle
from capsuled.updates.switching import Switch
from effects.slots.protocol import LoaderState
from effects.slots.twin import SlotDisk, TwinLoader
from journal.events import UpdateDisarmed, UpdateEvidenceFound, UpdateRolledBack
from journal.evidence import Evidence, FailedCheck, Loader, Looked, Verdict
from journal.sidelog import SideLog
from projections.causes import judge
from projections.fold import fold
from projections.state import Update
from projections.update_phases import UpdatePhase
from projections.update_reconcile import Booted, Reconciled, reconcile
from tests.support.beside import armed, at_once, beside
from tests.unit.projections.test_update_calls import uid


def raising(error: Exception) -> Found:
    raise error


@pytest.mark.parametrize(
    ("find_out", "why"),
    [
        (lambda: raising(OSError(117, "Structure needs cleaning")), "Structure needs cleaning"),
        (lambda: raising(ValueError("Exceeds the limit (4300 digits)")), "ValueError: Exceeds the limit"),
        (lambda: raising(RecursionError()), "RecursionError"),
        (lambda: raising(KeyError("token=hunter2")), "KeyError"),
        (lambda: Found(Verdict("hung", "certain"), Evidence("slot_b", alive_ms=1 << 64)), "OverflowError"),
        (lambda: Found(Verdict("hung", "certain"), Evidence("slot_b", boot="\ud800")), "UnicodeEncodeError"),
    ],
)
def test_where_it_cannot_be_found_out_that_is_told_and_the_start_goes_on(
    side_log: SideLog, find_out: object, why: str
) -> None:
    story = armed()
    engine = beside(story, side_log)
    update = engine.machine.updates[uid(story)]
    told: list[object] = []
    engine.on_entry(lambda header, event: told.append(event))

    def found(update: Update, loader: Loader) -> Found:
        return find_out()  # type: ignore[no-any-return, operator]

    switch = Switch(engine, TwinLoader(SlotDisk(), at_once))
    asyncio.run(settle(engine, Reconciled(back=update, loader="taken"), switch, found))
    assert engine.machine.updates[update.uid].phase is UpdatePhase.ROLLED_BACK
    (evidence,) = [one.evidence for one in told if isinstance(one, UpdateEvidenceFound)]
    (back,) = [one for one in told if isinstance(one, UpdateRolledBack)]
    (looked,) = evidence.looked
    assert isinstance(looked, Looked) and not looked.usable and why in looked.said and "hunter2" not in looked.said
    assert (back.cause, back.confidence) == ("unknown", "none") and back.looked_for


@pytest.mark.parametrize("boot", ["boot-1", "boot-9"])
def test_damaged_variables_say_neither_that_it_was_booted_nor_that_it_was_not(side_log: SideLog, boot: str) -> None:
    disk = SlotDisk()
    disk.state = LoaderState(damaged=True)
    variables, wrong = asyncio.run(look(TwinLoader(disk, at_once)))
    assert "were damaged" in wrong
    for known in (0, 1):
        story = armed()
        machine = story.beginning.fork()
        for header, event in story.entries[: len(story.entries) - known]:
            fold(machine, header, event)
        update = machine.updates[uid(story)]
        found = reconcile(machine, boot, Booted("slot_a", "slot_a"), variables, "0.0.1 aaa")
        disarmed = [one for one in found.events if isinstance(one, UpdateDisarmed)]
        assert found.loader == "unknown"
        assert disarmed == ([UpdateDisarmed(update.uid, "damaged")] if update.phase is UpdatePhase.ARMING else [])
        assert not found.take_back and update.phase in (UpdatePhase.ARMED, UpdatePhase.ARMING)
        assert (found.back is not None) == (update.phase is UpdatePhase.ARMED and boot == "boot-9")
    assert judge(Evidence("slot_b", loader=found.loader)).cause == "unknown"


def test_what_only_the_evidence_has_of_the_reason_is_what_the_next_push_is_told(side_log: SideLog) -> None:
    story = armed()
    engine = beside(story, side_log)
    update = engine.machine.updates[uid(story)]
    left = Evidence("slot_b", returning="state-lost", failed=(FailedCheck("state", "No space left on device"),))
    switch = Switch(engine, TwinLoader(SlotDisk(), at_once))
    found = Reconciled(back=update, loader="taken")
    asyncio.run(settle(engine, found, switch, lambda update, loader: Found(judge(left), left)))
    assert engine.machine.updates[update.uid].message == "state: No space left on device"
