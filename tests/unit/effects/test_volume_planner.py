"""Given this state of volumes, then these goals: made, mounted before the run and freed after it, kept and brought back."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from effects.goals import (
    CleanRun,
    Effect,
    EnsureImage,
    EnsureVolume,
    MountVolume,
    RemoveSnapshot,
    RemoveVolume,
    RestoreVolume,
    StartRun,
    StopRun,
    TakeSnapshot,
    UnmountVolume,
    VolumeEffect,
    detail_of,
    kind_of,
    snapshot_of,
)
from effects.planner import plan
from journal.events import EffectFailed, VolumeDrifted, VolumeLost
from journal.specs import ImagePin, VolumeMount
from projections.admission import Admitted
from projections.intents import (
    Apply,
    CreateVolume,
    Declared,
    DeclaredVolume,
    Delete,
    DeleteSnapshot,
    DeleteVolume,
    ImportVolume,
    Intent,
    ResizeVolume,
    Start,
    Stop,
)
from projections.intents import RestoreVolume as Restore
from projections.intents import TakeSnapshot as Take
from projections.phases import RunPhase
from projections.volumes import blocked
from tests.support.story import Story, declared

MIB = 1 << 20
Told = Callable[[Story], object]


def mounting(name: str = "web", *volumes: str, user: str = "") -> Declared:
    made = declared(name)
    mounts = tuple(VolumeMount(volume, f"/{volume}") for volume in volumes or ("data",))
    return replace(made, spec=replace(made.spec, mounts=mounts, user=user))


def living() -> Story:
    """A workload runs on its volume, which has one snapshot."""
    story = Story()
    story.call(Apply((mounting(),), volumes=(DeclaredVolume("data", 64 * MIB),)))
    story.converge()
    story.call(Take("data", "one"))
    story.converge()
    return story


def kinds(story: Story, told: Told | None = None) -> list[str]:
    """The goals that are reached one after another until nothing is due."""
    if told is not None:
        told(story)
    found = []
    while goals := plan(story.machine):
        found.append(kind_of(goals[0]))
        story.reach(goals[0])
        assert len(found) < 40
    return found


NEXT = ImagePin("docker.io/library/busybox:2", "sha256:" + "5" * 64, "sha256:" + "6" * 64)


def surviving(permanent: bool, *, mounts: bool = True) -> Story:
    """A run goes on as it was declared before, for the image of its successor cannot be had."""
    story = living()
    next_one = mounting() if mounts else declared("web")
    story.apply(replace(next_one, image_ref=NEXT.ref, resolved=NEXT))
    (goal,) = plan(story.machine)
    assert isinstance(goal, EnsureImage)
    story.begin(goal)
    delay_ms = 0 if permanent else 60_000
    story.tell(EffectFailed("EnsureImage", "web", goal.uid, "NOT_FOUND", "no", 0, 1, delay_ms, permanent))
    assert not any(isinstance(goal, StopRun) for goal in plan(story.machine))
    return story


@pytest.mark.parametrize("permanent", [True, False], ids=["given up", "tried again"])
@pytest.mark.parametrize(
    ("call", "mounts"),
    [
        (Restore("data", "one", "before"), True),
        (DeleteVolume("data", force=True), True),
        (DeleteVolume("data"), False),
        (ResizeVolume("data", 128 * MIB), False),
    ],
    ids=["restored", "deleted by force", "deleted", "grown"],
)
def test_a_run_whose_successor_has_no_image_ends_for_what_is_to_be_done_to_its_volume(
    call: Intent, mounts: bool, permanent: bool
) -> None:
    story = surviving(permanent, mounts=mounts)
    assert isinstance(story.call(call), Admitted)
    (stop,) = plan(story.machine)
    assert isinstance(stop, StopRun) and stop.not_before is None, "the image's pause is none of its"
    while isinstance(goal := next(iter(plan(story.machine)), None), CleanRun | StopRun | UnmountVolume | VolumeEffect):
        assert goal.not_before is None
        story.reach(goal)
    data, run = story.machine.volumes.get("data"), story["web"].run
    assert run is not None and run.phase is RunPhase.EXITED and (goal is None or isinstance(goal, EnsureImage))
    if isinstance(call, DeleteVolume):
        assert data is None
    else:
        assert data is not None and not (data.holder or data.restoring) and data.made_bytes == data.size_bytes


def test_a_lost_volume_ends_no_run_whose_successor_has_no_image_but_its_deletion_does() -> None:
    story = surviving(permanent=True)
    story.tell(VolumeLost("data", story.machine.volumes["data"].uid, mounted=True))
    assert plan(story.machine) == ()
    story.call(DeleteVolume("data", force=True))
    assert [kind_of(goal) for goal in plan(story.machine)] == ["StopRun"]


@pytest.mark.parametrize("permanent", [True, False], ids=["given up", "tried again"])
@pytest.mark.parametrize("mounts", [True, False], ids=["mounts it", "does not"])
def test_what_another_hand_unmounted_is_mounted_again_while_the_image_cannot_be_had(
    permanent: bool, mounts: bool
) -> None:
    story = surviving(permanent, mounts=mounts)
    story.tell(VolumeDrifted("data", story.machine.volumes["data"].uid, "unmounted"))
    goal = plan(story.machine)[0]
    assert isinstance(goal, MountVolume)
    story.reach(goal)
    assert story.machine.volumes["data"].foreign is None and story["web"].run is not None
    assert [kind_of(one) for one in plan(story.machine)] == ([] if permanent else ["EnsureImage"])


def test_a_volume_is_made_before_it_is_mounted_and_mounted_before_the_run() -> None:
    story = Story()
    story.call(Apply((mounting(),), volumes=(DeclaredVolume("data", 64 * MIB),)))
    assert "is being made" in blocked(story.machine, story["web"])
    assert kinds(story) == ["EnsureVolume", "MountVolume", "StartRun"]
    volume = story.machine.volumes["data"]
    assert (volume.made_bytes, volume.holder, volume.holder_uid) == (64 * MIB, "web", story["web"].uid)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (lambda story: None, []),
        (lambda story: story.call(Stop("web")), ["StopRun", "UnmountVolume"]),
        (lambda story: story.call(Delete("web")), ["StopRun", "UnmountVolume", "RemoveWorkload"]),
        (lambda story: story.run_ends("web", 1), ["CleanRun", "StartRun"]),
        (lambda story: story.apply(mounting(user="x")), ["StopRun", "StartRun"]),
        (lambda story: story.apply(declared("web")), ["StopRun", "UnmountVolume", "StartRun"]),
        (lambda story: story.call(Take("data", "two")), ["TakeSnapshot"]),
        (lambda story: story.call(DeleteSnapshot("data", "one")), ["RemoveSnapshot"]),
        (lambda story: story.call(Restore("data", "one")), ["StopRun", "UnmountVolume", "RestoreVolume", "MountVolume", "StartRun"]),
        (lambda story: story.call(Restore("data", "one", "safe")), ["StopRun", "UnmountVolume", "TakeSnapshot", "RestoreVolume", "MountVolume", "StartRun"]),
        (lambda story: story.call(DeleteVolume("data", force=True)), ["StopRun", "UnmountVolume", "RemoveVolume"]),
        (lambda story: story.call(CreateVolume("more", 16 * MIB)), ["EnsureVolume"]),
    ],
)  # fmt: skip
def test_what_is_due_follows_from_what_was_asked_for(told: Told, expected: list[str]) -> None:
    assert kinds(living(), told) == expected


def test_a_volume_grows_while_nobody_holds_it() -> None:
    story = living()
    story.call(Stop("web"))
    story.converge()
    story.call(ResizeVolume("data", 128 * MIB))
    (goal,) = plan(story.machine)
    assert isinstance(goal, EnsureVolume) and goal.size_bytes == 128 * MIB


def test_a_lost_volume_is_not_made_anew_and_its_user_does_not_run_without_it() -> None:
    story = living()
    story.call(Stop("web"))
    story.converge()
    story.tell(VolumeLost("data", story.machine.volumes["data"].uid))
    assert plan(story.machine) == ()
    story.apply(mounting())
    assert kinds(story) == [] and "not in the storage any more" in blocked(story.machine, story["web"])
    story.call(DeleteVolume("data", force=True))
    assert kinds(story) == ["RemoveVolume"]
    assert "does not exist any more" in blocked(story.machine, story["web"])


def test_a_volume_made_again_under_the_same_name_never_serves_as_the_old() -> None:
    story = living()
    story.call(DeleteVolume("data", force=True))
    story.converge()
    story.call(CreateVolume("data", 64 * MIB))
    story.converge()
    assert "another one of the same name" in blocked(story.machine, story["web"]) and plan(story.machine) == ()
    story.apply(mounting())
    assert kinds(story)[-2:] == ["MountVolume", "StartRun"]


def test_power_lost_takes_the_mounts_along_and_they_are_made_again() -> None:
    from journal.events import DaemonStarted

    story = living()
    story.tell(DaemonStarted(mode="hosted", previous="crash"))
    story.reboot("boot-2")
    assert story.machine.volumes["data"].holder == ""
    assert kinds(story) == ["CleanRun", "MountVolume", "StartRun"]


@pytest.mark.parametrize(
    "told",
    [
        lambda story: story.call(CreateVolume("more", 16 * MIB)),
        lambda story: story.call(Take("data", "two")),
        lambda story: story.call(DeleteSnapshot("data", "one")),
    ],
)
def test_what_failed_on_a_volume_is_tried_again_but_never_at_once(told: Told) -> None:
    story = living()
    told(story)
    for attempt in (1, 2):
        (goal,) = plan(story.machine)
        assert goal.attempt == attempt
        story.begin(goal)
        story.tell(fails(goal, permanent=False))
        (again,) = plan(story.machine)
        assert again.attempt == attempt + 1 and again.not_before is not None
        assert again.not_before.mono_ns == story.mono + 500_000_000
        story.pass_time(1)
    story.converge()
    assert all(volume.trouble is None and volume.hold is None for volume in story.machine.volumes.values())


def test_cleaning_before_an_unmount_is_held_back_by_its_own_failure() -> None:
    story = living()
    story.run_ends("web", 0)
    story.call(Stop("web"))
    (goal,) = plan(story.machine)
    assert isinstance(goal, CleanRun) and goal.not_before is None
    story.begin(goal)
    story.tell(EffectFailed("CleanRun", "web", goal.uid, "X", "no answer", run=goal.run, retry_delay_ms=500))
    (again,) = plan(story.machine)
    assert isinstance(again, CleanRun) and again.not_before is not None


def test_a_volume_that_is_to_go_does_not_wait_for_the_pause_between_two_runs() -> None:
    story = living()
    story.run_ends("web", 3)
    story.cleaned("web")
    assert story["web"].pause is not None
    story.call(DeleteVolume("data", force=True))
    (goal,) = plan(story.machine)
    assert isinstance(goal, UnmountVolume) and goal.not_before is None


def test_goals_of_volumes_can_be_told() -> None:
    for goal in (
        EnsureVolume("data", 1, 64 * MIB),
        RemoveVolume("data", 1),
        TakeSnapshot("data", 1, 5, 64 * MIB),
        RemoveSnapshot("data", 1, 5),
        RestoreVolume("data", 1, 5, 64 * MIB),
        MountVolume("web", 2, "data", 1),
        UnmountVolume("web", 2, "data", 1),
    ):
        assert detail_of(goal) and kind_of(goal) == type(goal).__name__
    assert kind_of(StopRun("web", 1, 1, 1)) == "StopRun" and StartRun.__name__ == "StartRun"


def test_a_volume_grows_before_a_workload_that_never_let_go_of_it_runs_again() -> None:
    story = living()
    story.call(Stop("web"))
    story.call(ResizeVolume("data", 80 * MIB))
    story.call(Start("web"))
    assert kinds(story) == ["StopRun", "UnmountVolume", "EnsureVolume", "MountVolume", "StartRun"]
    assert story.machine.volumes["data"].made_bytes == 80 * MIB


def give_up(story: Story) -> None:
    """There is no room for the snapshot that is due, or for what is to be brought back."""
    goal = next(one for one in plan(story.machine) if isinstance(one, TakeSnapshot | RestoreVolume))
    story.tell(fails(goal))


def fails(goal: Effect, reason: str = "NO_SPACE", *, permanent: bool = True) -> EffectFailed:
    """The runner's word for a goal that was not reached."""
    size_bytes = goal.size_bytes if isinstance(goal, EnsureVolume) else 0
    return EffectFailed(
        kind_of(goal),
        goal.name,
        goal.uid,
        reason,
        "the disk is full",
        attempt=goal.attempt,
        retry_delay_ms=0 if permanent else 500,
        permanent=permanent,
        snapshot=snapshot_of(goal),
        size_bytes=size_bytes,
    )


