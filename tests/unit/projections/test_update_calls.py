"""What may be written into the other slot, what may stay, and what there is to go back to."""

from typing import Any

import pytest

from journal.events import (
    BootStarted,
    DaemonStarted,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateKeyEnrolled,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
)
from projections.admission import Admitted
from projections.refusals import Refusal
from projections.update_admission import KEYS_MAX, order_of
from projections.update_intents import (
    AddUpdateKey,
    BeginUpdate,
    ConfirmUpdate,
    RemoveUpdateKey,
    RollBackUpdate,
    System,
)
from projections.update_phases import UpdatePhase
from projections.updates import current
from tests.support.story import Story

OLD, NEW = System("0.0.1", "aaa", 10), System("0.0.2", "bbb", 20)
LEVEL = (("workload.applied", 1), ("format/containerd", 1))
KEY = "ab" * 32


def standing() -> Story:
    story = Story()
    story.tell(DaemonStarted("os", "first"), BootStarted("slot_a", "slot_a", "0.0.1 aaa"))
    return story


def begin(story: Story, **more: Any) -> Admitted | Refusal:
    fields: dict[str, Any] = {
        "new": NEW,
        "running": OLD,
        "size_bytes": 100,
        "signed_by": "",
        "reads": (*LEVEL, ("more", 1)),
        "level": LEVEL,
        "written": LEVEL,
        "window_s": 900,
    }
    return story.call(BeginUpdate(**(fields | more)))


def go_back(story: Story, written: tuple[tuple[str, int], ...] = LEVEL) -> Admitted | Refusal:
    return story.call(RollBackUpdate(NEW, LEVEL, written, 900))


def reason(verdict: Admitted | Refusal) -> str:
    assert isinstance(verdict, Refusal), verdict
    return verdict.reason


def uid(story: Story) -> int:
    return max(story.machine.updates)


def armed() -> Story:
    story = standing()
    assert isinstance(begin(story), Admitted)
    story.tell(UpdateStaged(uid(story), "b" * 64, "r" * 64, 1, 2), UpdateArming(uid(story)), UpdateArmed(uid(story)))
    return story


def on_trial() -> Story:
    story = armed()
    story.reboot("boot-2")
    story.tell(BootStarted("slot_b", "slot_a", "0.0.2 bbb", tentative=True, uid=uid(story), deadline_mono_ns=10**12))
    return story


def confirmed() -> Story:
    story = on_trial()
    assert isinstance(story.call(ConfirmUpdate()), Admitted)
    story.tell(UpdateConfirmed(uid(story), "slot_b"))
    return story


def test_an_update_is_of_the_other_slot_and_keeps_what_runs_to_go_back_to() -> None:
    story = standing()
    verdict = begin(story, signed_by="kid")
    assert isinstance(verdict, Admitted)
    (event,) = verdict.events
    assert isinstance(event, UpdateBegun)
    assert (event.slot, event.from_slot, event.version, event.from_version) == ("slot_b", "slot_a", "0.0.2", "0.0.1")
    assert event.from_level == LEVEL and not event.downgrade and event.signed_by == "kid"
    story = confirmed()
    again = begin(story, running=NEW, new=System("0.0.3", "ccc", 30))
    assert isinstance(again, Admitted) and again.events[0].slot == "slot_a"  # type: ignore[attr-defined]


def test_what_runs_already_in_place_of_a_default_that_cannot_be_loaded_is_not_gone_back_to() -> None:
    story = confirmed()
    story.reboot("boot-3")
    story.tell(BootStarted("slot_a", "slot_b", "0.0.1 aaa"))
    assert reason(go_back(story)) == "RUNS_ALREADY"


def test_nothing_is_written_while_another_update_is_under_way_or_on_trial() -> None:
    story = standing()
    begin(story)
    assert reason(begin(story)) == "UPDATE_RUNS"
    assert reason(begin(armed())) == "UPDATE_WAITS"
    assert reason(begin(on_trial())) == "TENTATIVE"
    story = on_trial()
    story.tell(UpdateConfirming(uid(story), "operator"))
    assert reason(begin(story)) == "TENTATIVE"


