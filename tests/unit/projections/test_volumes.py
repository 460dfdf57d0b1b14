"""Volumes: what is admitted of them and what not, and what their events fold to."""

from typing import Any, Literal

import pytest
from msgspec.structs import replace

from effects.goals import EnsureVolume
from effects.planner import plan
from journal.events import (
    SnapshotDeleteRequested,
    SnapshotRemoved,
    SnapshotRequested,
    SnapshotTaken,
    VolumeApplied,
    VolumeDeleteRequested,
    VolumeDrifted,
    VolumeFilling,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeRemoved,
    VolumeRestored,
    VolumeRestoreRequested,
    VolumeUnmounted,
)
from journal.specs import VolumeMount
from projections.admission import Admitted, admit
from projections.intents import (
    Apply,
    CreateVolume,
    Declared,
    DeclaredVolume,
    DeleteSnapshot,
    DeleteVolume,
    ImportVolume,
    Intent,
    ResizeVolume,
    RestoreVolume,
    Start,
    Stop,
    TakeSnapshot,
)
from projections.phases import RunPhase
from projections.refusals import Refusal
from projections.volume_admission import MAX_BYTES, MIN_BYTES, SNAPSHOTS_MOST
from projections.volumes import running_users_of, users_of, why_not
from tests.support.story import Story, declared

MIB = 1 << 20


def mounting(name: str, *mounts: VolumeMount, desired: Literal["running", "stopped"] = "running") -> Declared:
    made = declared(name, desired=desired)
    return replace(made, spec=replace(made.spec, mounts=mounts or (VolumeMount("data", "/data"),)))


def made() -> Story:
    story = Story()
    story.call(CreateVolume("data", 64 * MIB))
    story.converge()
    return story


def used() -> Story:
    story = made()
    story.apply(mounting("web"))
    story.converge()
    return story


def kept() -> Story:
    story = used()
    story.call(TakeSnapshot("data", "one"))
    story.converge()
    return story


def outgrown() -> Story:
    """Asked to grow, which has not come about, and used since."""
    story = made()
    story.call(ResizeVolume("data", 128 * MIB))
    story.apply(mounting("web"))
    return story


def leaving() -> Story:
    story = made()
    story.call(DeleteVolume("data"))
    return story


def lost() -> Story:
    story = kept()
    story.call(Stop("web"))
    story.converge()
    story.tell(VolumeLost("data", story.machine.volumes["data"].uid))
    return story


def unlinked() -> Story:
    """Its workload still has it open, and that is all there is of it."""
    story = kept()
    story.tell(VolumeLost("data", story.machine.volumes["data"].uid, mounted=True))
    return story


def restoring() -> Story:
    story = kept()
    story.call(RestoreVolume("data", "one"))
    return story


def keeping() -> Story:
    story = kept()
    story.call(RestoreVolume("data", "one", "safe"))
    return story


