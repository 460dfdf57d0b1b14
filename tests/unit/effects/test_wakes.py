"""Nobody who has something to do stands still: the runner never polls, so it has to be woken by the entry itself."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings

from effects.goals import EnsureNetwork, UnmountVolume
from effects.planner import awaited_by, plan_object
from effects.wakes import folded
from journal.entry import Header
from journal.events import (
    DaemonStarted,
    EffectFailed,
    EmergencyRecovered,
    Event,
    ImageLost,
    JournalRestored,
    MachineHalted,
    NetworkEnsured,
    VolumeLost,
    VolumeUnmounted,
)
from projections.state import Machine
from projections.volumes import users_of
from tests.histories.recorded import folded_of, releases
from tests.support.chance import histories
from tests.support.story import PIN, Story, declared
from tests.unit.effects.test_volume_planner import living


def keys_of(machine: Machine) -> set[str]:
    return set(machine.workloads) | {f"volume/{name}" for name in machine.volumes}


def reached_by(before: Machine, after: Machine, woken: set[str]) -> set[str]:
    """Whom the runner wakes: these, users of the volumes among them, and who waits for one of them with nothing due."""
    users = {user for key in woken if key.startswith("volume/") for user in users_of(after, key[len("volume/") :])}
    waiting = {
        key for key in keys_of(before) if plan_object(before, key) is None and woken & set(awaited_by(before, key))
    }
    return woken | users | waiting


def judge(entries: Iterable[tuple[Header, Event | None]], machine: Machine) -> None:
    """Of each entry: whoever has something to do by it, and had nothing or waited, is woken. Who is at work looks again
    behind it anyway."""
    entries = list(entries)
    for place, (header, event) in enumerate(entries, 1):
        assert event is not None
        before = machine.fork()
        woken = folded(machine, header, event)
        told = reached_by(before, machine, set(woken))
        if isinstance(event, DaemonStarted | JournalRestored) or _is_told_at_a_start(event, entries[place:]):
            continue  # a life of the runner begins with a look at everything
        for key in keys_of(machine) - told:
            former, goal = plan_object(before, key), plan_object(machine, key)
            idle = former is None or former.not_before is not None
            assert not idle or goal in (None, former), f"{key} is not woken by {event}: {goal}"


def _is_told_at_a_start(event: Event, later: list[tuple[Header, Event | None]]) -> bool:
    """Whether it is what a life tells of the halt before, which it does before it says that it began."""
    noted = MachineHalted | EmergencyRecovered
    begun = next((one for _, one in later if not isinstance(one, noted)), None)
    return isinstance(event, noted) and isinstance(begun, DaemonStarted)


@settings(max_examples=60)
@given(histories())
def test_whoever_has_something_else_to_do_is_woken_by_the_entry_that_says_so(story: Story) -> None:
    judge(story.entries, story.beginning.fork())


@pytest.mark.parametrize("release", releases())
def test_so_it_was_in_all_that_was_recorded(release: str) -> None:
    judge(*folded_of(release))


def test_an_image_that_is_lost_while_its_workload_waits_for_another_is_fetched_at_once() -> None:
    story = Story()
    story.reboot("boot-1")
    story.apply(declared("db", desired="stopped"), declared("web", depends_on=("db",)))
    story.converge()
    assert plan_object(story.machine, "web") is None
    story.tell(ImageLost((PIN.ref,), (PIN.index_digest,)))
    assert story.next_goal("web") == "EnsureImage"
    judge(story.entries, story.beginning.fork())


def test_all_whom_the_network_held_up_hear_at_once_that_it_works_again() -> None:
    story = Story()
    story.reboot("boot-1")
    story.apply(declared("db", network="bridge"), declared("web", network="bridge"))
    for name in ("db", "web"):
        why = EffectFailed("EnsureNetwork", name, story[name].uid, "NETWORK_FAILED", "no bridge", retry_delay_ms=60_000)
        story.tell(why)
    goal = plan_object(story.machine, "web")
    assert isinstance(goal, EnsureNetwork) and goal.not_before is not None
    story.tell(NetworkEnsured(goal.upto, 0))
    assert {story.next_goal(name) for name in ("db", "web")} == {"AttachNetwork"}
    judge(story.entries, story.beginning.fork())


@pytest.mark.parametrize("found", [VolumeUnmounted, VolumeLost])
def test_who_was_declared_without_a_volume_hears_at_once_that_it_is_not_mounted_any_more(
    found: type[VolumeUnmounted] | type[VolumeLost],
) -> None:
    story = living()
    story.apply(declared("web"))
    while not isinstance(goal := plan_object(story.machine, "web"), UnmountVolume):
        assert goal is not None
        story.reach(goal)
    story.begin(goal)
    why = EffectFailed("UnmountVolume", "web", goal.uid, "VOLUME_FAILED", "it is busy", retry_delay_ms=60_000)
    story.tell(why)
    assert story.next_goal("web") == "UnmountVolume"
    story.tell(found("data", goal.volume_uid))
    assert story.next_goal("web") == "StartRun"
    judge(story.entries, story.beginning.fork())