@pytest.mark.parametrize(
    ("new", "verdict"),
    [
        (System("0.0.0", "ccc", 99), "OLDER"),
        (System("0.0.1", "ccc", 9), "OLDER"),
        (OLD, "SAME_SYSTEM"),
        (System("0.0.1", "ccc", 10), ""),
        (System("0.0.1", "ccc", 11), ""),
        (System("0.0.10", "ccc", 1), ""),
        (System("0.1", "ccc", 1), ""),
        (System("1", "ccc", 1), ""),
    ],
)
def test_what_is_older_or_runs_already_needs_a_word_more(new: System, verdict: str) -> None:
    found = begin(standing(), new=new)
    assert (found.reason if isinstance(found, Refusal) else "") == verdict
    allowed = begin(standing(), new=new, allow_downgrade=True)
    assert isinstance(allowed, Admitted)
    assert allowed.events[0].downgrade is (order_of(new) < order_of(OLD))  # type: ignore[attr-defined]


def test_a_system_that_would_freeze_on_this_journal_is_not_installed_whatever_is_said() -> None:
    for written in ((*LEVEL, ("newer", 1)), (("workload.applied", 2),), (("format/containerd", 2),)):
        assert reason(begin(standing(), reads=LEVEL, written=written, allow_downgrade=True)) == "WOULD_FREEZE"


def test_a_system_that_failed_is_tried_again_only_when_that_is_said_and_the_earlier_failure_is_shown() -> None:
    story = on_trial()
    story.tell(UpdateRolledBack(uid(story), "kernel-panic"))
    story.tell(BootStarted("slot_a", "slot_a", "0.0.1 aaa"))
    failed = uid(story)
    verdict = begin(story)
    assert isinstance(verdict, Refusal) and verdict.reason == "FAILED_BEFORE"
    assert f"update {failed}" in verdict.message and "panicked" in verdict.message
    again = begin(story, retry=True)
    assert isinstance(again, Admitted) and again.events[0].retried == failed  # type: ignore[attr-defined]


def test_what_an_earlier_trial_came_to_is_told_with_its_reason() -> None:
    story = on_trial()
    story.tell(UpdateRolledBack(uid(story), "state-lost", "state: No space left on device"))
    story.tell(BootStarted("slot_a", "slot_a", "0.0.1 aaa"))
    verdict = begin(story)
    assert isinstance(verdict, Refusal) and "(state: No space left on device). `capsulectl" in verdict.message


@pytest.mark.parametrize("times", [{"window_s": 59}, {"window_s": 8 * 86_400}, {"soak_s": 900}, {"soak_s": -1}])
def test_a_trial_has_an_end_that_it_can_reach(times: dict[str, int]) -> None:
    assert reason(begin(standing(), confirm_when="healthy", **times)) in ("BAD_WINDOW", "BAD_SOAK")


def test_how_long_it_has_to_be_well_does_not_matter_where_an_operator_confirms() -> None:
    assert isinstance(begin(standing(), window_s=60, soak_s=60), Admitted)


def test_a_signature_is_of_a_key_that_is_enrolled_in_this_moment() -> None:
    story = standing()
    story.tell(UpdateKeyEnrolled("kid", "00" * 32, "release"))
    assert reason(begin(story)) == reason(begin(story, signed_by="another")) == "KEYS_CHANGED"
    assert isinstance(begin(story, signed_by="kid"), Admitted)


def test_a_way_back_that_is_being_looked_at_is_not_called_a_push() -> None:
    story = confirmed()
    go_back(story)
    refusal = go_back(story)
    assert isinstance(refusal, Refusal) and refusal.reason == "UPDATE_RUNS" and "push" not in refusal.message


