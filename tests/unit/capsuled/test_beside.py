"""Updates beside a journal that takes nothing: what is known of slots, what is noted, and what is refused."""

import asyncio
from pathlib import Path
from typing import Any, Literal, get_args

import pytest

from capsuled.boot.ground import Booted as Ground
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.layout import hosted
from capsuled.rpc import Refused
from capsuled.updates.beside import LIFE
from capsuled.updates.fitting import Fitted, begin_beside
from capsuled.updates.level import own
from capsuled.updates.noted import KEPT
from capsuled.updates.receiving import Options
from capsuled.updates.switching import Switch
from capsuled.updates.trial import Trial
from capsuled.updates.updates import Updates
from effects.slots.bundle import BundleStream
from effects.slots.protocol import LoaderState, Room, Slot
from effects.slots.twin import SlotDisk, TwinLoader, TwinSlots
from journal.entry import LOCAL, SYSTEM, Actor
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
from journal.sidelog import FOR_UPDATES, SECTORS, Emergency, SideLog
from projections.intents import CreateVolume
from projections.refusals import Refusal
from projections.state import Update
from projections.update_health import Facts
from projections.update_intents import AddUpdateKey, ConfirmUpdate, RollBackUpdate, System
from projections.update_phases import UpdatePhase
from projections.update_reconcile import Booted, Variables, reconcile
from tests.support.beside import another, armed, at_once, begun, beside, records_of
from tests.support.bundles import Bundle, arriving
from tests.support.clock import HandClock
from tests.unit.capsuled.test_emergency import Brim
from tests.unit.projections.test_update_calls import LEVEL, NEW, standing, uid


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


def test_a_clock_that_is_behind_the_journal_shuts_no_update(side_log: SideLog) -> None:
    engine = beside(armed(), side_log)
    now = engine.machine.at = HandClock().wall_ns()
    engine.machine.at += 3_600 * 10**9
    engine.record((DaemonStarted("os", "power-lost"),))
    assert engine.machine.at == now
    engine.machine.at += 3_600 * 10**9
    engine.record((BootStarted("slot_b", "slot_a", "0.0.1 aaa", tentative=True),))
    assert [type(draft.event) for draft in records_of(side_log)] == [BootStarted] and engine.machine.at == now


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
    assert {type(event) for event in noted} == set(get_args(KEPT))
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


def filled(side_log: SideLog, free: int) -> None:
    for number in range(SECTORS - free):
        side_log.append(Emergency("stop", f"web{number}"))


def test_a_side_log_that_is_full_takes_no_word_and_says_what_to_do(side_log: SideLog) -> None:
    filled(side_log, free=1)
    story = armed()
    engine = beside(story, side_log)
    both = (UpdateReturning(uid(story), "operator"), UpdateRolledBack(uid(story), "operator", ""))
    with pytest.raises(JournalFull, match=r"Updates are noted beside it.*the next system that can write the journal"):
        engine.record(both)
    assert engine.machine.updates[uid(story)].phase is UpdatePhase.ARMED
    assert not list(records_of(side_log)), "half of it is worse than none"


@pytest.mark.parametrize(("kind", "needs"), [("push", FOR_UPDATES), ("rollback", LIFE + 1)])
def test_an_update_is_begun_only_where_its_end_will_have_room(
    side_log: SideLog, kind: Literal["push", "rollback"], needs: int
) -> None:
    filled(side_log, free=needs - 1)
    engine = beside(standing(), side_log)
    with pytest.raises(JournalFull, match="Updates are noted beside it"):
        engine.record((begun(kind=kind),))
    side_log.forget(side_log.records()[:1])
    engine.record((begun(kind=kind),))


def test_the_room_that_is_left_takes_the_longest_life_of_a_push_and_of_the_way_back(side_log: SideLog) -> None:
    filled(side_log, free=FOR_UPDATES)
    lives: tuple[tuple[str, Literal["push", "rollback"]], ...] = (("slot_b", "push"), ("slot_a", "rollback"))
    for slot, kind in lives:
        engine = beside(standing(), side_log)
        engine.record((DaemonStarted("os", "power-lost"), BootStarted("slot_a", "slot_a", "0.0.1 aaa")))
        number = engine.record((UpdateBegun(slot, "0.0.3", "ccc", 3, "slot_a", "0.0.1", "aaa", kind=kind),))
        if kind == "push":
            engine.record((UpdateStaged(number, "b" * 64, "r" * 64, 1, 2),))
        engine.record((UpdateArming(number),))
        engine.record((UpdateArmed(number),))
        engine.record((BootStarted(slot, "slot_a", "0.0.3 ccc", tentative=True, uid=number),))
        if kind == "push":
            engine.record((UpdateConfirming(number, "operator"),))
        engine.record((UpdateReturning(number, "not-confirmed"),))
        engine.record((UpdateConfirming(number, "by-hand"), UpdateConfirmed(number, slot)))
        assert engine.machine.updates[number].phase is UpdatePhase.CONFIRMED
    assert side_log.count() == SECTORS - 2, (
        "a rollback is not staged, and what it leads to reads this in or is not kept"
    )


