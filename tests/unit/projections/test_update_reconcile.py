"""What a boot makes of journal and boot loader, in every phase that power can go in."""

from collections.abc import Callable
from typing import Any

import pytest

from journal.events import (
    BootStarted,
    DaemonStarted,
    Event,
    JournalRestored,
    UpdateArmed,
    UpdateArming,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
)
from projections.admission import Admitted
from projections.update_intents import System
from projections.update_phases import UpdatePhase
from projections.update_reconcile import Booted, Reconciled, Variables, reconcile
from projections.update_words import update_text
from tests.support.story import Story
from tests.unit.projections.test_update_calls import NEW, begin, confirmed, go_back, on_trial, standing, uid

A, B = Booted("slot_a", "slot_a"), Booted("slot_b", "slot_b")
WAITING = "waiting"


def told(story: Story, booted: Booted, boot: str = "boot-9", **loader: object) -> Reconciled:
    variables = Variables(default_slot=booted.default_slot, **loader)  # type: ignore[arg-type]
    return reconcile(story.machine, boot, booted, variables, "0.0.1 aaa", "6.1")


def facts(found: Reconciled) -> list[type[Event]]:
    return [type(event) for event in found.events]


def staging() -> Story:
    story = standing()
    begin(story)
    return story


def staged() -> Story:
    story = staging()
    story.tell(UpdateStaged(uid(story), "b", "r", 1, 2))
    return story


def arming() -> Story:
    story = staged()
    story.tell(UpdateArming(uid(story)))
    return story


def armed() -> Story:
    story = arming()
    story.tell(UpdateArmed(uid(story)))
    return story


def confirming() -> Story:
    story = on_trial()
    story.tell(UpdateConfirming(uid(story), "operator"))
    return story


def returning() -> Story:
    story = on_trial()
    story.tell(UpdateReturning(uid(story), "operator"))
    return story


def test_a_boot_without_an_update_is_told_once() -> None:
    story = standing()
    assert facts(told(story, A)) == [BootStarted]
    assert facts(told(story, A, boot=story.boot)) == []


@pytest.mark.parametrize("boot", ["boot-9", "boot-1"])
def test_what_was_being_written_has_failed_and_what_was_never_armed_is_dropped(boot: str) -> None:
    assert UpdateStagingFailed in facts(told(staging(), A, boot))
    for story in (staged(), arming()):
        found = told(story, A, boot)
        assert facts(found)[-1] is UpdateDisarmed and found.back is None
        assert found.events[-1].reason == "never-written"  # type: ignore[attr-defined]


def test_a_one_shot_that_was_written_is_told_of_by_the_daemon_that_comes_after() -> None:
    story = arming()
    found = told(story, A, boot="boot-1", next_slot="slot_b", update=uid(story))
    assert found.events == (UpdateArmed(uid(story), recovered=True),) and not found.take_back and found.back is None
    story = armed()
    assert told(story, A, boot="boot-1", next_slot="slot_b", update=uid(story)) == Reconciled(loader="waiting")


def test_a_one_shot_that_the_loader_has_taken_and_that_led_back_is_a_rollback_whatever_the_journal_knew() -> None:
    for story in (arming(), armed(), on_trial(), confirming(), returning()):
        found = told(story, A, tried=uid(story), update=uid(story))
        assert found.back is not None and found.back.uid == uid(story) and found.loader == "taken"
        assert not found.take_back
    story = armed()
    assert told(story, A, tried=uid(story), refused=uid(story)).loader == "refused"


def test_a_daemon_that_ended_before_it_told_of_a_rollback_tells_it_when_it_is_started_again() -> None:
    story = armed()
    found = told(story, A, boot=story.boot, tried=uid(story), update=uid(story))
    assert found.back is not None and found.loader == "taken" and found.events == ()


def test_a_one_shot_that_the_loader_has_not_taken_is_taken_back() -> None:
    for story in (arming(), armed()):
        found = told(story, A, next_slot="slot_b", update=uid(story))
        assert found.back is not None and found.loader == "waiting" and found.take_back
    found = told(standing(), A, next_slot="slot_b", update=7)
    assert found.back is None and found.take_back


def test_a_trial_is_told_with_its_deadline_and_the_fact_before_it_that_was_missing() -> None:
    for story, before in ((arming(), [UpdateArmed]), (armed(), [])):
        found = told(story, Booted("slot_b", "slot_a", uid(story), 600), tried=uid(story))
        assert facts(found) == [*before, BootStarted] and not found.stray
        started = found.events[-1]
        assert isinstance(started, BootStarted)
        assert (started.tentative, started.uid, started.deadline_mono_ns) == (True, uid(story), 600 * 10**9)


def test_a_trial_that_the_journal_does_not_know_is_none() -> None:
    booted = Booted("slot_b", "slot_a", 99, 600)
    for story in (standing(), armed(), staged()):
        found = told(story, booted)
        assert found.stray and facts(found) == [BootStarted]
    story = staged()
    assert told(story, Booted("slot_b", "slot_a", uid(story), 600)).stray