def test_a_restore_that_has_no_room_for_what_it_would_keep_is_called_off_and_the_workload_runs_again() -> None:
    story = living()
    story.call(Restore("data", "one", "safe"))
    for _ in ("StopRun", "UnmountVolume"):
        story.reach(plan(story.machine)[0])
    give_up(story)
    volume = story.machine.volumes["data"]
    assert (volume.restoring, [one.label for one in volume.snapshots]) == (0, ["one"])
    assert volume.trouble is not None and volume.trouble.reason == "NO_SPACE"
    assert kinds(story) == ["MountVolume", "StartRun"]


def test_a_snapshot_without_room_is_not_taken_later_and_holds_up_nothing() -> None:
    story = living()
    story.call(Take("data", "two"))
    give_up(story)
    assert plan(story.machine) == ()
    story.call(Take("data", "three"))
    assert kinds(story) == ["TakeSnapshot"]
    assert story.machine.volumes["data"].trouble is None
    assert [one.label for one in story.machine.volumes["data"].snapshots] == ["one", "three"]


def test_a_growth_without_room_is_given_up_and_the_workload_runs_on_what_there_is() -> None:
    story = living()
    story.call(Stop("web"))
    story.converge()
    story.call(ResizeVolume("data", 128 * MIB))
    story.call(Start("web"))
    story.tell(fails(plan(story.machine)[0]))
    assert story.machine.volumes["data"].size_bytes == 64 * MIB
    assert kinds(story) == ["MountVolume", "StartRun"]


