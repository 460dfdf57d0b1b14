"""Trouble goes with what it was about: nobody is told that something is tried again for which nothing is due."""

from collections.abc import Callable
from random import Random

import pytest
from msgspec.structs import replace

from effects.goals import Effect, EnsureVolume, kind_of, run_of, snapshot_of
from effects.planner import plan
from journal.events import (
    EffectFailed,
    NetworkAttached,
    NetworkDrifted,
    SnapshotRemoved,
    VolumeDrifted,
    VolumeLost,
    VolumeUnmounted,
)
from journal.specs import RestartMode, SecretFile, VolumeMount
from projections.dependencies import waits
from projections.details import Detail
from projections.drift import Label, drift
from projections.intents import (
    CreateSecret,
    Declared,
    DeclaredVolume,
    Delete,
    DeleteSnapshot,
    DeleteVolume,
    Intent,
    ResizeVolume,
    Restart,
    RestoreVolume,
    RotateSecret,
    Start,
    Stop,
    TakeSnapshot,
)
from projections.phases import RunPhase
from projections.state import Trouble
from projections.status import Status, status_of
from tests.support.story import Story, declared
from tests.unit.projections.drift_story import bridged, settled, stored

MIB = 1 << 20
DATA = DeclaredVolume("data", 64 * MIB)
MOUNTED, SECRET = (VolumeMount("data", "/data"),), (SecretFile("key", "/secrets/key"),)


def fails(story: Story, goal: Effect, permanent: bool = False) -> None:
    story.begin(goal)
    size_bytes = goal.size_bytes if isinstance(goal, EnsureVolume) else 0
    story.tell(
        EffectFailed(
            kind_of(goal), goal.name, goal.uid, "VOLUME_FAILED", "input/output error", run=run_of(goal),
            attempt=goal.attempt, retry_delay_ms=0 if permanent else 500, permanent=permanent,
            snapshot=snapshot_of(goal), size_bytes=size_bytes,
        )
    )  # fmt: skip


def due(story: Story, kind: str) -> Effect:
    """The goal of this kind, once whatever comes before it is reached."""
    while kind_of(goal := plan(story.machine)[0]) != kind:
        story.reach(goal)
    return goal


def fails_at(story: Story, kind: str) -> None:
    """Whatever comes before a goal of this kind is reached, and that is not."""
    fails(story, due(story, kind))


def told(story: Story, name: str = "web") -> Status:
    return status_of(story[name], waits(story.machine, story[name]))


def using(restart: RestartMode = "always", depends_on: tuple[str, ...] = ()) -> Declared:
    """A workload with a volume and a secret's file."""
    made = declared("web", restart=restart, depends_on=depends_on)
    return replace(made, spec=replace(made.spec, mounts=MOUNTED, secrets=SECRET))


def used(restart: RestartMode = "always") -> Story:
    story = Story()
    story.call(CreateSecret("key", "sealed-1", 3, True))
    story.apply(using(restart), volumes=(DATA,))
    return story


def of_volume(story: Story) -> Trouble | None:
    return story.machine.volumes["data"].trouble


# --- volumes -----------------------------------------------------------------------------------------------------


def taking() -> Story:
    story = stored()
    story.call(TakeSnapshot("data", "one"))
    fails_at(story, "TakeSnapshot")
    assert of_volume(story) is not None
    return story


def removing() -> Story:
    story = stored()
    story.call(TakeSnapshot("data", "one"))
    story.converge()
    story.call(DeleteSnapshot("data", "one"))
    fails_at(story, "RemoveSnapshot")
    assert of_volume(story) is not None
    return story


def test_a_snapshot_that_is_deleted_leaves_no_trouble_with_taking_it() -> None:
    story = taking()
    story.call(DeleteSnapshot("data", "one"))
    assert of_volume(story) is None
    story.converge()
    assert drift(story.machine) == ()
    story.call(TakeSnapshot("data", "two"))
    assert plan(story.machine)[0].attempt == 1


def test_what_fails_of_one_snapshot_goes_on_while_another_is_deleted() -> None:
    story = stored()
    story.call(TakeSnapshot("data", "one"))
    story.converge()
    story.call(TakeSnapshot("data", "two"))
    fails_at(story, "TakeSnapshot")
    story.call(DeleteSnapshot("data", "one"))
    assert of_volume(story) is not None
    story.reach(plan(story.machine)[0])
    assert of_volume(story) is not None and [kind_of(goal) for goal in plan(story.machine)] == ["TakeSnapshot"]


