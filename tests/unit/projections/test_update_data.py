"""Volumes kept over an update: with which it is refused, when they come back, and when their snapshots go."""

import pytest

from journal.events import (
    BootStarted,
    SnapshotRequested,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
    VolumeRestoreRequested,
)
from projections.admission import Admitted
from projections.intents import CreateVolume, DeleteSnapshot, TakeSnapshot
from projections.refusals import Refusal
from projections.update_data import brought_back, outlived, owed, owed_late
from projections.update_intents import RollBackUpdate, System
from projections.updates import KEPT
from projections.volume_admission import SNAPSHOTS_MOST
from tests.support.story import Story
from tests.unit.projections.test_update_calls import LEVEL, NEW, begin, on_trial, reason, standing, uid

LABEL = "before-update-1"


def with_volumes(*names: str) -> Story:
    story = standing()
    for name in names:
        assert isinstance(story.call(CreateVolume(name, 64 << 20)), Admitted)
    story.converge()
    return story


def kept(story: Story, label: str = LABEL, **more: object) -> int:
    """An update is begun, its volumes are kept, and it waits for its boot."""
    assert isinstance(begin(story, keeps=("db", "web"), snapshot=label, **more), Admitted)
    for name in ("db", "web"):
        assert isinstance(story.call(TakeSnapshot(name, label)), Admitted)
    story.converge()
    story.tell(UpdateStaged(uid(story), "b" * 64, "r" * 64, 1, 2), UpdateArming(uid(story)), UpdateArmed(uid(story)))
    return uid(story)


def tried(story: Story, update: int, slot: str = "slot_b", default: str = "slot_a") -> None:
    story.reboot(f"boot-of-{update}")
    story.tell(BootStarted(slot, default, "0.0.2 bbb", tentative=True, uid=update, deadline_mono_ns=10**12))


def confirmed(story: Story, update: int) -> None:
    story.tell(UpdateConfirming(update, "operator"), UpdateConfirmed(update, story.machine.updates[update].slot))


def back(story: Story, **more: bool) -> Admitted | Refusal:
    return story.call(RollBackUpdate(NEW, LEVEL, LEVEL, 900, **more))


def test_only_volumes_that_are_there_can_be_kept_and_each_once() -> None:
    story = with_volumes("db", "web")
    assert reason(begin(story, keeps=("db", "mail"), snapshot=LABEL)) == "VOLUME_NOT_FOUND"
    assert reason(begin(story, keeps=("db", "db"), snapshot=LABEL)) == "DOUBLED"
    story.call(TakeSnapshot("web", LABEL))
    assert reason(begin(story, keeps=("db", "web"), snapshot=LABEL)) == "SNAPSHOT_EXISTS"
    verdict = begin(story, keeps=("db",), snapshot=LABEL)
    assert isinstance(verdict, Admitted) and isinstance(verdict.events[0], UpdateBegun)
    assert (verdict.events[0].keeps, verdict.events[0].snapshot) == (("db",), LABEL)


def test_there_is_room_for_what_is_kept_and_for_what_is_there_when_it_comes_back() -> None:
    for snapshots in (SNAPSHOTS_MOST - 2, SNAPSHOTS_MOST - 1):
        story = with_volumes("db", "web")
        for number in range(snapshots):
            story.call(TakeSnapshot("web", f"s{number}"))
        verdict = begin(story, keeps=("db", "web"), snapshot=LABEL)
        assert isinstance(verdict, Admitted) == (snapshots == SNAPSHOTS_MOST - 2)
        assert isinstance(verdict, Admitted) or verdict.reason == "TOO_MANY_SNAPSHOTS"


def test_a_trial_that_ends_with_its_data_has_it_back_in_the_system_before_and_without_that_word_never() -> None:
    for with_data in (True, False):
        story = with_volumes("db", "web")
        update = kept(story)
        tried(story, update)
        verdict = back(story, with_data=with_data)
        assert verdict == Admitted((UpdateReturning(update, "operator", with_data=with_data),))
        told = UpdateRolledBack(update, "operator")
        owing = owed(story.machine, told)
        assert (None if owing is None else owing.uid) == (update if with_data else None)
        assert owed(story.machine, BootStarted("slot_a", "slot_a", "0.0.1 aaa")) is None
    assert reason(back(story, with_data=True)) == "RETURNS"