def test_a_one_shot_that_is_on_trial_and_would_be_booted_again_is_taken_back() -> None:
    for story in (armed(), on_trial(), staged()):
        booted = Booted("slot_b", "slot_a", uid(story), 600)
        assert told(story, booted, next_slot="slot_b", update=uid(story)).take_back
        assert not told(story, booted, tried=uid(story)).take_back


def test_a_daemon_that_is_started_again_in_a_trial_goes_on_with_it() -> None:
    for story in (on_trial(), confirming(), returning()):
        found = told(story, Booted("slot_b", "slot_a", uid(story), 600), boot="boot-2", tried=uid(story))
        assert found.events == () and not found.stray and found.back is None


def test_a_default_that_was_changed_is_a_confirmation_in_this_boot_and_in_the_next_one() -> None:
    story = confirming()
    booted = Booted("slot_b", "slot_a", uid(story), 600)
    found = reconcile(story.machine, "boot-2", booted, Variables(default_slot="slot_b"), "0.0.2 bbb")
    assert found.events == (UpdateConfirmed(uid(story), "slot_b", recovered=True),)
    assert facts(told(confirming(), B))[-1] is UpdateConfirmed
    story.tell(*found.events)
    again = reconcile(story.machine, "boot-2", booted, Variables(default_slot="slot_b"), "0.0.2 bbb")
    assert again.events == () and not again.stray


def test_in_the_boot_in_which_one_was_confirmed_the_next_one_is_reconciled_as_in_any_other() -> None:
    story = confirming()
    booted = Booted("slot_b", "slot_a", uid(story), 600)
    story.tell(UpdateConfirmed(uid(story), "slot_b"))
    variables = Variables(default_slot="slot_b", next_slot="slot_a", update=1)
    stray_shot = reconcile(story.machine, "boot-2", booted, variables, "0.0.2 bbb")
    assert stray_shot.events == () and stray_shot.take_back and not stray_shot.stray
    begin(story, new=System("0.0.3", "ccc", 30), running=System("0.0.2", "bbb", 20))
    again = reconcile(story.machine, "boot-2", booted, Variables(default_slot="slot_b"), "0.0.2 bbb")
    assert facts(again) == [UpdateStagingFailed] and not again.stray


def test_a_default_that_another_hand_has_changed_is_told_as_that() -> None:
    found = told(on_trial(), B)
    assert facts(found) == [BootStarted, UpdateConfirming, UpdateConfirmed]
    assert found.events[1].how == "by-hand"  # type: ignore[attr-defined]


def test_a_loader_that_cannot_be_read_decides_nothing_that_it_would_have_to_be_asked_for() -> None:
    story = arming()
    found = told(story, A, readable=False)
    assert facts(found) == [BootStarted] and found.back is None
    found = told(on_trial(), A, readable=False)
    assert found.back is not None and found.loader == "unknown"


UNDER_WAY = (arming, armed, on_trial, confirming, returning)


@pytest.mark.parametrize("before", UNDER_WAY)
def test_a_slot_that_runs_because_the_default_cannot_be_loaded_is_not_confirmed_and_not_said_to_be_left(
    before: Callable[[], Story],
) -> None:
    for tried, following in ((True, ""), (False, "slot_b")):
        story = before()
        number = uid(story)
        loader: dict[str, Any] = {"next_slot": following, "update": number, "tried": number if tried else 0}
        found = told(story, Booted("slot_b", "slot_a"), **loader)
        assert not {UpdateConfirming, UpdateConfirmed} & set(facts(found))
        assert found.back is not None and (found.back.uid, found.runs) == (number, "slot_b")
        assert found.take_back is bool(following) and not found.trial
        story.tell(DaemonStarted("os", "power-lost"), *found.events)
        assert (story.machine.slots.active, story.machine.slots.default) == ("slot_b", "slot_a")
        again = told(story, Booted("slot_b", "slot_a"), boot=story.boot, **loader)
        assert (again.back, again.runs, again.take_back) == (story.machine.updates[number], "slot_b", bool(following))
        words = update_text(UpdateRolledBack(number, "power-lost", runs=found.runs))
        assert "is not kept, though slot_b runs" in words and "rolled back" not in words