def test_a_growth_that_does_not_come_about_can_be_taken_back() -> None:
    story = living()
    story.call(Stop("web"))
    story.converge()
    story.call(ResizeVolume("data", 128 * MIB))
    story.call(Start("web"))
    story.call(ResizeVolume("data", 64 * MIB))
    assert kinds(story) == ["MountVolume", "StartRun"]


def test_a_volume_that_can_never_be_made_is_not_tried_again_until_it_is_declared_otherwise() -> None:
    story = Story()
    story.call(Apply((), volumes=(DeclaredVolume("data", 128 * MIB),)))
    story.tell(fails(plan(story.machine)[0], "VOLUME_TOO_LARGE"))
    assert plan(story.machine) == ()
    story.call(ResizeVolume("data", 256 * MIB))
    assert kinds(story) == ["EnsureVolume"]


def test_the_next_snapshot_is_taken_although_there_was_no_room_for_one_that_was_deleted_meanwhile() -> None:
    story = living()
    story.call(Take("data", "two"))
    (taking,) = plan(story.machine)
    story.call(Take("data", "three"))
    story.call(DeleteSnapshot("data", "two"))
    story.tell(fails(taking))
    assert kinds(story) == ["RemoveSnapshot", "TakeSnapshot"]
    assert [one.label for one in story.machine.volumes["data"].snapshots] == ["one", "three"]