def test_what_is_brought_back_is_restored_like_any_snapshot_and_what_is_there_now_is_kept() -> None:
    story = with_volumes("db", "web")
    update = story.machine.updates[kept(story)]
    story.call(DeleteSnapshot("web", LABEL))
    story.converge()
    events, lost = brought_back(story.machine, update)
    safety, restore = events
    assert isinstance(safety, SnapshotRequested) and safety.safety and safety.label == f"before-restore-{update.uid}"
    assert isinstance(restore, VolumeRestoreRequested) and restore.name == "db"
    (said,) = lost
    assert said.startswith("volume web stays as it is") and LABEL in said


def test_a_confirmed_update_is_taken_back_with_its_data_by_the_trial_of_the_system_before() -> None:
    story = with_volumes("db", "web")
    update = kept(story)
    tried(story, update)
    confirmed(story, update)
    verdict = back(story, with_data=True)
    assert isinstance(verdict, Admitted)
    (begun,) = verdict.events
    assert isinstance(begun, UpdateBegun) and (begun.kind, begun.data_of) == ("rollback", update)
    trial = uid(story)
    owing = owed(story.machine, BootStarted("slot_a", "slot_b", "0.0.1 aaa", tentative=True, uid=trial))
    assert owing is not None and owing.uid == update
    assert owed(story.machine, UpdateRolledBack(trial, "operator")) is None, "they are as they were since its boot"


def test_a_trial_that_is_over_before_the_boot_loader_takes_it_brings_nothing_back() -> None:
    story = with_volumes("db", "web")
    update = kept(story)
    tried(story, update)
    confirmed(story, update)
    assert isinstance(back(story, with_data=True), Admitted)
    trial = uid(story)
    story.tell(UpdateArming(trial), UpdateArmed(trial), UpdateRolledBack(trial, "never-booted"))
    late = BootStarted("slot_a", "slot_b", "0.0.1 aaa", tentative=True, uid=trial)
    assert owed(story.machine, late) is None and owed_late(story.machine, (late,)) == ()


@pytest.mark.parametrize("missing", ["nothing kept", "deleted", "no room", "it freezes", "not booted"])
def test_data_that_cannot_come_back_is_said_before_anything_is_done(missing: str) -> None:
    story = with_volumes("db", "web")
    if missing == "nothing kept":
        story = on_trial()
        assert reason(back(story, with_data=True)) == "NOTHING_KEPT"
        return
    update = kept(story)
    if missing == "not booted":
        assert reason(back(story, with_data=True)) == "NOT_BOOTED"
        return
    tried(story, update)
    if missing == "deleted":
        story.call(DeleteSnapshot("db", LABEL))
        assert reason(back(story, with_data=True)) == "SNAPSHOT_NOT_FOUND"
        return
    if missing == "no room":
        for number in range(1, SNAPSHOTS_MOST):
            story.call(TakeSnapshot("web", f"s{number}"))
        assert reason(back(story, with_data=True)) == "TOO_MANY_SNAPSHOTS"
        return
    confirmed(story, update)
    call = RollBackUpdate(NEW, LEVEL, (*LEVEL, ("newer", 1)), 900, allow_freeze=True, with_data=True)
    verdict = story.call(call)
    assert isinstance(verdict, Refusal) and verdict.reason == "WOULD_FREEZE" and "restores no volume" in verdict.message