@pytest.mark.parametrize(
    ("state", "call", "code", "reason"),
    [
        (made, CreateVolume("data", 64 * MIB), "ALREADY_EXISTS", "VOLUME_EXISTS"),
        (made, CreateVolume("Data", 64 * MIB), "INVALID_ARGUMENT", "BAD_NAME"),
        (made, CreateVolume("more", MIN_BYTES - 1), "INVALID_ARGUMENT", "BAD_SIZE"),
        (made, CreateVolume("more", MAX_BYTES + 1), "INVALID_ARGUMENT", "BAD_SIZE"),
        (leaving, CreateVolume("data", 64 * MIB), "ABORTED", "DELETING"),
        (made, ResizeVolume("nobody", 64 * MIB), "NOT_FOUND", "VOLUME_NOT_FOUND"),
        (made, ResizeVolume("data", 32 * MIB), "FAILED_PRECONDITION", "VOLUME_SHRINK"),
        (made, ResizeVolume("data", MAX_BYTES + 1), "INVALID_ARGUMENT", "BAD_SIZE"),
        (used, ResizeVolume("data", 128 * MIB), "FAILED_PRECONDITION", "VOLUME_IN_USE"),
        (outgrown, ResizeVolume("data", 96 * MIB), "FAILED_PRECONDITION", "VOLUME_IN_USE"),
        (leaving, ResizeVolume("data", 128 * MIB), "ABORTED", "DELETING"),
        (used, DeleteVolume("data"), "FAILED_PRECONDITION", "VOLUME_REFERENCED"),
        (made, TakeSnapshot("data", "Not Good"), "INVALID_ARGUMENT", "BAD_NAME"),
        (kept, TakeSnapshot("data", "one"), "ALREADY_EXISTS", "SNAPSHOT_EXISTS"),
        (restoring, TakeSnapshot("data", "two"), "FAILED_PRECONDITION", "RESTORING"),
        (restoring, DeleteSnapshot("data", "one"), "FAILED_PRECONDITION", "RESTORING"),
        (made, RestoreVolume("data", "one"), "NOT_FOUND", "SNAPSHOT_NOT_FOUND"),
        (keeping, DeleteSnapshot("data", "safe"), "FAILED_PRECONDITION", "RESTORING"),
        (restoring, RestoreVolume("data", "one"), "FAILED_PRECONDITION", "RESTORING"),
        (leaving, TakeSnapshot("data", "one"), "ABORTED", "DELETING"),
        (lost, TakeSnapshot("data", "two"), "FAILED_PRECONDITION", "VOLUME_MISSING"),
        (lost, DeleteSnapshot("data", "one"), "FAILED_PRECONDITION", "VOLUME_MISSING"),
        (lost, RestoreVolume("data", "one", "safe"), "FAILED_PRECONDITION", "VOLUME_MISSING"),
        (lost, ResizeVolume("data", 128 * MIB), "FAILED_PRECONDITION", "VOLUME_MISSING"),
        (unlinked, TakeSnapshot("data", "two"), "FAILED_PRECONDITION", "VOLUME_MISSING"),
        (unlinked, RestoreVolume("data", "one", "safe"), "FAILED_PRECONDITION", "VOLUME_MISSING"),
        (unlinked, RestoreVolume("data", "one", "safe", rollback=True), "FAILED_PRECONDITION", "VOLUME_MISSING"),
        (unlinked, ResizeVolume("data", 128 * MIB), "FAILED_PRECONDITION", "VOLUME_MISSING"),
    ],
)
def test_what_cannot_be_done_to_a_volume_says_why(state: Any, call: Intent, code: str, reason: str) -> None:
    story = state()
    verdict = admit(story.machine, call, frozenset({"volume"}))
    assert isinstance(verdict, Refusal) and (verdict.code, verdict.reason) == (code, reason), verdict
    without = admit(story.machine, call, frozenset())
    assert isinstance(without, Refusal) and without.code == "UNIMPLEMENTED"


@pytest.mark.parametrize(
    ("state", "call"),
    [
        (made, ResizeVolume("data", 64 * MIB)),
        (made, DeleteVolume("nobody")),
        (leaving, DeleteVolume("data")),
        (made, DeleteSnapshot("data", "none")),
        (lost, DeleteSnapshot("data", "none")),
        (lost, ResizeVolume("data", 64 * MIB)),
    ],
)
def test_what_is_so_already_is_admitted_and_says_nothing(state: Any, call: Intent) -> None:
    assert state().call(call) == Admitted(())


def test_a_growth_that_did_not_come_about_is_taken_back_also_while_it_is_used() -> None:
    assert outgrown().call(ResizeVolume("data", 64 * MIB)) == Admitted((VolumeApplied("data", 64 * MIB),))


def test_a_snapshot_that_is_not_taken_yet_cannot_be_restored() -> None:
    story = made()
    story.call(TakeSnapshot("data", "one"))
    verdict = story.call(RestoreVolume("data", "one"))
    assert isinstance(verdict, Refusal) and verdict.reason == "NOT_TAKEN"


