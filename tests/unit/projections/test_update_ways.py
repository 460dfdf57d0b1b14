"""Wherever a start finds journal, boot loader and booted slot, there is a way to the next update, and the words that
refuse one name it: every combination of them, not only those that a known fault leads to.
"""

from collections.abc import Callable, Iterator
from itertools import product

import pytest

from journal.events import (
    BootStarted,
    DaemonStarted,
    Event,
    UpdateArmed,
    UpdateArming,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStagingFailed,
)
from projections.admission import Admitted
from projections.refusals import Refusal
from projections.update_intents import ConfirmUpdate, RollBackUpdate, System
from projections.update_phases import UpdatePhase
from projections.update_reconcile import Booted, Reconciled, Variables, reconcile
from projections.updates import current, on_trial
from tests.support.story import Story
from tests.unit.projections import test_update_calls as calls
from tests.unit.projections import test_update_reconcile as known

NEWEST, RUNNING = System("0.0.9", "zzz", 99), System("0.0.2", "bbb", 20)
HERE = "boot-9"
SLOTS = ("slot_a", "slot_b")
OTHER = 999


def after(before: Callable[[], Story], ended: Callable[[int], Event]) -> Callable[[], Story]:
    def story() -> Story:
        made = before()
        made.tell(ended(calls.uid(made)))
        return made

    return story


def going_back(*told: Callable[[int], Event]) -> Callable[[], Story]:
    """The system before one that was confirmed is to run again, and it has come so far."""

    def story() -> Story:
        made = calls.confirmed()
        assert isinstance(calls.go_back(made), Admitted)
        number = calls.uid(made)
        for one in told:
            event = one(number)
            if isinstance(event, BootStarted):
                made.reboot("boot-3")
            made.tell(event)
        return made

    return story


def trial_of_a(number: int) -> Event:
    return BootStarted("slot_a", "slot_b", "0.0.1 aaa", tentative=True, uid=number, deadline_mono_ns=10**12)


def by_operator(number: int) -> Event:
    return UpdateConfirming(number, "operator")


def back(number: int) -> Event:
    return UpdateRolledBack(number, "operator")


def returning(number: int) -> Event:
    return UpdateReturning(number, "operator")


STORIES: dict[str, Callable[[], Story]] = {
    "nothing": calls.standing,
    "staging": known.staging,
    "staged": known.staged,
    "arming": known.arming,
    "armed": known.armed,
    "on trial": calls.on_trial,
    "confirming": known.confirming,
    "returning": known.returning,
    "failed": after(known.staging, lambda number: UpdateStagingFailed(number, "CUT", "")),
    "dropped": after(known.armed, lambda number: UpdateDisarmed(number, "operator")),
    "rolled back": after(calls.on_trial, back),
    "confirmed": calls.confirmed,
    "back: staged": going_back(),
    "back: arming": going_back(UpdateArming),
    "back: armed": going_back(UpdateArming, UpdateArmed),
    "back: on trial": going_back(UpdateArming, UpdateArmed, trial_of_a),
    "back: confirming": going_back(UpdateArming, UpdateArmed, trial_of_a, by_operator),
    "back: returning": going_back(UpdateArming, UpdateArmed, trial_of_a, returning),
    "back: rolled back": going_back(UpdateArming, UpdateArmed, trial_of_a, back),
}


def loaders(number: int) -> Iterator[Variables]:
    yield Variables(readable=False)
    for default, following, update, tried in product(SLOTS, ("", *SLOTS), {0, number}, {0, number}):
        yield Variables(True, default, following, update, tried)


def boots(number: int) -> Iterator[Booted]:
    for slot, default in product(SLOTS, SLOTS):
        yield Booted(slot, default)
    for slot, update in product(SLOTS, {number, OTHER} - {0}):
        yield Booted(slot, "slot_a" if slot == "slot_b" else "slot_b", update, 600)


def started(story: Story, booted: Booted, loader: Variables) -> Reconciled:
    """What a start of the daemon tells, as capsuled/first_entries.py and updates/at_boot.py do."""
    found = reconcile(story.machine, HERE, booted, loader, "0.0.2 bbb")
    story.tell(DaemonStarted("os", "crash"), *found.events)
    if found.back is not None:
        story.tell(UpdateRolledBack(found.back.uid, "unknown", runs=found.runs))
    return found


def forked(story: Story) -> Story:
    made = Story()
    made.machine, made.mono, made.boot = story.machine.fork(), story.mono, HERE
    return made


def push(story: Story) -> str:
    verdict = calls.begin(forked(story), new=NEWEST, running=RUNNING)
    return verdict.reason if isinstance(verdict, Refusal) else ""


def says(story: Story, intent: ConfirmUpdate | RollBackUpdate, fact: Event) -> Story:
    """It is admitted, and done."""
    verdict = story.call(intent)
    assert isinstance(verdict, Admitted), verdict
    story.tell(fact)
    return story


@pytest.mark.parametrize("name", STORIES)
def test_there_is_a_way_to_the_next_update_from_wherever_a_start_finds_the_machine(name: str) -> None:
    base = STORIES[name]()
    number = max(base.machine.updates, default=0)
    rollback = RollBackUpdate(RUNNING, calls.LEVEL, calls.LEVEL, 900)
    for booted, loader in product(boots(number), loaders(number)):
        story = forked(base)
        found = started(story, booted, loader)
        where = (booted, loader, found)
        update = current(story.machine)
        default = loader.default_slot if loader.readable else booted.default_slot
        trial = bool(booted.update) and default != booted.slot
        assert story.machine.slots.active == booted.slot and story.machine.slots.tentative is trial is found.trial, (
            where
        )
        assert story.machine.slots.default == (booted.default_slot if trial else default), where
        assert all(one.slot == booted.slot == default for one in found.events if isinstance(one, UpdateConfirmed)), (
            where
        )
        assert not trial or found.take_back is bool(loader.next_slot), where
        assert (found.back is not None and found.back.slot == booted.slot) is bool(found.runs), where
        assert not found.runs or default != booted.slot, where
        if found.stray:
            assert trial and push(story), where
        elif trial:
            assert update is not None and update is on_trial(story.machine) and update.uid == booted.update, where
            assert push(story) == "TENTATIVE"
            assert not push(says(forked(story), ConfirmUpdate(), UpdateConfirmed(update.uid, update.slot))), where
            assert isinstance(story.call(rollback), Admitted) and push(story) == "RETURNS", where
        elif update is not None:
            assert update.phase in (UpdatePhase.ARMING, UpdatePhase.ARMED) and not loader.readable, where
            assert push(story) == "UPDATE_WAITS"
            assert not push(says(story, rollback, UpdateDisarmed(update.uid, "operator"))), where
        else:
            assert not push(story), where
            assert found.take_back is bool(loader.next_slot), where


@pytest.mark.parametrize("name", STORIES)
def test_a_daemon_that_is_started_again_in_the_same_boot_finds_nothing_more_to_tell(name: str) -> None:
    base = STORIES[name]()
    number = max(base.machine.updates, default=0)
    for booted, loader in product(boots(number), loaders(number)):
        story = forked(base)
        found = started(story, booted, loader)
        if not loader.readable:
            continue
        following = "" if found.take_back else loader.next_slot
        left = Variables(True, loader.default_slot, following, loader.update, loader.tried)
        again = reconcile(story.machine, HERE, booted, left, "0.0.2 bbb")
        where = (booted, loader, found, again)
        assert (again.events, again.back, again.stray) == ((), None, found.stray), where
