"""What was noted of updates while the journal took nothing, and what comes of it with the first that can write."""

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.updates.at_boot import settle
from capsuled.updates.beside import engine_beside, numbered_apart
from capsuled.updates.level import own
from capsuled.updates.noted import APART, stands_in
from capsuled.updates.reading_in import ReadIn, read_in
from capsuled.updates.switching import Switch
from capsuled.updates.updates import Back, Updates
from effects.slots.protocol import LoaderState, Room
from effects.slots.twin import SlotDisk, TwinLoader, TwinSlots
from journal.entry import LOCAL, SYSTEM
from journal.environment import Environment
from journal.events import (
    BootStarted,
    CallAccepted,
    DaemonStarted,
    Event,
    UpdateArmed,
    UpdateArming,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    VolumeRestoreRequested,
)
from journal.sidelog import Emergency, SideLog
from journal.writer import Journal
from projections.admission import Admitted
from projections.state import Machine
from projections.update_intents import RollBackUpdate, System
from projections.update_phases import UpdatePhase
from projections.update_reconcile import Booted, Variables, reconcile
from tests.support.beside import WHY, among, another, armed, at_once, begun, beside, told_why
from tests.support.clock import HandClock
from tests.unit.capsuled.test_emergency import Brim
from tests.unit.projections.test_update_calls import LEVEL, NEW, standing, uid
from tests.unit.projections.test_update_data import confirmed, kept, tried, with_volumes


def test_the_next_daemon_that_can_write_tells_it_once_however_often_it_is_read(side_log: SideLog) -> None:
    story = armed()
    head, trial = story.machine.seq, uid(story)
    engine = beside(story, side_log)
    engine.record((BootStarted("slot_b", "slot_a", "0.0.1 aaa", tentative=True, uid=trial),))
    engine.record((UpdateConfirming(trial, "operator"),))
    engine.record((UpdateConfirmed(trial, "slot_b"),))
    engine.record((begun(),))

    journal = Brim(head)
    journal.full = False
    fresh = Engine(journal, story.machine, HandClock("boot-3"), frozenset())
    stands = among(journal.entries)
    read = asyncio.run(read_in(fresh, side_log, stands))
    assert read.told == side_log.records()
    first = dict(fresh.machine.updates)
    assert first[head + 4].uid == head + 4 == journal.entries[-1][0].seq
    assert first[trial].phase is UpdatePhase.CONFIRMED and first[trial].boot == "boot-2"
    assert fresh.machine.slots.active == "slot_a", "another boot's slot is not this one's"
    told = len(journal.entries)
    assert asyncio.run(read_in(fresh, side_log, stands)) == read and fresh.machine.updates == first
    assert len(journal.entries) == told, "a life that ended before it forgot them would tell them again"
    frozen = engine_beside(
        story.machine.fork(), journal.entries, side_log, stands, WHY, HandClock("boot-4"), "slot_a", frozenset()
    )
    assert frozen.machine.seq == head + 4, "nor is a frozen one to fold them again"
    side_log.forget(read.told)
    assert side_log.count() == 0 and asyncio.run(read_in(fresh, side_log, stands)) == ReadIn()


def test_what_was_noted_by_one_that_could_not_read_the_journal_is_told_although_it_has_those_numbers(
    side_log: SideLog,
) -> None:
    blind = engine_beside(Machine(), (), side_log, among(()), WHY, HandClock("boot-2"), "slot_a", frozenset())
    blind.record((begun(),))
    blind.record((UpdateStaged(1, "b" * 64, "r" * 64, 1, 2), UpdateArming(1), UpdateArmed(1)))

    story = armed()
    assert story.machine.seq > 4
    journal = Brim(story.machine.seq)
    journal.full = False
    stands = among([*story.entries, *journal.entries])
    sighted = Engine(journal, story.machine, HandClock("boot-3"), frozenset())
    assert asyncio.run(read_in(sighted, side_log, stands)).told
    assert sighted.machine.updates[1].phase is UpdatePhase.ARMED, "its system is on trial in this very boot"