def test_a_snapshot_that_is_found_gone_leaves_no_trouble_with_removing_it() -> None:
    story = removing()
    (one,) = story.machine.volumes["data"].snapshots
    story.tell(SnapshotRemoved("data", story.machine.volumes["data"].uid, one.uid))
    assert of_volume(story) is None and plan(story.machine) == () == drift(story.machine)


@pytest.mark.parametrize("told_late", [False, True])
def test_nothing_is_tried_of_a_volume_that_is_lost(told_late: bool) -> None:
    story = stored()
    story.call(TakeSnapshot("data", "one"))
    (goal,) = plan(story.machine)
    lost = VolumeLost("data", goal.uid, mounted=True)
    if told_late:
        story.tell(lost)
    fails(story, goal)
    if not told_late:
        story.tell(lost)
    assert of_volume(story) is None and plan(story.machine) == ()


def test_what_fails_of_a_volume_that_is_to_go_anyway_is_no_trouble() -> None:
    story = stored()
    story.call(TakeSnapshot("data", "one"))
    (goal,) = plan(story.machine)
    story.call(DeleteVolume("data", force=True))
    fails(story, goal)
    assert of_volume(story) is None


@pytest.mark.parametrize("what", ["snapshot", "growth", "restore"])
def test_what_was_given_up_is_told_and_is_no_drift(what: str) -> None:
    story = stored()
    story.call(TakeSnapshot("data", "one"))
    if what != "snapshot":
        story.call(Stop("web"))
        story.converge()
        story.call(ResizeVolume("data", 128 * MIB) if what == "growth" else RestoreVolume("data", "one"))
    kind = {"snapshot": "TakeSnapshot", "growth": "EnsureVolume", "restore": "RestoreVolume"}[what]
    fails(story, due(story, kind), permanent=True)
    story.converge()
    trouble = of_volume(story)
    assert trouble is not None and trouble.permanent
    assert not [one for one in drift(story.machine) if one.object == "volume/data"]


def test_a_volume_that_can_never_be_made_is_drift_until_it_is_asked_for_otherwise() -> None:
    story = Story()
    story.apply(volumes=(DATA,))
    fails(story, plan(story.machine)[0], permanent=True)
    (found,) = drift(story.machine)
    assert (found.object, found.what) == ("volume/data", "EnsureVolume failed") and not found.repair


# --- workloads ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", ["EnsureSecretFiles", "MountVolume"])
@pytest.mark.parametrize("ends", [lambda story: story.run_ends("web", 0), lambda story: story.run_vanishes("web")])
def test_what_a_run_lacked_is_no_trouble_once_it_has_ended(effect: str, ends: Callable[[Story], None]) -> None:
    story = used("never")
    story.converge()
    if effect == "MountVolume":
        story.tell(VolumeDrifted("data", story.machine.volumes["data"].uid, "unmounted"))
    else:
        story.call(RotateSecret("key", "sealed-2", 3, True))
    fails_at(story, effect)
    assert told(story).detail is Detail.RETRYING
    ends(story)
    story.converge()
    assert told(story).detail in (Detail.COMPLETED, Detail.FAILED) and story["web"].trouble is None


@pytest.mark.parametrize("lost", [False, True])
def test_a_volume_that_is_found_unmounted_leaves_no_trouble_with_unmounting_it(lost: bool) -> None:
    story = stored()
    story.call(Stop("web"))
    fails_at(story, "UnmountVolume")
    uid = story.machine.volumes["data"].uid
    story.tell(VolumeLost("data", uid) if lost else VolumeUnmounted("data", uid, reason="it was not mounted any more"))
    assert plan(story.machine) == () and told(story).detail is Detail.STOPPED


@pytest.mark.parametrize("ends", ["deleted", "lost", "restored"])
def test_a_volume_that_cannot_be_mounted_any_more_is_waited_for_and_not_tried(ends: str) -> None:
    story = used()
    fails_at(story, "MountVolume")
    uid = story.machine.volumes["data"].uid
    match ends:
        case "deleted":
            story.call(DeleteVolume("data", force=True))
        case "lost":
            story.tell(VolumeLost("data", uid))
        case _:
            story.call(Stop("web"))
            story.call(TakeSnapshot("data", "one"))
            story.converge()
            story.call(Start("web"))
            fails_at(story, "MountVolume")
            story.call(RestoreVolume("data", "one"))
    assert told(story).detail is Detail.WAITING and story["web"].trouble is None


