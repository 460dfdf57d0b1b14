"""Conditions: each part of a workload's state by itself, with its reason."""

import pytest

from effects.planner import plan_workload
from journal.events import EffectFailed, EffectStarted
from projections.conditions import conditions_of
from projections.intents import Restart, Stop
from projections.phases import RunPhase
from tests.support.story import Story, declared


def told(story: Story, name: str = "web") -> dict[str, str]:
    """The conditions that are not met, with their reasons."""
    return {one.type: one.reason for one in conditions_of(story[name]) if not one.met}


@pytest.fixture
def story() -> Story:
    made = Story()
    made.apply(declared("web", "serve"))
    return made


def test_what_was_only_declared_is_nothing_yet(story: Story) -> None:
    assert told(story) == {"Running": "pending", "Current": "never-started", "Settled": "pending"}


def test_what_runs_as_declared_meets_them_all(story: Story) -> None:
    story.run_starts("web")
    assert told(story) == {}


def test_an_old_run_is_not_current_until_its_successor_lives(story: Story) -> None:
    story.run_starts("web")
    story.apply(declared("web", "serve", "more"))
    assert told(story) == {"Running": "replacing", "Current": "old-declaration", "Settled": "replacing"}


def test_a_restart_that_was_asked_for_is_still_due(story: Story) -> None:
    story.run_starts("web")
    story.call(Restart("web"))
    assert told(story) == {"Running": "stopping", "Current": "restart-asked-for", "Settled": "stopping"}


def test_ends_in_a_row_are_not_stable(story: Story) -> None:
    for code in (1, 2):
        story.run_starts("web")
        story.run_ends("web", code)
        story.cleaned("web")
    conditions = {one.type: one for one in conditions_of(story["web"])}
    assert not conditions["Stable"].met and "2 times in a row" in conditions["Stable"].message
    assert not conditions["Settled"].met and "code 2" in conditions["Settled"].message


def test_what_was_stopped_is_settled_and_does_not_run(story: Story) -> None:
    story.run_starts("web")
    story.call(Stop("web"))
    assert told(story)["Settled"] == "stopping"
    story.run_ends("web", 0)
    assert told(story) == {"Running": "stopped"}


def test_a_failure_for_good_is_settled_and_one_that_is_tried_again_is_not(story: Story) -> None:
    def fail(permanent: bool) -> None:
        uid = story["web"].uid
        story.tell(EffectFailed("StartRun", "web", uid, "X", "why", run=1, permanent=permanent, retry_delay_ms=1))

    fail(permanent=False)
    assert told(story)["Settled"] == "retrying"
    fail(permanent=True)
    assert "Settled" not in told(story) and told(story)["Running"] == "failed"


def test_a_run_whose_start_was_given_up_is_settled(story: Story) -> None:
    uid, revision = story["web"].uid, story["web"].revision
    story.tell(EffectStarted("StartRun", "web", uid, run=1, revision=revision))
    story.tell(EffectFailed("StartRun", "web", uid, "ENTRYPOINT_MISSING", "no such file", run=1, permanent=True))
    run = story["web"].run
    assert run is not None and run.phase is RunPhase.STARTING and plan_workload(story.machine, story["web"]) is None
    assert told(story) == {"Running": "failed"}


def test_a_bridged_workload_says_whether_its_link_is_there(story: Story) -> None:
    story.apply(declared("bridged", "serve", network="bridge"))
    address = story["bridged"].address
    assert address
    (attached,) = [one for one in conditions_of(story["bridged"]) if one.type == "Attached"]
    assert not attached.met and address in attached.message


def test_a_link_that_is_there_is_attached(story: Story) -> None:
    story.apply(declared("bridged", "serve", network="bridge"))
    story.converge()
    (attached,) = [one for one in conditions_of(story["bridged"]) if one.type == "Attached"]
    assert attached.met and not attached.message
