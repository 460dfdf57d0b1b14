"""Updates beside a journal that takes nothing: what is known of slots, what is noted, and what is refused."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.updates.beside import _KEPT, Stands, engine_beside, read_in, records_of, stands_in
from capsuled.updates.level import own
from journal.codec import encode
from journal.entry import LOCAL, SYSTEM, Header
from journal.environment import Environment
from journal.errors import JournalFull, JournalReadOnly
from journal.events import (
    BootStarted,
    CallAccepted,
    DaemonStarted,
    Event,
    OperatorsReset,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateHealthChanged,
    UpdateKeyEnrolled,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
)
from journal.sidelog import SECTORS, Emergency, SideLog
from journal.writer import Journal
from projections.admission import Admitted
from projections.fold import fold
from projections.intents import CreateVolume
from projections.state import Machine
from projections.update_intents import AddUpdateKey
from projections.update_phases import UpdatePhase
from projections.update_reconcile import Booted, Variables, reconcile
from tests.support.clock import HandClock
from tests.support.story import Story
from tests.unit.capsuled.test_emergency import Brim
from tests.unit.projections.test_update_calls import begin, standing, uid

WHY = JournalReadOnly("only a newer release may act on this state")


@pytest.fixture
def side_log(tmp_path: Path) -> Iterator[SideLog]:
    made = SideLog(tmp_path / "side.log")
    yield made
    made.close()


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


def begun(**more: object) -> UpdateBegun:
    return UpdateBegun("slot_b", "0.0.3", "ccc", 3, "slot_a", "0.0.1", "aaa", **more)  # type: ignore[arg-type]


def test_what_stands_behind_the_entry_that_froze_it_is_known_as_far_as_slots_go(side_log: SideLog) -> None:
    story = armed()
    story.tell(UpdateKeyEnrolled("k1", "ab" * 32, "anna"))
    engine = beside(story, side_log, known=1)
    assert engine.machine.updates[uid(story)].phase is UpdatePhase.ARMED and "k1" in engine.machine.update_keys
    assert engine.machine.seq == story.machine.seq


def test_words_on_slots_stand_in_the_side_log_and_are_numbered_as_the_journal_will_have_them(side_log: SideLog) -> None:
    story = armed()
    engine = beside(story, side_log)
    head, trial = story.machine.seq, uid(story)
    engine.record((BootStarted("slot_b", "slot_a", "0.0.1 aaa", tentative=True, uid=trial),))
    engine.record((CallAccepted("UpdateConfirm"), UpdateConfirming(trial, "operator")))
    engine.record((UpdateHealthChanged(trial),))
    engine.record((UpdateConfirmed(trial, "slot_b"),))
    engine.record((begun(from_level=(("much", 1),) * 100),), actor=LOCAL)
    engine.record((UpdateStaged(head + 4, "b" * 64, "c" * 64, 1 << 30, 1 << 40, 90_000),))
    engine.record((UpdateArming(head + 4, True, ("web",) * 200),))
    drafts = list(records_of(side_log))
    kinds = [type(draft.event) for draft in drafts]
    assert kinds == [BootStarted, UpdateConfirming, UpdateConfirmed, UpdateBegun, UpdateStaged, UpdateArming]
    assert engine.machine.updates[head + 4].phase is UpdatePhase.ARMING
    assert (drafts[3].actor, drafts[0].event.boot) == (LOCAL, "boot-2")  # type: ignore[attr-defined]

    again = beside(story, side_log)
    assert again.machine.updates[head + 4] == engine.machine.updates[head + 4]
    assert again.machine.boot is not None and again.machine.boot.boot == "boot-2"


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
    assert asyncio.run(read_in(fresh, side_log, stands))
    first = dict(fresh.machine.updates)
    assert first[head + 4].uid == head + 4 == journal.entries[-1][0].seq
    assert first[trial].phase is UpdatePhase.CONFIRMED and first[trial].boot == "boot-2"
    assert fresh.machine.slots.active == "slot_a", "another boot's slot is not this one's"
    told = len(journal.entries)
    assert asyncio.run(read_in(fresh, side_log, stands)) and fresh.machine.updates == first
    assert len(journal.entries) == told, "a life that ended before it forgot them would tell them again"
    frozen = engine_beside(
        story.machine.fork(), journal.entries, side_log, stands, WHY, HandClock("boot-4"), "slot_a", frozenset()
    )
    assert frozen.machine.seq == head + 4, "nor is a frozen one to fold them again"
    side_log.clear()
    assert not asyncio.run(read_in(fresh, side_log, stands))


@pytest.mark.parametrize("boot", ["boot-2", "boot-3"])
def test_an_update_that_waits_for_its_boot_waits_on_when_the_daemon_is_started_again(
    side_log: SideLog, boot: str
) -> None:
    by_itself = Booted("slot_a", "slot_a")
    engine = beside(standing(), side_log)
    found = reconcile(engine.machine, "boot-2", by_itself, Variables(default_slot="slot_a"), "0.0.1 aaa")
    engine.record((DaemonStarted("os", "power-lost"), *found.events))
    uid = engine.record((begun(),))
    for event in (UpdateStaged(uid, "b" * 64, "r" * 64, 1, 2), UpdateArming(uid), UpdateArmed(uid)):
        engine.record((event,))

    again = beside(standing(), side_log, boot)
    waiting = Variables(default_slot="slot_a", next_slot="slot_b", update=uid)
    found = reconcile(again.machine, boot, by_itself, waiting, "0.0.1 aaa")
    booted = boot != "boot-2"
    assert (found.back is not None, found.take_back, bool(found.events)) == (booted, booted, booted)


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
    assert asyncio.run(read_in(sighted, side_log, stands))
    assert sighted.machine.updates[1].phase is UpdatePhase.ARMED, "its system is on trial in this very boot"


def test_a_journal_that_has_it_is_not_told_again_and_one_with_other_entries_there_is(tmp_path: Path) -> None:
    async def main(*first: Event) -> int:
        journal = Journal(Environment(tmp_path / str(len(first))), HandClock())
        engine = Engine(journal, Machine(), HandClock(), frozenset())
        engine.record(first)
        aside = engine_beside(Machine(), (), journal.side_log, stands_in(None), WHY, HandClock(), "", frozenset())
        aside.record((begun(),))
        assert await read_in(engine, journal.side_log, stands_in(journal.reader))
        if not first:
            assert await read_in(engine, journal.side_log, stands_in(journal.reader))
        await journal.close()
        return journal.seq

    assert asyncio.run(main()) == 1
    assert asyncio.run(main(CallAccepted("Some.Call"))) == 2


@pytest.mark.parametrize("letter", ["x", "é", "日"])
def test_whatever_is_noted_fits_a_sector_however_much_there_is_to_say(side_log: SideLog, letter: str) -> None:
    much, number, digest, boot = letter * 900, 1 << 40, "f" * 64, "b" * 36
    version, commit = ".".join(["123456"] * 4), "f" * 40 + "+"
    longest = (
        UpdateBegun("slot_b", version, commit, number, "slot_a", version, commit, signed_by="k" * 43, size_bytes=number,
                    window_s=604_800, confirm_when="healthy", soak_s=86_400, downgrade=True, retried=number,
                    from_level=(("much", 1),) * 100),
        UpdateStaged(number, digest, digest, number, number, number),
        UpdateStagingFailed(number, "INTERRUPTED", much),
        UpdateArming(number, True, (much,) * 9),
        UpdateArmed(number, recovered=True),
        UpdateDisarmed(number, "write-failed", much),
        BootStarted("slot_b", "slot_a", much, much, tentative=True, uid=number, deadline_mono_ns=1 << 62, tried=number),
        UpdateConfirming(number, "operator"),
        UpdateConfirmed(number, "slot_b", recovered=True),
        UpdateReturning(number, "unhealthy-workload", much, with_data=True),
        UpdateRolledBack(number, "unhealthy-workload", much, "certain", (much,) * 9, (much,) * 9, boot),
        UpdateRolledBack(number, "unknown", "", "none", (), ("the journal: no entry", "the watchdog: none")),
    )  # fmt: skip
    engine = beside(armed(), side_log, boot)
    for event in longest:
        engine.record((event,), actor=SYSTEM)
    noted = [draft.event for draft in records_of(side_log)]
    assert [type(event) for event in noted] == [type(event) for event in longest]
    assert {type(event) for event in noted} == set(get_args(_KEPT))
    assert noted[-1].looked_for == ("the journal", "the watchdog")  # type: ignore[attr-defined]
    assert noted[-2].looked_for and all(noted[-2].looked_for)  # type: ignore[attr-defined]


@pytest.mark.parametrize("event", [OperatorsReset("by hand"), UpdateKeyEnrolled("k", "ab" * 32, "")])
def test_whatever_is_no_word_on_a_slot_is_refused_as_everywhere(side_log: SideLog, event: Event) -> None:
    engine = beside(armed(), side_log)
    with pytest.raises(JournalReadOnly):
        engine.record((event,))
    for intent in (CreateVolume("data", 1 << 30), AddUpdateKey("k", "ab" * 32, "")):
        able = Engine(engine._log, engine.machine, HandClock("boot-2"), frozenset({"volume"}))
        with pytest.raises(JournalReadOnly):
            asyncio.run(able.call(intent, Caller(LOCAL, "Some.Call")))
    assert not side_log.records()


def test_a_side_log_that_is_full_takes_no_word_and_says_so(side_log: SideLog) -> None:
    for number in range(SECTORS):
        side_log.append(Emergency("stop", f"web{number}"))
    story = armed()
    engine = beside(story, side_log)
    with pytest.raises(JournalFull, match="no free sector"):
        engine.record((UpdateReturning(uid(story), "operator"),))
    assert engine.machine.updates[uid(story)].phase is UpdatePhase.ARMED
    assert not list(records_of(side_log))