def test_a_start_that_failed_and_waits_for_another_again_says_that_it_waits() -> None:
    story = settled(declared("db"))
    story.call(CreateSecret("key", "sealed-1", 3, True))
    story.apply(using(depends_on=("db",)), volumes=(DATA,))
    for effect in ("MountVolume", "EnsureSecretFiles", "StartRun"):
        fails_at(story, effect)
        assert told(story).detail is Detail.RETRYING
        story.call(Stop("db"))
        story.converge()
        assert told(story) == Status(told(story).phase, Detail.WAITING, "it waits for db, which is stopped")
        (found,) = [one for one in drift(story.machine) if one.object == "workload/web"]
        assert (found.label, found.message) == (Label.INTENDED, "it waits for db, which is stopped")
        story.call(Start("db"))
        story.run_starts("db")
        assert due(story, effect).attempt > 1, "it goes on where it was"
    story.converge()
    assert told(story).detail is Detail.RUNNING


def test_a_link_that_another_hand_puts_back_leaves_no_trouble_with_making_it() -> None:
    story = bridged()
    web = story["web"]
    story.tell(NetworkDrifted(name="web", uid=web.uid, what="its link was removed"))
    fails_at(story, "AttachNetwork")
    story.tell(NetworkAttached("web", web.uid, web.address))
    assert plan(story.machine) == () and told(story).detail is Detail.RUNNING


def test_rules_that_are_left_as_another_hand_made_them_are_not_tried_again() -> None:
    story = bridged("report")
    story.call(Stop("web"))
    fails_at(story, "EnsureNetwork")
    story.tell(NetworkDrifted(what="the rules were flushed"))
    story.converge()
    assert told(story).detail is Detail.STOPPED


# --- whatever happens --------------------------------------------------------------------------------------------


def _happens(random: Random, story: Story) -> None:
    """A goal is due and reached or not, somebody calls, or the world changes."""
    goals, machine = plan(story.machine), story.machine
    if goals and random.random() < 0.6:
        goal = random.choice(goals)
        fails(story, goal) if random.random() < 0.7 else story.reach(goal)
        return
    label, size_bytes = random.choice(("one", "two")), random.choice((64, 128)) * MIB
    volume, web = machine.volumes.get("data"), machine.workloads.get("web")
    calls: tuple[Intent, ...] = (
        Stop("web"), Start("web"), Restart("web"), Delete("web"), Stop("db"), Start("db"),
        TakeSnapshot("data", label), DeleteSnapshot("data", label), RestoreVolume("data", label, "safe"),
        ResizeVolume("data", size_bytes), DeleteVolume("data", force=random.random() < 0.5),
        RotateSecret("key", f"sealed-{len(story.entries)}", 3, True),
    )  # fmt: skip
    match random.randrange(9):
        case 0 | 1 | 2 | 3:
            story.call(random.choice(calls))
        case 4 | 5:
            web_now = using(random.choice(("always", "never")), random.choice(((), ("db",))))
            story.apply(declared("db"), web_now, volumes=(DATA,))
        case 6 if web is not None and web.run is not None and web.run.phase is RunPhase.RUNNING:
            story.run_ends("web", random.choice((0, 1)))
        case 7 if volume is not None and volume.holder:
            told_of = random.choice(
                (VolumeUnmounted("data", volume.uid), VolumeDrifted("data", volume.uid, "unmounted"))
            )
            story.tell(told_of)
        case 8 if random.random() < 0.2:
            story.reboot(f"boot-{len(story.entries)}")
        case _:
            pass


@pytest.mark.parametrize("seed", range(4))
def test_where_nothing_is_due_nobody_is_told_that_it_is_tried_again(seed: int) -> None:
    random = Random(seed)
    for _ in range(60):
        story = Story()
        story.call(CreateSecret("key", "sealed-1", 3, True))
        story.apply(declared("db"), using(), volumes=(DATA,))
        for _ in range(random.choice((15, 25, 40))):
            _happens(random, story)
        story.converge()
        assert not [one for one in drift(story.machine) if one.then == "it is tried again"], seed
        assert not [name for name in story.machine.workloads if told(story, name).detail is Detail.RETRYING], seed
        assert all((one := volume.trouble) is None or one.permanent for volume in story.machine.volumes.values()), seed