def test_a_growth_that_fails_after_another_size_was_asked_for_gives_up_nothing_of_that() -> None:
    story = living()
    story.call(Stop("web"))
    story.converge()
    story.call(ResizeVolume("data", 128 * MIB))
    (growing,) = plan(story.machine)
    story.call(ResizeVolume("data", 96 * MIB))
    story.tell(fails(growing))
    volume = story.machine.volumes["data"]
    assert (volume.size_bytes, volume.trouble) == (96 * MIB, None)
    assert kinds(story) == ["EnsureVolume"]


def test_a_growth_that_ends_after_it_was_taken_back_has_come_about() -> None:
    story = living()
    story.call(Stop("web"))
    story.converge()
    story.call(ResizeVolume("data", 128 * MIB))
    (growing,) = plan(story.machine)
    story.call(ResizeVolume("data", 64 * MIB))
    story.reach(growing)
    volume = story.machine.volumes["data"]
    assert volume.size_bytes == volume.made_bytes == 128 * MIB


@pytest.mark.parametrize("reason", ["NO_SPACE", "SNAPSHOT_MISSING", "SNAPSHOT_DAMAGED"])
def test_a_restore_that_has_no_room_itself_is_called_off_and_the_workload_runs_again(reason: str) -> None:
    story = living()
    story.call(Restore("data", "one", "safe"))
    for _ in ("StopRun", "UnmountVolume", "TakeSnapshot"):
        story.reach(plan(story.machine)[0])
    story.tell(fails(plan(story.machine)[0], reason))
    volume = story.machine.volumes["data"]
    assert (volume.restoring, [one.label for one in volume.snapshots]) == (0, ["one", "safe"])
    assert kinds(story) == ["MountVolume", "StartRun"]


