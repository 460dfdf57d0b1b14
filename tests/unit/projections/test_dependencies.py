"""`dependsOn`: what admission takes, and what holds a start or a stop, by the planner's goals."""

import pytest
from msgspec.structs import replace

from effects.planner import plan_workload
from journal.events import AppliedWorkload, WorkloadApplied
from journal.specs import HealthCheck
from projections.admission import Admitted
from projections.conditions import conditions_of
from projections.dependencies import MOST, NAMED, waits, waits_bytes
from projections.details import Detail
from projections.intents import Delete, Restart, Stop
from projections.refusals import Refusal
from projections.status import Phase, status_of
from tests.support.story import Story, declared


@pytest.fixture
def story() -> Story:
    """web uses api, which uses db."""
    made = Story()
    made.reboot("boot-1")
    made.apply(
        declared("web", depends_on=("api",)), declared("api", depends_on=("db",)), declared("db", restart="on-failure")
    )
    return made


def goals(story: Story) -> dict[str, str | None]:
    return {name: goal for name in story.machine.workloads if (goal := story.next_goal(name)) is not None}


def test_a_directory_is_applied_in_any_order_and_starts_in_the_right_one(story: Story) -> None:
    for name in ("db", "api", "web"):
        assert goals(story) == {name: "StartRun"}
        story.run_starts(name)
    assert goals(story) == {}


def test_what_waits_says_for_whom(story: Story) -> None:
    text = waits(story.machine, story["web"])
    assert text == "it waits for api, which does not run yet"
    status = status_of(story["web"], text)
    assert (status.phase, status.detail, status.message) == (Phase.PENDING, Detail.WAITING, text)
    unmet = {one.type: one.message for one in conditions_of(story["web"], text) if not one.met}
    assert unmet["Unblocked"] == text and unmet["Settled"] == text


def test_of_many_it_waits_for_some_are_named() -> None:
    story = Story()
    names = tuple(f"{number:02}{'x' * 61}" for number in range(MOST))
    story.apply(*(declared(name) for name in names), declared("web", depends_on=names))
    first = " and for ".join(f"{name}, which does not run yet" for name in names[:NAMED])
    assert waits(story.machine, story["web"]) == f"it waits for {first} and for {MOST - NAMED} more"
    assert len(waits(story.machine, story["web"])) < waits_bytes(names)


def test_after_a_loss_of_power_they_come_up_in_their_order_again(story: Story) -> None:
    story.converge()
    story.reboot("boot-2")
    for name in ("web", "api", "db"):
        while story.next_goal(name) == "CleanRun":
            story.cleaned(name)
    assert goals(story) == {"db": "StartRun"}


def test_a_good_end_is_as_good_as_running_and_a_bad_one_is_not(story: Story) -> None:
    story.run_starts("db")
    story.run_ends("db", 0)
    story.cleaned("db")
    assert goals(story) == {"api": "StartRun"}
    story.run_starts("api")
    assert status_of(story["db"], waits(story.machine, story["db"])).detail is Detail.COMPLETED


def test_a_job_is_waited_for_to_its_end_and_one_with_a_check_until_it_is_healthy() -> None:
    story = Story()
    story.apply(declared("app", depends_on=("migrate",)), declared("migrate", restart="never"))
    story.run_starts("migrate")
    assert waits(story.machine, story["app"]) == "it waits for migrate, which has not done its work yet"
    assert "app" not in goals(story)
    story.run_ends("migrate", 0)
    story.cleaned("migrate")
    assert goals(story) == {"app": "StartRun"}
    story = Story()
    once = declared("once", restart="never")
    checked = replace(once, spec=replace(once.spec, health=HealthCheck("exec", ("true",))))
    story.apply(declared("app", depends_on=("once",)), checked)
    story.run_starts("once")
    assert waits(story.machine, story["app"]) == "it waits for once, which is not known to be healthy yet"


