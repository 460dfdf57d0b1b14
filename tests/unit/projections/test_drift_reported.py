"""What another hand changed and is only reported is left until an operator says more (drift: report)."""

import pytest

from effects.goals import AttachNetwork, EnsureNetwork, StartRun
from effects.planner import plan
from journal.events import (
    NetworkDrifted,
    VolumeDrifted,
)
from projections.drift import Label, drift
from projections.intents import Apply, DeclaredVolume, Restart, Start, Stop
from tests.support.story import declared
from tests.unit.projections.drift_story import PORT, bridged, only, settled, stored


def test_what_is_only_reported_is_not_restarted_until_it_is_started() -> None:
    story = settled(declared("web", drift="report"))
    story.run_ends("web", 137)
    story.converge()
    assert plan(story.machine) == ()
    assert only(story).then == "nothing follows (drift: report): `capsulectl start web` begins another run"
    story.call(Start("web"))
    assert any(isinstance(goal, StartRun) for goal in plan(story.machine))
    story.converge()
    assert drift(story.machine) == ()


def test_a_reported_end_counts_as_none_of_the_programs_own() -> None:
    story = settled(declared("web", drift="report"))
    story.run_ends("web", 3)
    story.converge()
    story.run_ends("web", 137)
    assert story["web"].streak == 1


@pytest.mark.parametrize("word", [Start("web"), Restart("web"), "apply"])
def test_a_link_and_rules_that_are_only_reported_are_made_again_on_an_operators_word(word: object) -> None:
    story = bridged(drift="report")
    story.tell(NetworkDrifted("its link to the bridge is gone", "web", 1), NetworkDrifted("rules"))
    assert plan(story.machine) == ()
    assert [one.repair for one in drift(story.machine)] == [False, False]
    if word == "apply":
        story.apply(declared("web", network="bridge", ports=PORT, drift="report"))
    else:
        story.call(word)  # type: ignore[arg-type]
    story.converge()
    assert drift(story.machine) == ()


def test_a_start_that_says_nothing_new_is_still_no_entry() -> None:
    story = bridged(drift="report")
    before = story.machine.seq
    story.call(Start("web"))
    story.apply(declared("web", network="bridge", ports=PORT, drift="report"))
    assert story.machine.seq == before


def test_a_run_that_begins_anyway_begins_whole() -> None:
    story = bridged(drift="report")
    story.tell(NetworkDrifted("its link to the bridge is gone", "web", 1), NetworkDrifted("rules"))
    story.run_ends("web", 3)
    story.converge()
    assert drift(story.machine) == ()


def test_rules_are_everybodys_one_that_repairs_is_enough() -> None:
    story = settled(declared("db", network="bridge"), declared("web", network="bridge", ports=PORT, drift="report"))
    story.tell(NetworkDrifted("rules"))
    assert [type(goal) for goal in plan(story.machine)] == [EnsureNetwork] and only(story).repair
    assert plan(story.machine)[0].name == "db"


def test_another_change_of_what_is_wanted_mends_the_rules_for_all() -> None:
    story = settled(declared("db", network="bridge", drift="report"), declared("web", network="bridge", drift="report"))
    story.tell(NetworkDrifted("rules"))
    assert plan(story.machine) == ()
    story.call(Stop("db"))
    story.apply(declared("web", network="bridge", ports=PORT, drift="report"))
    story.converge()
    assert {one.label for one in drift(story.machine)} == {Label.INTENDED}


def test_another_policy_ends_no_run_and_mends_what_was_left() -> None:
    story = bridged(drift="report")
    story.tell(NetworkDrifted("its link to the bridge is gone", "web", 1))
    story.apply(declared("web", network="bridge", ports=PORT))
    assert [type(goal) for goal in plan(story.machine)] == [AttachNetwork]
    story.converge()
    run = story["web"].run
    assert run is not None and run.number == 1 and drift(story.machine) == ()


@pytest.mark.parametrize("word", ["start", "volume"])
def test_a_mount_that_is_only_reported_is_made_again_on_an_operators_word(word: str) -> None:
    story = stored(drift="report")
    story.tell(VolumeDrifted("data", 1, "unmounted"))
    assert plan(story.machine) == () and not only(story).repair
    if word == "start":
        story.call(Start("web"))
    else:
        story.call(Apply((), volumes=(DeclaredVolume("data", 64 << 20, "report"),)))
    assert len(plan(story.machine)) == 1
    story.converge()
    assert drift(story.machine) == ()
    run = story["web"].run
    assert run is not None and run.number == 1


def test_a_volumes_policy_changes_alone() -> None:
    story = stored()
    story.call(Apply((), volumes=(DeclaredVolume("data", 64 << 20, "report"),)))
    assert (story.machine.volumes["data"].drift, plan(story.machine)) == ("report", ())