def test_a_journal_that_has_it_is_not_told_again_and_one_with_other_entries_there_is(
    tmp_path: Path, side_log: SideLog
) -> None:
    async def main(*first: Event) -> int:
        journal = Journal(Environment(tmp_path / str(len(first))), HandClock())
        engine = Engine(journal, Machine(), HandClock(), frozenset())
        engine.record(first)
        side_log.forget(side_log.records())
        aside = engine_beside(Machine(), (), side_log, stands_in(None), WHY, HandClock(), "", frozenset())
        aside.record((begun(),))
        assert (await read_in(engine, side_log, stands_in(journal.reader))).told
        if not first:
            assert (await read_in(engine, side_log, stands_in(journal.reader))).told
        await journal.close()
        return journal.seq

    assert asyncio.run(main()) == 1
    assert asyncio.run(main(CallAccepted("Some.Call"))) == 2


def numbered(boot: str, side_log: SideLog) -> int:
    """Of an update that is pushed in this boot, where nothing of the journal can be read and no time is known."""
    clock = HandClock(boot)
    apart = numbered_apart(Machine(), clock)
    return engine_beside(apart, (), side_log, stands_in(None), WHY, clock, "slot_a", frozenset()).record((begun(),))


def test_updates_of_two_boots_that_could_read_nothing_have_numbers_of_their_own(side_log: SideLog) -> None:
    first = numbered("boot-1", side_log)
    assert numbered("boot-1", side_log) == first + 1, "a daemon that is started again goes on"
    assert numbered("boot-2", side_log) not in (first, first + 1)


def test_what_was_numbered_apart_is_told_once_by_lives_that_end_before_they_forget_it(
    side_log: SideLog, tmp_path: Path
) -> None:
    number = numbered("boot-1", side_log)

    async def tells() -> int:
        journal = Journal(Environment(tmp_path / "journal"), HandClock())
        engine = Engine(journal, Machine(), HandClock(), frozenset())
        assert (await read_in(engine, side_log, stands_in(journal.reader))).told
        engine.record((DaemonStarted("os", "crash"),), actor=SYSTEM)
        await journal.close()
        return journal.seq

    (tmp_path / "journal").mkdir()
    assert number >= APART
    assert [asyncio.run(tells()) for _ in range(3)] == [2, 3, 4]


def test_what_was_numbered_apart_and_waits_for_its_boot_is_dropped_by_a_rollback(side_log: SideLog) -> None:
    story = standing()
    number = APART + 7
    told = (
        begun(uid=number),
        UpdateStaged(number, "b" * 64, "r" * 64, 1, 2),
        UpdateArming(number),
        UpdateArmed(number),
    )
    story.tell(*told)
    journal = Brim(story.machine.seq)
    journal.full = False
    engine = Engine(journal, story.machine, HandClock("boot-1"), frozenset())
    disk = SlotDisk(Room(1, 1))
    disk.state = LoaderState(next_slot="slot_b", update=number)
    switch, here = Switch(engine, TwinLoader(disk, at_once)), System("0.0.1", "aaa", 10)
    updates = Updates(
        engine, TwinSlots(disk, at_once), switch, HandClock("boot-1"), here, lambda: (), lambda: True, ends
    )
    update, said = asyncio.run(updates.roll_back(Back(), Caller(LOCAL, "UpdateService/Rollback")))
    assert (update.phase, said) == (UpdatePhase.DROPPED, f"update {number} is dropped: it is not booted")
    assert disk.state.next_slot is None


def ends() -> None:
    raise AssertionError("the machine is not started anew")


def test_what_a_newer_release_has_noted_is_not_read_and_stays_for_it(side_log: SideLog) -> None:
    engine = beside(standing(), side_log)
    engine.record((begun(),))
    (own,) = side_log.records()
    newer = [
        replace(own, version=2, seq=own.seq + 1),
        replace(own, type="update.paused"),
        replace(own, event=b"\x05"),
        Emergency("a newer action"),
    ]
    for one in newer:
        side_log.append(one)
    journal = Brim(0)
    journal.full = False
    able = Engine(journal, Machine(), HandClock("boot-3"), frozenset())
    read = asyncio.run(read_in(able, side_log, among(())))
    assert read.told == (own,) and len(journal.entries) == 1
    side_log.forget(read.told)
    assert side_log.records() == tuple(newer)