def test_snapshots_are_bounded() -> None:
    story = made()
    for number in range(SNAPSHOTS_MOST):
        assert isinstance(story.call(TakeSnapshot("data", f"s{number}")), Admitted)
    verdict = story.call(TakeSnapshot("data", "more"))
    assert isinstance(verdict, Refusal) and verdict.code == "RESOURCE_EXHAUSTED"


def test_what_is_kept_before_a_restore_counts_among_them() -> None:
    story = made()
    story.call(TakeSnapshot("data", "one"))
    story.converge()
    for _ in range(1, SNAPSHOTS_MOST):
        assert isinstance(story.call(RestoreVolume("data", "one", "before")), Admitted)
        story.converge()
    for call in (RestoreVolume("data", "one", "before"), TakeSnapshot("data", "more")):
        verdict = story.call(call)
        assert isinstance(verdict, Refusal) and verdict.reason == "TOO_MANY_SNAPSHOTS"
        assert f"has {SNAPSHOTS_MOST} snapshots" in verdict.message and "delete some first" in verdict.message
    story.call(DeleteSnapshot("data", "before"))
    story.converge()
    assert isinstance(story.call(RestoreVolume("data", "one", "before")), Admitted)


def test_more_of_them_than_are_admitted_now_are_told_with_their_number() -> None:
    story = made()
    uid = story.machine.volumes["data"].uid
    story.tell(*(SnapshotRequested("data", uid, f"before-{number}", safety=True) for number in range(301)))
    verdict = story.call(TakeSnapshot("data", "more"))
    assert isinstance(verdict, Refusal) and "has 301 snapshots" in verdict.message


@pytest.mark.parametrize(
    ("mounts", "reason"),
    [
        ((VolumeMount("data", "data"),), "BAD_PATH"),
        ((VolumeMount("data", "/"),), "BAD_PATH"),
        ((VolumeMount("data", "/a/../b"),), "BAD_PATH"),
        ((VolumeMount("data", "//"),), "BAD_PATH"),
        ((VolumeMount("data", ""),), "BAD_PATH"),
        ((VolumeMount("data", "/a"), VolumeMount("data", "/b")), "MOUNT_TWICE"),
        ((VolumeMount("nobody", "/a"),), "VOLUME_NOT_FOUND"),
    ],
)
def test_a_mount_that_cannot_be_is_refused(mounts: tuple[VolumeMount, ...], reason: str) -> None:
    verdict = made().apply(mounting("web", *mounts))
    assert isinstance(verdict, Refusal) and verdict.reason == reason


def test_two_mounts_at_one_path_are_one_too_many() -> None:
    story = made()
    story.call(CreateVolume("more", 64 * MIB))
    verdict = story.apply(mounting("web", VolumeMount("data", "/a"), VolumeMount("more", "/a/")))
    assert isinstance(verdict, Refusal) and verdict.reason == "PATH_TAKEN"


def test_a_volume_has_one_mounter_at_a_time_whoever_comes_first() -> None:
    story = used()
    verdict = story.apply(mounting("db"))
    assert isinstance(verdict, Refusal) and verdict.reason == "VOLUME_HELD" and "web" in verdict.message
    assert isinstance(story.apply(mounting("db", desired="stopped")), Admitted)
    verdict = story.call(Start("db"))
    assert isinstance(verdict, Refusal) and verdict.reason == "VOLUME_HELD"
    story.call(Stop("web"))
    assert isinstance(story.call(Start("db")), Admitted)
    fresh = made()
    verdict = fresh.apply(mounting("a"), mounting("b"))
    assert isinstance(verdict, Refusal) and verdict.reason == "VOLUME_HELD"
    assert isinstance(used().apply(mounting("db"), mounting("web", desired="stopped")), Admitted)


def test_a_mount_of_what_is_being_deleted_is_aborted() -> None:
    verdict = leaving().apply(mounting("web"))
    assert isinstance(verdict, Refusal) and verdict.code == "ABORTED"


