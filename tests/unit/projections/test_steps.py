"""Step by step: each entry with what it made of the state, and in the end the state that a fold makes."""

from journal.events import VolumeApplied, VolumeMade, VolumeRemoved
from projections.fold import replay
from projections.intents import Stop
from projections.steps import Change, Steps
from projections.views import state_hash
from tests.support.story import Story, declared


def stepped(story: Story) -> tuple[Steps, list[tuple[Change, ...]]]:
    steps = Steps(story.beginning.fork())
    return steps, [steps.take(header, event) for header, event in story.entries]


def test_an_entry_is_shown_with_the_places_that_it_changed_and_no_others() -> None:
    story = Story()
    since = len(story.entries)
    story.tell(VolumeApplied("data", 64 << 20, created=True))
    uid = story.machine.volumes["data"].uid
    story.tell(VolumeMade("data", uid, 64 << 20), VolumeMade("data", 99, 1), VolumeRemoved("data", uid))
    applied, made, strangers, removed = stepped(story)[1][since:]
    assert [(one.op, one.path) for one in applied] == [("add", "volumes.data"), ("change", "desired_seq")]
    assert made == (Change("change", "volumes.data.made_bytes", 0, 64 << 20),)
    assert strangers == (), "of another incarnation"
    assert next((one.op, one.path, one.new) for one in removed) == ("remove", "volumes.data", None)


def test_what_stands_deep_in_a_record_has_its_own_path() -> None:
    story = Story()
    story.apply(declared("web"))
    story.converge()
    story.call(Stop("web"))
    paths = {one.path: one for changes in stepped(story)[1] for one in changes}
    assert paths["workloads.web.run.phase"].new == "running" and paths["workloads.web.desired"].new == "stopped"


def test_the_end_of_the_walk_is_the_fold() -> None:
    story = Story()
    story.apply(declared("web"), declared("db"))
    story.converge()
    steps, _ = stepped(story)
    assert state_hash(steps.machine) == state_hash(replay(story.entries, story.beginning.fork()))


def test_what_is_skipped_is_folded_and_told_to_nobody() -> None:
    story = Story()
    story.apply(declared("web"))
    story.apply(declared("api"))
    steps = Steps(story.beginning.fork())
    first, second = story.entries
    steps.skip(*first)
    assert "web" in steps.machine.workloads and {change.path[:2] for change in steps.take(*second)}
    assert state_hash(steps.machine) == state_hash(story.machine)