def test_snapshots_go_when_the_update_after_the_next_one_is_confirmed_or_theirs_was_never_booted() -> None:
    story = with_volumes("db", "web")
    first = kept(story)
    tried(story, first)
    confirmed(story, first)
    for number in (2, 3):
        assert outlived(story.machine) == ()
        new, running = System(f"0.0.{number + 1}", "ccc", number), System(f"0.0.{number}", "bbb", number)
        update = kept(story, f"before-update-{number}", new=new, running=running)
        tried(story, update, *(("slot_a", "slot_b") if number == 2 else ("slot_b", "slot_a")))
        confirmed(story, update)
    assert outlived(story.machine) == (("db", LABEL), ("web", LABEL))
    story.call(DeleteSnapshot("db", LABEL))
    assert outlived(story.machine) == (("web", LABEL),)

    story = with_volumes("db", "web")
    assert isinstance(begin(story, keeps=("db",), snapshot=LABEL), Admitted)
    story.call(TakeSnapshot("db", LABEL))
    story.converge()
    story.tell(UpdateStagingFailed(uid(story), "CUT", "it ended"))
    assert outlived(story.machine) == (("db", LABEL),)


def pushes_that_fail(story: Story, count: int) -> None:
    for number in range(count):
        assert isinstance(begin(story, new=System("0.1", f"f{number}", 30)), Admitted)
        story.tell(UpdateStagingFailed(uid(story), "CUT", ""))


def comes_and_stays(story: Story, commit: str) -> int:
    """Another update without volumes of its own, confirmed; the slots take turns."""
    assert isinstance(begin(story, new=System("0.1", commit, 30)), Admitted)
    number = uid(story)
    story.tell(UpdateStaged(number, "b" * 64, "r" * 64, 1, 2), UpdateArming(number), UpdateArmed(number))
    update = story.machine.updates[number]
    tried(story, number, update.slot, update.from_slot)
    confirmed(story, number)
    return number


def test_snapshots_of_an_update_go_with_the_second_one_that_stays_however_many_failed_in_between() -> None:
    story = with_volumes("db", "web")
    update = kept(story)
    tried(story, update)
    confirmed(story, update)
    pushes_that_fail(story, KEPT + 5)
    comes_and_stays(story, "c1")
    pushes_that_fail(story, KEPT + 5)
    assert outlived(story.machine) == () and update in story.machine.updates
    comes_and_stays(story, "c2")
    assert outlived(story.machine) == (("db", LABEL), ("web", LABEL))
    for name, label in outlived(story.machine):
        story.call(DeleteSnapshot(name, label))
    story.converge()
    pushes_that_fail(story, KEPT + 5)
    assert update not in story.machine.updates, "nothing depends on it any more"


def test_an_update_that_was_begun_is_remembered_however_many_older_ones_are_depended_on() -> None:
    story = with_volumes("db", "web")
    for number in range(KEPT + 3):
        label = f"before-update-{number}"
        assert isinstance(begin(story, keeps=("db",), snapshot=label, new=System("0.1", label, 30)), Admitted)
        assert isinstance(story.call(TakeSnapshot("db", label)), Admitted)
        story.converge()
        story.tell(UpdateStaged(uid(story), "b", "r", 1, 2), UpdateArming(uid(story)), UpdateArmed(uid(story)))
        tried(story, uid(story))
        story.tell(UpdateRolledBack(uid(story), "power-lost"))
        story.tell(BootStarted("slot_a", "slot_a", "0.0.1 aaa"))
    assert isinstance(begin(story, new=System("0.2", "last", 40)), Admitted)
    assert uid(story) in story.machine.updates and len(story.machine.updates) == KEPT + 4


def test_what_can_be_gone_back_to_is_known_however_often_that_was_tried_in_vain() -> None:
    story = with_volumes()
    tried(story, kept_none := begun_and_armed(story))
    confirmed(story, kept_none)
    for _ in range(KEPT + 5):
        assert isinstance(back(story), Admitted)
        story.tell(UpdateDisarmed(uid(story), "operator"))
    assert kept_none in story.machine.updates and isinstance(back(story), Admitted)


def begun_and_armed(story: Story) -> int:
    assert isinstance(begin(story), Admitted)
    story.tell(UpdateStaged(uid(story), "b", "r", 1, 2), UpdateArming(uid(story)), UpdateArmed(uid(story)))
    return uid(story)