def test_a_volume_and_its_user_come_in_one_call_and_the_mount_is_pinned() -> None:
    story = Story()
    story.call(Apply((mounting("web"),), volumes=(DeclaredVolume("data", 64 * MIB),)))
    volume = story.machine.volumes["data"]
    assert story["web"].spec.mounts[0].volume_uid == volume.uid
    again = story.call(Apply((mounting("web"),), volumes=(DeclaredVolume("data", 64 * MIB),)))
    assert again == Admitted(())
    twice = story.call(Apply((), volumes=(DeclaredVolume("data", 64 * MIB), DeclaredVolume("data", 64 * MIB))))
    assert isinstance(twice, Refusal) and twice.reason == "DUPLICATE_NAME"
    story.converge()
    shrunk = story.call(Apply((), volumes=(DeclaredVolume("data", 32 * MIB),)))
    assert isinstance(shrunk, Refusal) and shrunk.reason == "VOLUME_SHRINK"


def test_users_are_those_who_mount_it_and_running_ones_those_who_shall() -> None:
    story = used()
    story.apply(mounting("db", desired="stopped"))
    assert users_of(story.machine, "data") == ("db", "web")
    assert running_users_of(story.machine, "data") == ("web",)
    story.call(Stop("web"))
    assert running_users_of(story.machine, "data") == ()


# --- the fold ----------------------------------------------------------------------------------------------------


def test_a_volumes_life_in_events() -> None:
    story = Story()
    story.tell(VolumeApplied("data", 5, created=True))
    volume = story.machine.volumes["data"]
    assert (volume.uid, volume.size_bytes, volume.made_bytes, volume.holder) == (1, 5, 0, "")
    story.tell(VolumeMade("data", 1, 5), VolumeMounted("data", 1, "web", 7))
    volume = story.machine.volumes["data"]
    assert (volume.made_bytes, volume.holder, volume.holder_uid) == (5, "web", 7)
    story.tell(VolumeUnmounted("data", 1), VolumeApplied("data", 9))
    volume = story.machine.volumes["data"]
    assert (volume.uid, volume.size_bytes, volume.holder) == (1, 9, "")
    story.tell(VolumeDeleteRequested("data", 1))
    assert story.machine.volumes["data"].deleting
    story.tell(VolumeRemoved("data", 1))
    assert story.machine.volumes == {} and story.machine.desired_seq == story.machine.seq


def test_a_snapshots_life_in_events() -> None:
    story = Story()
    story.tell(VolumeApplied("data", 5, created=True), SnapshotRequested("data", 1, "one"))
    (snapshot,) = story.machine.volumes["data"].snapshots
    assert (snapshot.uid, snapshot.label, snapshot.taken, snapshot.leaving) == (2, "one", False, False)
    story.tell(SnapshotTaken("data", 1, 2, 5, "thin"))
    (snapshot,) = story.machine.volumes["data"].snapshots
    assert (snapshot.taken, snapshot.size_bytes, snapshot.method) == (True, 5, "thin")
    story.tell(VolumeRestoreRequested("data", 1, 2))
    assert story.machine.volumes["data"].restoring == 2
    story.tell(VolumeRestored("data", 1, 99))
    assert story.machine.volumes["data"].restoring == 2
    story.tell(VolumeRestored("data", 1, 2), SnapshotDeleteRequested("data", 1, 2))
    assert story.machine.volumes["data"].restoring == 0 and story.machine.volumes["data"].snapshots[0].leaving
    story.tell(SnapshotRemoved("data", 1, 2))
    assert story.machine.volumes["data"].snapshots == ()


def test_what_is_said_of_another_incarnation_changes_nothing() -> None:
    story = kept()
    before = dict(story.machine.volumes)
    story.tell(
        VolumeMade("data", 99, 1),
        VolumeMounted("data", 99, "thief", 1),
        VolumeUnmounted("data", 99),
        VolumeLost("data", 99),
        VolumeFilling(95, 1, 1, "data", 99),
        VolumeDeleteRequested("data", 99),
        VolumeRemoved("data", 99),
        VolumeRestoreRequested("data", 99, 1),
        VolumeRestored("data", 99, 1),
        SnapshotRequested("data", 99, "x"),
        SnapshotTaken("data", 99, 1, 1, "copy"),
        SnapshotDeleteRequested("data", 99, 1),
        SnapshotRemoved("data", 99, 1),
        VolumeMade("nobody", 1, 1),
    )
    assert story.machine.volumes == before