def test_a_confirmation_that_the_journal_does_not_take_says_why_and_is_tried_until_it_does() -> None:
    story = armed()
    story.reboot("boot-2")
    number = uid(story)
    story.tell(BootStarted("slot_b", "slot_a", "0.0.2 bbb", tentative=True, uid=number, deadline_mono_ns=10**12))
    log, disk, said, ended = Brim(story.machine.seq), SlotDisk(Room(1, 1)), [], []

    class Freed(HandClock):
        """Space is freed while somebody waits."""

        async def sleep(self, seconds: float) -> None:
            said.append(switch.problem)
            log.full = False

    async def all_well() -> Facts:
        return Facts(answers=True, state="", uplink=True)

    clock = Freed("boot-2")
    engine = Engine(log, story.machine, clock, frozenset())
    switch = Switch(engine, TwinLoader(disk, at_once))
    log.full = False
    engine.record((UpdateConfirming(number, "operator"), UpdateHealthChanged(number)))
    log.full = True
    trial = Trial(engine, switch, clock, all_well, None, lambda: ended.append("back"), lambda: ended.append("stays"))
    asyncio.run(trial.run())
    assert said[0] == "the disk is full" and ended == ["stays"] and switch.problem == ""
    assert engine.machine.updates[number].phase is UpdatePhase.CONFIRMED and disk.state.default_slot == "slot_b"


@pytest.mark.parametrize(
    ("ground", "default", "stray"),
    [
        (Ground("slot_a", "slot_a"), "slot_a", False),
        (Ground("slot_b", "slot_a", 77, 600), "slot_a", True),
        (Ground("slot_b", "slot_a", 77, 600), "slot_b", False),
    ],
    ids=["no trial", "on trial", "the loader's default by now"],
)
def test_a_start_that_cannot_note_what_it_means_closes_updates_with_the_reason_and_what_to_do(
    side_log: SideLog, tmp_path: Path, ground: Ground, default: Slot, stray: bool
) -> None:
    story = armed()
    filled(side_log, free=0)
    engine = beside(story, side_log, "boot-3")
    disk, told = SlotDisk(Room(1, 1)), []
    disk.state = LoaderState(default, tried=uid(story), update=uid(story))
    loader = TwinLoader(disk, at_once)

    class Here:
        """What is asked of the system that runs."""

        booted, release = ground, "0.0.1 aaa"

        def warn(self, text: str) -> None:
            told.append(text)

    here: Any = Here()
    fitted = Fitted(engine, here, Switch(engine, loader), loader, System("0.0.1", "aaa", 10), "/dev/none1", beside=True)
    assert asyncio.run(begin_beside(fitted, here, HandClock("boot-3"), hosted(tmp_path), here)) is stray
    for intent in (another(), ConfirmUpdate(), RollBackUpdate(NEW, own(), LEVEL, 900)):
        _, verdict = engine.preview(intent, "admin")
        assert isinstance(verdict, Refusal) and verdict.message.startswith(told[-1])
        assert "has 128 of the 128 records" in verdict.message and "start the machine anew" in verdict.message


def test_where_nobody_knows_which_keys_sign_updates_only_an_admin_pushes(side_log: SideLog) -> None:
    engine = beside(standing(), side_log)
    disk = SlotDisk(Room(1 << 16, 1 << 16))
    switch, slots = Switch(engine, TwinLoader(disk, at_once)), TwinSlots(disk, at_once)

    def push(role: str) -> Update:
        updates = Updates(
            engine, slots, switch, HandClock("boot-2"), System("0.0.1", "aaa", 10), lambda: (), lambda: True, _nothing,
            keys_known=False,
        )  # fmt: skip
        stream = BundleStream(arriving(Bundle(version="0.0.3", commit="ccc", built=30).data(), 4_096))
        caller = Caller(Actor("operator", "k", "joe", role), "UpdateOS")
        return asyncio.run(updates.receive(stream, Options(), caller, stay=True))

    with pytest.raises(Refused, match="only an admin may push"):
        push("operator")
    assert not side_log.records()
    assert engine.machine.updates[push("admin").uid].phase is UpdatePhase.ARMED


def _nothing() -> None:
    """No machine ends here."""
