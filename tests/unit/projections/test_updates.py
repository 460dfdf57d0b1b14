"""What the journal says of updates, folded: phases, what is remembered of a failure, what the other slot holds."""

import pytest
from msgspec.structs import replace

from journal.events import (
    BootStarted,
    DaemonStarted,
    Event,
    JournalRestored,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateHealthChanged,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
    WorkloadApplied,
    WorkloadStopRequested,
)
from journal.evidence import FailedCheck
from projections.intents import Checkpoint
from projections.retention import admit_checkpoint
from projections.state import Deadline, Slots, Update
from projections.update_phases import UpdatePhase
from projections.updates import (
    KEPT,
    LEFT_BEHIND,
    above_level,
    current,
    earlier_failure,
    fallback,
    on_trial,
    unconfirmed,
)
from tests.support.story import Story

LEVEL = (("workload.applied", 1),)
UID = 3
ARMED = (UpdateStaged(UID, "b", "r", 1, 2), UpdateArming(UID), UpdateArmed(UID))
BOOTED = BootStarted("slot_b", "slot_a", "2 bbb", tentative=True, uid=UID, deadline_mono_ns=9)


def begun(version: str = "2", commit: str = "bbb", **more: object) -> UpdateBegun:
    fields: dict[str, object] = {"from_level": LEVEL} | more
    return UpdateBegun("slot_b", version, commit, 20, "slot_a", "1", "aaa", **fields)  # type: ignore[arg-type]


def booted(story: Story) -> None:
    story.tell(DaemonStarted("os", "first"), BootStarted("slot_a", "slot_a", "1 aaa"))


def uid_of(story: Story) -> int:
    return max(story.machine.updates)


def the(story: Story) -> Update:
    return story.machine.updates[uid_of(story)]


def armed() -> Story:
    story = Story()
    booted(story)
    story.tell(begun())
    uid = uid_of(story)
    story.tell(UpdateStaged(uid, "b" * 64, "r" * 64, 1, 2), UpdateArming(uid, True, ("web",)), UpdateArmed(uid))
    return story


def tentative() -> Story:
    story = armed()
    story.reboot("boot-2")
    uid = uid_of(story)
    story.tell(
        DaemonStarted("os", "clean"),
        BootStarted("slot_b", "slot_a", "2 bbb", tentative=True, uid=uid, deadline_mono_ns=900 * 10**9),
    )
    return story


def test_an_update_goes_from_its_bundle_to_the_slot_that_boots() -> None:
    story = tentative()
    update = the(story)
    assert update.phase is UpdatePhase.TENTATIVE and on_trial(story.machine) is update
    assert (update.uplink, update.running, update.root_bytes) == (True, ("web",), 2)
    assert update.deadline == Deadline(story.boot, 900 * 10**9)
    assert story.machine.slots == Slots("slot_b", "slot_a", True, "2 bbb")
    story.tell(UpdateConfirming(update.uid, "operator"), UpdateConfirmed(update.uid, "slot_b"))
    assert the(story).phase is UpdatePhase.CONFIRMED and current(story.machine) is None
    assert story.machine.slots == Slots("slot_b", "slot_b", False, "2 bbb")
    last = fallback(story.machine)
    assert last is not None and (last.from_slot, last.from_version, last.from_level) == ("slot_a", "1", LEVEL)


def test_a_system_that_was_no_good_is_remembered_and_one_that_was_not_at_fault_is_not() -> None:
    for cause, remembered in (("daemon-crashes", True), ("unknown", True), ("operator", False), ("power-lost", False)):
        story = tentative()
        uid = uid_of(story)
        story.tell(UpdateRolledBack(uid, cause))  # type: ignore[arg-type]
        found = earlier_failure(story.machine, "2", "bbb")
        assert (found is not None) is remembered, cause
        assert earlier_failure(story.machine, "2", "ccc") is None
        assert fallback(story.machine) is None  # the other slot holds what failed


def test_a_failure_is_forgiven_once_the_same_system_was_confirmed() -> None:
    story = tentative()
    story.tell(UpdateRolledBack(uid_of(story), "hung"), begun(retried=uid_of(story)))
    assert earlier_failure(story.machine, "2", "bbb") is not None
    uid = uid_of(story)
    story.tell(UpdateStaged(uid, "b", "r", 1, 2), UpdateArming(uid), UpdateArmed(uid))
    story.tell(BootStarted("slot_b", "slot_a", "2 bbb", tentative=True, uid=uid))
    story.tell(UpdateConfirming(uid, "healthy"), UpdateConfirmed(uid, "slot_b", recovered=True))
    assert earlier_failure(story.machine, "2", "bbb") is None


def test_a_bundle_that_came_to_nothing_leaves_no_slot_to_go_back_to() -> None:
    story = tentative()
    story.tell(UpdateConfirming(uid_of(story), "operator"), UpdateConfirmed(uid_of(story), "slot_b"))
    assert fallback(story.machine) is not None
    story.tell(begun("3", "ccc"))
    story.tell(UpdateStagingFailed(uid_of(story), "BAD_HASH", "root.img is not what its manifest says"))
    assert the(story).phase is UpdatePhase.FAILED and current(story.machine) is None
    assert fallback(story.machine) is None and earlier_failure(story.machine, "3", "ccc") is None


def test_what_does_not_fit_changes_nothing() -> None:
    story = armed()
    before = dict(story.machine.updates)
    uid = uid_of(story)
    story.tell(
        UpdateConfirming(uid, "operator"),
        UpdateConfirmed(uid, "slot_b"),
        UpdateStaged(uid, "", "", 0, 0),
        UpdateHealthChanged(uid, (FailedCheck("api", "no"),)),
        UpdateReturning(uid, "hung"),
        UpdateArmed(uid + 99),
        UpdateDisarmed(uid + 99, "operator"),
        UpdateStagingFailed(uid + 99, "BAD_HASH", "no"),
        UpdateRolledBack(uid + 99, "hung"),
    )
    assert story.machine.updates == before