def test_a_filling_is_remembered_of_the_volume_or_of_the_storage() -> None:
    story = made()
    volume = story.machine.volumes["data"]
    story.tell(VolumeFilling(90, 9, 10, "data", volume.uid), VolumeFilling(80, 8, 10))
    assert story.machine.volumes["data"].filling == 90 and story.machine.pool_filling == 80


def test_what_came_is_a_volume_of_its_own_and_made_from_nothing_else() -> None:
    story = Story()
    story.call(ImportVolume("data", 64 * MIB, "import-1"))
    assert story.machine.volumes["data"].staged == "import-1"
    (goal,) = plan(story.machine)
    assert isinstance(goal, EnsureVolume) and (goal.staged, goal.size_bytes) == ("import-1", 64 * MIB)
    story.converge()
    volume = story.machine.volumes["data"]
    assert (volume.made_bytes, volume.staged) == (64 * MIB, "")


def refusal_of(story: Story, call: Intent) -> str:
    verdict = admit(story.machine, call, frozenset({"volume"}))
    return verdict.reason if isinstance(verdict, Refusal) else ""


def test_what_is_there_is_never_written_over_by_an_import() -> None:
    story = used()
    assert refusal_of(story, ImportVolume("data", 64 * MIB, "import-1")) == "VOLUME_EXISTS"
    story.tell(VolumeLost("data", story.machine.volumes["data"].uid, mounted=True))
    assert refusal_of(story, ImportVolume("data", 64 * MIB, "import-1")) == "VOLUME_IN_USE"
    story.call(DeleteVolume("data", force=True))
    assert refusal_of(story, ImportVolume("data", 64 * MIB, "import-1")) == "DELETING"
    assert refusal_of(story, ImportVolume("more", 1, "import-1")) == "BAD_SIZE"
    assert refusal_of(story, ImportVolume("../more", 64 * MIB, "import-1")) == "BAD_NAME"


def test_a_lost_volume_gets_its_content_back_and_who_waited_for_it_runs() -> None:
    story = kept()
    uid = story.machine.volumes["data"].uid
    story.tell(VolumeLost("data", uid))
    story.run_ends("web", 0)
    (kept_still,) = story.machine.volumes["data"].snapshots
    story.call(ImportVolume("data", 32 * MIB, "import-1"))
    volume = story.machine.volumes["data"]
    assert (volume.uid, volume.size_bytes, volume.lost, volume.snapshots) == (uid, 64 * MIB, False, (kept_still,))
    story.converge()
    volume, run = story.machine.volumes["data"], story["web"].run
    assert (volume.made_bytes, volume.holder, volume.staged) == (64 * MIB, "web", "")
    assert run is not None and run.phase is RunPhase.RUNNING


@pytest.mark.parametrize("safety_taken", [True, False])
def test_an_import_in_a_lost_volumes_place_calls_off_what_was_still_to_be_done_to_that(safety_taken: bool) -> None:
    story = kept()
    (one,) = story.machine.volumes["data"].snapshots
    story.call(Stop("web"))
    story.converge()
    story.call(TakeSnapshot("data", "two"))
    story.call(RestoreVolume("data", "one", "safe"))
    two, safe = story.machine.volumes["data"].snapshots[1:]
    uid = story.machine.volumes["data"].uid
    if safety_taken:
        story.tell(*(SnapshotTaken("data", uid, each.uid, 64 * MIB, "copy") for each in (two, safe)))
    story.tell(VolumeLost("data", uid))
    story.call(ImportVolume("data", 64 * MIB, "import-1"))
    story.converge()
    volume = story.machine.volumes["data"]
    assert (volume.restoring, volume.made_bytes, volume.trouble) == (0, 64 * MIB, None)
    assert [each.uid for each in volume.snapshots] == [one.uid, *((two.uid, safe.uid) if safety_taken else ())]
    assert all(each.taken for each in volume.snapshots)
    assert not [event for _, event in story.entries if isinstance(event, VolumeRestored)]