def test_only_what_is_on_trial_is_confirmed() -> None:
    assert reason(standing().call(ConfirmUpdate())) == "NOTHING_TO_CONFIRM"
    assert reason(armed().call(ConfirmUpdate())) == "NOTHING_TO_CONFIRM"
    story = on_trial()
    assert story.call(ConfirmUpdate()) == Admitted((UpdateConfirming(uid(story), "operator"),))
    assert story.call(ConfirmUpdate()) == Admitted(())
    story = on_trial()
    story.tell(UpdateReturning(uid(story), "hung"))
    assert reason(story.call(ConfirmUpdate())) == "RETURNS"


def test_a_trial_is_ended_by_going_back_and_what_waits_is_dropped() -> None:
    story = on_trial()
    assert go_back(story) == Admitted((UpdateReturning(uid(story), "operator"),))
    assert go_back(story) == Admitted(())
    assert go_back(armed()) == Admitted(())
    story = on_trial()
    story.tell(UpdateConfirming(uid(story), "operator"))
    assert reason(go_back(story)) == "CONFIRMING"
    story = standing()
    begin(story)
    assert reason(go_back(story)) == "UPDATE_RUNS"


def test_after_a_confirmation_there_is_a_way_back_until_the_other_slot_is_written() -> None:
    assert reason(go_back(standing())) == "NO_WAY_BACK"
    story = confirmed()
    verdict = go_back(story)
    assert isinstance(verdict, Admitted)
    back = current(story.machine)
    assert back is not None and (back.kind, back.slot, back.version, back.phase) == (
        "rollback",
        "slot_a",
        "0.0.1",
        UpdatePhase.STAGED,
    )
    story = confirmed()
    begin(story, running=NEW, new=System("0.0.3", "ccc", 30))
    story.tell(UpdateStagingFailed(uid(story), "CUT", "it ended"))
    assert reason(go_back(story)) == "NO_WAY_BACK"


def test_a_way_back_to_a_system_that_would_freeze_is_refused_beforehand() -> None:
    verdict = go_back(confirmed(), written=(*LEVEL, ("newer", 1)))
    assert isinstance(verdict, Refusal) and verdict.reason == "WOULD_FREEZE" and "newer" in verdict.message


def test_keys_are_enrolled_once_and_removed_by_their_ids() -> None:
    story = standing()
    assert story.call(AddUpdateKey("k1", KEY, "anna")) == Admitted((UpdateKeyEnrolled("k1", KEY, "anna"),))
    assert reason(story.call(AddUpdateKey("k1", KEY, "anna"))) == "KEY_ENROLLED"
    assert reason(story.call(AddUpdateKey("k2", "ab", ""))) == "BAD_KEY"
    assert reason(story.call(AddUpdateKey("k2", "00" * 32, ""))) == "BAD_KEY"
    assert reason(story.call(AddUpdateKey("k2", KEY, "a\nb"))) == "BAD_NAME"
    for number in range(KEYS_MAX - 1):
        story.call(AddUpdateKey(f"more{number}", KEY, ""))
    assert reason(story.call(AddUpdateKey("k2", KEY, ""))) == "TOO_MANY_KEYS"
    assert isinstance(story.call(RemoveUpdateKey("k1")), Admitted) and "k1" not in story.machine.update_keys
    assert reason(story.call(RemoveUpdateKey("k1"))) == "KEY_NOT_FOUND"


def test_what_is_on_its_way_back_or_on_a_trial_that_nobody_knows_is_told_as_that() -> None:
    story = on_trial()
    assert isinstance(story.call(RollBackUpdate(NEW, LEVEL, LEVEL, 900)), Admitted)
    for verdict in (begin(story), story.call(ConfirmUpdate())):
        assert reason(verdict) == "RETURNS" and "slot_a" in verdict.message  # type: ignore[union-attr]
    story = standing()
    story.reboot("boot-2")
    story.tell(BootStarted("slot_b", "slot_a", "0.0.2 bbb", tentative=True, uid=99))
    for verdict in (begin(story), story.call(ConfirmUpdate()), go_back(story)):
        assert reason(verdict) == "STRAY" and "starting anew" in verdict.message  # type: ignore[union-attr]