def test_a_failed_one_holds_its_users(story: Story) -> None:
    story.run_starts("db")
    story.run_ends("db", 1)
    story.cleaned("db")
    assert "api" not in goals(story)
    assert waits(story.machine, story["api"]) == "it waits for db, which does not run"


def test_what_runs_goes_on_without_what_it_depends_on_and_is_not_started_again(story: Story) -> None:
    story.converge()
    story.call(Stop("db"))
    assert goals(story) == {"db": "StopRun"}
    story.converge()
    assert story.next_goal("api") is None and status_of(story["api"]).phase is Phase.RUNNING
    story.call(Restart("api"))
    story.converge()
    assert waits(story.machine, story["api"]) == "it waits for db, which is stopped"


@pytest.mark.parametrize("verb", [Stop, Delete])
def test_of_several_that_are_to_end_the_users_end_first(story: Story, verb: type[Stop] | type[Delete]) -> None:
    story.converge()
    for name in ("db", "api", "web"):
        story.call(verb(name))
    for name in ("web", "api", "db"):
        assert {one for one, goal in goals(story).items() if goal == "StopRun"} == {name}
        goal = plan_workload(story.machine, story[name])
        assert goal is not None
        story.begin(goal)
        story.run_ends(name, 143)
        story.cleaned(name)
    story.converge()
    assert all(status_of(one).phase is Phase.STOPPED for one in story.machine.workloads.values())


def test_a_circle_is_refused_with_its_path(story: Story) -> None:
    refusal = story.apply(declared("db", depends_on=("web",)))
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.reason, refusal.fields) == ("INVALID_ARGUMENT", "DEPENDENCY_CYCLE", ("dependsOn",))
    assert "db -> web -> api -> db" in refusal.message


def test_nobody_depends_on_itself() -> None:
    refusal = Story().apply(declared("web", depends_on=("web",)))
    assert isinstance(refusal, Refusal) and "web depends on itself, and would never start" in refusal.message


def test_a_circle_within_one_call_is_refused_whole() -> None:
    story = Story()
    refusal = story.apply(
        declared("a", depends_on=("b",)), declared("b", depends_on=("c",)), declared("c", depends_on=("a",))
    )
    assert isinstance(refusal, Refusal) and "a -> b -> c -> a" in refusal.message
    assert story.machine.workloads == {}


def test_who_is_not_there_cannot_be_depended_on_but_who_left_can() -> None:
    story = Story()
    refusal = story.apply(declared("web", depends_on=("db",)))
    assert isinstance(refusal, Refusal) and refusal.reason == "NO_SUCH_DEPENDENCY" and "db" in refusal.message
    story.apply(declared("web", depends_on=("db",)), declared("db"))
    story.converge()
    story.call(Delete("db"))
    story.converge()
    assert isinstance(story.apply(declared("web", "changed", depends_on=("db",))), Admitted)
    story.converge()
    assert waits(story.machine, story["web"]) == "it waits for db, which does not exist"
    story.apply(declared("db"))
    story.converge()
    assert status_of(story["web"]).phase is Phase.RUNNING


def test_too_many_are_refused() -> None:
    refusal = Story().apply(declared("web", depends_on=tuple(f"n{number}" for number in range(65))))
    assert isinstance(refusal, Refusal) and refusal.reason == "TOO_MANY_DEPENDENCIES"


def test_another_order_ends_no_run_and_is_an_event(story: Story) -> None:
    story.converge()
    verdict = story.apply(declared("web", depends_on=("db",)))
    assert isinstance(verdict, Admitted)
    (event,) = verdict.events
    assert isinstance(event, WorkloadApplied)
    (item,) = event.items
    assert isinstance(item, AppliedWorkload) and item.reordered and not item.changed and not item.relabelled
    assert goals(story) == {} and story["web"].depends_on == ("db",)
    again = story.apply(declared("web", depends_on=("db",)))
    assert isinstance(again, Admitted) and again.events == ()