def test_an_apply_that_grows_a_lost_volume_is_refused_and_one_of_its_size_is_not() -> None:
    story = lost()
    grown = story.call(Apply((mounting("web"),), volumes=(DeclaredVolume("data", 128 * MIB),)))
    assert isinstance(grown, Refusal) and grown.reason == "VOLUME_MISSING" and "volume import data" in grown.message
    assert isinstance(story.call(Apply((mounting("web"),), volumes=(DeclaredVolume("data", 64 * MIB),))), Admitted)


def test_a_growth_can_be_taken_back_also_while_the_volume_is_lost() -> None:
    story = made()
    story.call(ResizeVolume("data", 128 * MIB))
    story.tell(VolumeLost("data", story.machine.volumes["data"].uid))
    assert isinstance(story.call(ResizeVolume("data", 64 * MIB)), Admitted)
    assert story.machine.volumes["data"].size_bytes == 64 * MIB


def test_the_run_that_has_a_lost_volume_open_is_not_replaced_until_it_is_stopped() -> None:
    story = unlinked()
    before = story["web"]
    changed = replace(mounting("web"), spec=replace(mounting("web").spec, args=("other",)))
    verdict = story.apply(changed)
    assert isinstance(verdict, Refusal) and (verdict.code, verdict.reason) == ("FAILED_PRECONDITION", "VOLUME_MISSING")
    assert "web still has open" in verdict.message and verdict.fields == ("container.mounts",)
    assert story["web"] == before
    assert isinstance(story.apply(mounting("web")), Admitted), "nothing of it changes"
    elsewhere = replace(changed, spec=replace(changed.spec, mounts=()))
    assert isinstance(admit(story.machine, Apply((elsewhere,)), frozenset({"volume"})), Admitted)
    story.call(Stop("web"))
    story.converge()
    assert isinstance(story.apply(changed), Admitted), "it waits for the volume, as whoever mounts it does"


def test_a_lost_volume_can_be_deleted() -> None:
    for state in (lost, unlinked):
        assert isinstance(state().call(DeleteVolume("data", force=True)), Admitted)


def test_a_restore_is_guarded_by_what_was_read() -> None:
    story = Story()
    story.call(CreateVolume("data", 64 * MIB))
    story.converge()
    story.call(TakeSnapshot("data", "one"))
    story.converge()
    seq = story.machine.volumes["data"].desired_seq
    refused = story.call(RestoreVolume("data", "one", expect_seq=seq - 1))
    assert isinstance(refused, Refusal) and refused.reason == "SEQUENCE_MISMATCH" and f"at {seq}," in refused.message
    assert isinstance(story.call(RestoreVolume("data", "one", expect_seq=seq)), Admitted)


def test_a_volume_that_another_still_holds_is_waited_for() -> None:
    story = Story()
    story.call(CreateVolume("data", 64 * MIB))
    story.apply(mounting("web"))
    story.converge()
    story.call(Stop("web"))
    story.apply(mounting("api"))
    (mount,) = story["api"].spec.mounts
    assert why_not(story.machine, story["api"], mount) == "volume data is still held by web"
    story.converge()
    assert why_not(story.machine, story["api"], mount) == "" and story.machine.volumes["data"].holder == "api"


def test_nobodys_mount_drifts() -> None:
    story = Story()
    story.call(CreateVolume("data", 64 * MIB))
    story.converge()
    before = story.machine.volumes["data"]
    story.tell(VolumeDrifted("data", before.uid, "unmounted"), VolumeDrifted("nothing", 1, "unmounted"))
    assert story.machine.volumes["data"] == before


def test_a_snapshots_bad_name_is_told_with_the_rule() -> None:
    verdict = made().call(TakeSnapshot("data", "a b"))
    assert isinstance(verdict, Refusal) and verdict.fields == ("snapshot",)
    assert "a snapshot's name has 1 to 63 lower-case letters" in verdict.message and "'a b' is none" in verdict.message