def test_the_health_gate_says_since_when_all_is_well() -> None:
    story = tentative()
    uid = uid_of(story)
    story.tell(UpdateHealthChanged(uid, (FailedCheck("uplink", "no address"),)))
    assert the(story).failing == (("uplink", "no address"),) and the(story).well_since_mono == 0
    story.pass_time(5)
    story.tell(UpdateHealthChanged(uid))
    assert the(story).failing == () and the(story).well_since_mono == story.mono > 0


def test_only_so_many_are_remembered() -> None:
    story = Story()
    booted(story)
    for _ in range(KEPT + 3):
        story.tell(begun())
        story.tell(UpdateStagingFailed(uid_of(story), "CUT", "it ended too early"))
    assert len(story.machine.updates) == KEPT
    assert [bool(one.from_level) for one in story.machine.updates.values()] == [*[False] * (KEPT - 1), True]


def test_nothing_is_written_on_trial_that_the_system_before_could_not_act_on() -> None:
    story = tentative()
    known, told = WorkloadApplied(()), UpdateHealthChanged(1)
    newer = WorkloadStopRequested("web", 1)
    assert above_level(story.machine, (known, told)) == ""
    assert above_level(story.machine, (known, newer)) == "workload.stop_requested"
    uid = uid_of(story)
    story.tell(UpdateConfirming(uid, "operator"), UpdateConfirmed(uid, "slot_b"))
    assert above_level(story.machine, (newer,)) == ""


def test_one_that_was_taken_back_before_it_booted_says_why() -> None:
    story = armed()
    story.tell(UpdateDisarmed(uid_of(story), "write-failed", "the sector was not written"))
    assert the(story).message == "the sector was not written" and current(story.machine) is None


def test_a_slot_that_a_rollback_did_not_write_still_has_what_was_confirmed_there() -> None:
    story = tentative()
    story.tell(UpdateConfirming(uid_of(story), "operator"), UpdateConfirmed(uid_of(story), "slot_b"))
    confirmed = the(story)
    story.tell(begun("1", "aaa", kind="rollback"))
    assert fallback(story.machine) == confirmed
    story.tell(begun("3", "ccc"))
    assert fallback(story.machine) is None


def taken_over(story: Story) -> Story:
    """By another machine, which is not booted by slots yet."""
    story.tell(JournalRestored(upto=story.machine.seq, head_hash="ab", apart=True))
    return story


@pytest.mark.parametrize(
    "under_way",
    [
        (),
        (UpdateStaged(UID, "b", "r", 1, 2),),
        (UpdateStaged(UID, "b", "r", 1, 2), UpdateArming(UID)),
        (*ARMED,),
        (*ARMED, BOOTED),
        (*ARMED, BOOTED, UpdateConfirming(UID, "operator")),
        (*ARMED, BOOTED, UpdateReturning(UID, "no-uplink", "no address")),
    ],
)
def test_what_was_under_way_where_an_archive_is_from_is_not_where_it_is_taken_over(
    under_way: tuple[Event, ...],
) -> None:
    story = Story()
    booted(story)
    story.tell(begun(), *under_way)
    assert uid_of(story) == UID
    taken_over(story)
    update = the(story)
    assert (update.phase, update.message) == (UpdatePhase.DROPPED, LEFT_BEHIND)
    assert update.ended_at == story.machine.at and update.deadline is None
    assert current(story.machine) is None and not unconfirmed(story.machine) and story.machine.slots == Slots()
    assert isinstance(admit_checkpoint(story.machine, Checkpoint(1, 2, "", "", "")), tuple), "history can be cut"
    before = dict(story.machine.updates)
    story.tell(UpdateConfirming(UID, "by-hand"), UpdateConfirmed(UID, "slot_b"), UpdateRolledBack(UID, "hung"))
    assert story.machine.updates == before, "what an older release told of it behind that"


def test_on_a_machine_that_took_the_memory_over_nothing_that_ran_elsewhere_can_be_gone_back_to() -> None:
    story = tentative()
    story.tell(UpdateConfirming(uid_of(story), "operator"), UpdateConfirmed(uid_of(story), "slot_b"))
    confirmed = the(story)
    taken_over(story)
    assert the(story) == replace(confirmed, from_slot=""), "it is remembered"
    assert fallback(story.machine) is None
    booted(story)
    story.tell(begun("1", "aaa", kind="rollback"))
    assert fallback(story.machine) is None
    story.tell(begun("3", "ccc"))
    uid = uid_of(story)
    story.tell(UpdateStaged(uid, "b", "r", 1, 2), UpdateArming(uid), UpdateArmed(uid))
    story.tell(BootStarted("slot_b", "slot_a", "3 ccc", tentative=True, uid=uid))
    story.tell(UpdateConfirming(uid, "healthy"), UpdateConfirmed(uid, "slot_b"))
    assert fallback(story.machine) == the(story), "what was confirmed here is"


def test_what_takes_the_memory_over_in_another_machines_trial_is_above_nobodys_level() -> None:
    story = tentative()
    newer = WorkloadStopRequested("web", 1)
    restored = JournalRestored(upto=story.machine.seq, head_hash="ab", apart=True)
    assert above_level(story.machine, (restored, newer)) == ""
    assert above_level(story.machine, (newer, restored)) == "workload.stop_requested"