def test_volumes_that_were_to_be_as_before_are_so_with_the_next_system_that_can_write(side_log: SideLog) -> None:
    story = with_volumes("db", "web")
    update = kept(story, level=own())
    tried(story, update)
    story.tell(UpdateReturning(update, "operator", with_data=True))
    engine = beside(story, side_log, "boot-3")
    switch = Switch(engine, TwinLoader(SlotDisk(Room(1, 1)), at_once))
    found = reconcile(engine.machine, "boot-3", Booted("slot_a", "slot_a"), Variables(tried=update), "0.0.1 aaa")
    standing_now = asyncio.run(settle(engine, found, switch, told_why, restores=False))
    assert engine.machine.updates[update].phase is UpdatePhase.ROLLED_BACK
    (told,) = standing_now.warnings
    assert "db, web stay as they are now" in told
    assert isinstance(engine.preview(another(), "admin")[1], Admitted), "and it can be updated"

    journal = Brim(story.machine.seq)
    journal.full = False
    able = Engine(journal, story.machine, HandClock("boot-4"), frozenset())
    read = asyncio.run(read_in(able, side_log, among(story.entries)))
    events = [event for _, event in journal.entries]
    assert [event.name for event in events if isinstance(event, VolumeRestoreRequested)] == ["db", "web"]
    assert isinstance(events[0], UpdateRolledBack) and read.lost == ()


def test_volumes_stay_as_they_are_where_the_system_runs_all_the_same_that_was_to_be_left(side_log: SideLog) -> None:
    story = with_volumes("db", "web")
    update = kept(story, level=own())
    tried(story, update)
    story.tell(UpdateReturning(update, "operator", "it was asked for", with_data=True))
    journal = Brim(story.machine.seq)
    journal.full = False
    engine = Engine(journal, story.machine, HandClock("boot-3"), frozenset())
    switch = Switch(engine, TwinLoader(SlotDisk(Room(1, 1)), at_once))
    by_itself = Booted("slot_b", "slot_a")
    found = reconcile(engine.machine, "boot-3", by_itself, Variables(default_slot="slot_a", tried=update), "0.0.2 bbb")
    asyncio.run(settle(engine, found, switch, told_why))
    assert not [event for _, event in journal.entries if isinstance(event, VolumeRestoreRequested)]
    left = engine.machine.updates[update]
    assert left.phase is UpdatePhase.ROLLED_BACK
    assert left.message == (
        "it was asked for; slot_b runs all the same, in place of slot_a, the boot loader's default, and db, web stay as "
        "they are"
    )


@pytest.mark.parametrize("stays", [True, False])
def test_a_trial_with_data_that_was_over_before_the_journal_heard_of_it_leaves_volumes_alone(
    side_log: SideLog, stays: bool
) -> None:
    story = with_volumes("db", "web")
    update = kept(story, level=own())
    tried(story, update)
    confirmed(story, update)
    assert isinstance(story.call(RollBackUpdate(NEW, own(), LEVEL, 900, with_data=True)), Admitted)
    trial = uid(story)
    story.tell(UpdateArming(trial), UpdateArmed(trial))
    engine = beside(story, side_log, "boot-3")
    engine.record((BootStarted("slot_a", "slot_b", "0.0.1 aaa", tentative=True, uid=trial),))
    if not stays:
        engine.record((UpdateReturning(trial, "not-confirmed"), UpdateRolledBack(trial, "not-confirmed", "")))
    journal = Brim(story.machine.seq)
    journal.full = False
    able = Engine(journal, story.machine, HandClock("boot-4"), frozenset())
    asyncio.run(read_in(able, side_log, among(story.entries)))
    restored = [event for _, event in journal.entries if isinstance(event, VolumeRestoreRequested)]
    assert bool(restored) is stays