def test_an_import_keeps_the_snapshots_of_the_lost_volume_that_it_stands_for_and_no_others() -> None:
    story = Story()
    story.call(ImportVolume("data", 64 * MIB, "import-1"))
    (goal,) = plan(story.machine)
    assert isinstance(goal, EnsureVolume) and (goal.staged, goal.keeps) == ("import-1", ())
    story.reach(goal)
    story.call(Take("data", "one"))
    story.converge()
    volume = story.machine.volumes["data"]
    story.tell(VolumeLost("data", volume.uid))
    story.call(ImportVolume("data", 64 * MIB, "import-2"))
    (goal,) = plan(story.machine)
    assert isinstance(goal, EnsureVolume)
    assert (goal.staged, goal.keeps) == ("import-2", (volume.snapshots[0].uid,))


def test_a_volume_that_cannot_be_made_may_be_asked_for_smaller() -> None:
    story = Story()
    story.call(Apply((mounting(),), volumes=(DeclaredVolume("data", 128 * MIB),)))
    story.tell(fails(plan(story.machine)[0], "VOLUME_TOO_LARGE"))
    story.call(Apply((), volumes=(DeclaredVolume("data", 32 * MIB),)))
    assert kinds(story) == ["EnsureVolume", "MountVolume", "StartRun"]
    assert story.machine.volumes["data"].made_bytes == 32 * MIB


def test_what_was_lost_while_it_was_mounted_is_unmounted_when_its_run_ends() -> None:
    story = living()
    uid = story.machine.volumes["data"].uid
    story.tell(VolumeLost("data", uid, mounted=True))
    assert plan(story.machine) == (), "what runs goes on with what it has open"
    story.call(Stop("web"))
    assert kinds(story) == ["StopRun", "UnmountVolume"]
    again = living()
    again.tell(VolumeLost("data", again.machine.volumes["data"].uid, mounted=True))
    again.run_ends("web", 1)
    assert kinds(again) == ["CleanRun", "UnmountVolume"]
    assert "not in the storage any more" in blocked(again.machine, again["web"])