@pytest.mark.parametrize("before", UNDER_WAY)
@pytest.mark.parametrize("booted", [B, Booted("slot_b", "slot_a", 3, 600)], ids=["by itself", "once"])
@pytest.mark.parametrize("boot", ["boot-2", "boot-9"])
def test_a_slot_that_is_the_loaders_default_is_here_to_stay_whatever_the_journal_knows_of_it(
    before: Callable[[], Story], booted: Booted, boot: str
) -> None:
    story = before()
    number = uid(story)
    assert number == 3
    variables = Variables(default_slot="slot_b", tried=number)
    found = reconcile(story.machine, boot, booted, variables, "0.0.2 bbb")
    assert found.back is None and not found.stray and not found.trial
    assert found.events[-1] == UpdateConfirmed(number, "slot_b", recovered=True)
    story.boot = boot
    story.tell(DaemonStarted("os", "crash"), *found.events)
    slots = story.machine.slots
    assert (slots.default, slots.tentative) == ("slot_b", False)
    assert story.machine.updates[number].phase is UpdatePhase.CONFIRMED
    assert reconcile(story.machine, boot, booted, variables, "0.0.2 bbb").events == ()


@pytest.mark.parametrize("before", [Story, standing])
def test_a_confirmed_system_whose_update_is_unknown_by_now_does_not_go_back(before: Callable[[], Story]) -> None:
    booted = Booted("slot_b", "slot_a", 99, 600)
    found = reconcile(before().machine, "boot-9", booted, Variables(default_slot="slot_b", tried=99), "0.0.2 bbb")
    assert found == Reconciled((BootStarted("slot_b", "slot_b", "0.0.2 bbb", tried=99),))


def test_damaged_variables_decide_no_trial_and_say_nothing_of_the_one_shot() -> None:
    story = on_trial()
    story.tell(UpdateReturning(uid(story), "operator"))
    back = reconcile(story.machine, "boot-9", A, Variables(readable=False), "0.0.1 aaa")
    assert back.back is not None and back.loader == "unknown"
    story = confirmed()
    assert isinstance(go_back(story), Admitted)
    story.tell(UpdateArming(uid(story)), UpdateArmed(uid(story)))
    story.reboot("boot-3")
    story.tell(BootStarted("slot_a", "slot_b", "0.0.1 aaa", tentative=True, uid=uid(story), deadline_mono_ns=10**12))
    once = Booted("slot_a", "slot_b", uid(story), 600)
    found = reconcile(story.machine, "boot-3", once, Variables(readable=False), "0.0.1 aaa")
    assert found.events == () and found.trial and not found.stray


def in_slot_a(*told: Callable[[int], Event]) -> Story:
    """What is confirmed is in slot_b, and this became of an update into slot_a."""
    story = confirmed()
    begin(story, running=NEW, new=System("0.0.3", "ccc", 30))
    number = uid(story)
    story.tell(UpdateStaged(number, "b" * 64, "r" * 64, 1, 2), UpdateArming(number), UpdateArmed(number))
    story.reboot("boot-4")
    story.tell(*(one(number) for one in told))
    return story


def booted_once(uid: int) -> Event:
    return BootStarted("slot_a", "slot_b", "0.0.3 ccc", tentative=True, uid=uid, deadline_mono_ns=10**12)


@pytest.mark.parametrize(
    ("told", "stays"),
    [
        ((), False),
        ((booted_once,), False),
        ((booted_once, lambda uid: UpdateReturning(uid, "unhealthy-workload")), False),
        ((booted_once, lambda uid: UpdateConfirming(uid, "operator")), True),
    ],
    ids=["armed", "on trial", "returning", "being confirmed"],
)
def test_what_runs_because_the_variables_are_damaged_is_here_to_stay_only_where_that_was_meant(
    told: tuple[Callable[[int], Event], ...], stays: bool
) -> None:
    story = in_slot_a(*told)
    found = reconcile(story.machine, "boot-5", A, Variables(readable=False, damaged=True), "0.0.3 ccc")
    assert (UpdateConfirmed in facts(found)) is stays
    assert (found.back is not None) is not stays
    assert (found.runs, found.damaged) == ("" if stays else "slot_a", True)


def test_a_push_that_ended_behind_a_default_that_could_not_be_loaded_says_what_boots_since() -> None:
    story = standing()
    story.reboot("boot-2")
    story.tell(BootStarted("slot_b", "slot_a", "0.0.2 bbb"))
    begin(story)
    found = reconcile(
        story.machine, "boot-2", Booted("slot_b", "slot_a"), Variables(default_slot="slot_b"), "0.0.2 bbb"
    )
    story.tell(*found.events)
    assert facts(found) == [UpdateStagingFailed] and story.machine.slots.default == "slot_b"


@pytest.mark.parametrize("elsewhere", [on_trial, armed, confirming, returning, confirmed])
@pytest.mark.parametrize("boot", ["boot-9", "boot-2"], ids=["another machine's", "of this boot"])
def test_a_machine_that_took_a_memory_over_tells_its_own_slot_and_nothing_of_what_was_tried_elsewhere(
    elsewhere: Callable[[], Story], boot: str
) -> None:
    story = elsewhere()
    story.tell(JournalRestored(upto=story.machine.seq, head_hash="ab", apart=True))
    for booted in (A, B):
        found = told(story, booted, boot)
        assert facts(found) == [BootStarted] and found.back is None and not found.trial
