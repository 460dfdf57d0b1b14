"""Reports become observations once: whoever reports them, however often, and of whichever incarnation."""

import pytest

from journal.events import EffectStarted, WorkloadExited, WorkloadLost, WorkloadStarted
from projections.intents import Stop
from projections.observations import ObservedRun, RunStatus, live_runs, observe_all, observe_run, strangers
from tests.support.story import Story, declared


def seen(run: int = 1, uid: int = 1, name: str = "web", status: RunStatus = "running", **fields: object) -> ObservedRun:
    return ObservedRun(name, uid, 1, run, status, **fields)  # type: ignore[arg-type]


def ended(code: int = 3, **fields: object) -> ObservedRun:
    return seen(status="stopped", exit_code=code, **fields)  # type: ignore[arg-type]


@pytest.fixture
def story() -> Story:
    made = Story()
    made.apply(declared("web"))
    return made


def begun(story: Story) -> Story:
    story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1))
    return story


def observed(story: Story, one: ObservedRun) -> tuple[type, ...]:
    return tuple(type(event) for event in observe_run(story.machine, one, story.boot, story.mono))


def test_a_start_is_told_once(story: Story) -> None:
    begun(story)
    assert observed(story, seen(pid=9)) == (WorkloadStarted,)
    story.tell(*observe_run(story.machine, seen(pid=9), story.boot, story.mono))
    assert observed(story, seen(pid=9)) == ()


def test_an_end_is_told_once_also_of_a_run_that_nobody_saw_start(story: Story) -> None:
    begun(story)
    assert observed(story, ended()) == (WorkloadStarted, WorkloadExited)
    assert observed(story, ended(unexecutable="not-found")) == (WorkloadExited,), "that one never lived"
    story.tell(*observe_run(story.machine, ended(), story.boot, story.mono))
    assert observed(story, ended()) == observed(story, seen()) == ()


@pytest.mark.parametrize("other", [seen(uid=2), seen(run=2), seen(name="db"), ended(uid=2), ended(run=2)])
def test_a_report_of_another_incarnation_or_run_says_nothing(story: Story, other: ObservedRun) -> None:
    assert observed(begun(story), other) == ()


def test_a_container_without_process_and_without_end_says_nothing(story: Story) -> None:
    assert observed(begun(story), seen(status="created")) == ()


def test_the_policys_verdict_is_fixed_in_the_event(story: Story) -> None:
    story.run_starts("web")
    (event,) = observe_run(story.machine, ended(exited_at_ns=77), story.boot, story.mono)
    assert isinstance(event, WorkloadExited)
    assert (event.exit_code, event.exited_at, event.restart, event.restart_delay_ms, event.streak) == (
        3,
        77,
        True,
        1_000,
        1,
    )
    story.call(Stop("web"))
    (event,) = observe_run(story.machine, ended(), story.boot, story.mono)
    assert isinstance(event, WorkloadExited)
    assert not event.restart and event.restart_delay_ms == 0, "what shall stop is not restarted"


def test_a_look_at_everything_tells_differences_only(story: Story) -> None:
    story.run_starts("web")
    lived = live_runs(story.machine)
    assert lived == {("web", 1, 1)}
    look = (seen(pid=100), seen(name="stray", uid=9))
    assert observe_all(story.machine, look, story.boot, story.mono, lived) == ()
    assert observe_all(story.machine, look, story.boot, story.mono, lived) == ()


def test_what_is_not_seen_any_more_is_lost_if_it_lived_before_the_look_began(story: Story) -> None:
    before = live_runs(begun(story).machine)
    story.tell(*observe_run(story.machine, seen(), story.boot, story.mono))
    assert observe_all(story.machine, (), story.boot, story.mono, before) == (), "it came to life meanwhile"
    (event,) = observe_all(story.machine, (), story.boot, story.mono, live_runs(story.machine))
    assert isinstance(event, WorkloadLost) and event.reason == "vanished"


def test_a_container_whose_shim_died_without_a_word_is_lost(story: Story) -> None:
    story.run_starts("web")
    (event,) = observe_all(story.machine, (seen(status="created"),), story.boot, story.mono, live_runs(story.machine))
    assert isinstance(event, WorkloadLost)


def test_what_belongs_to_nobody_is_a_stranger(story: Story) -> None:
    story.run_starts("web")
    story.run_ends("web", 1)
    story.run_starts("web")
    earlier, present, later = seen(run=1), seen(run=2), seen(run=3)
    other_life, nobodys = seen(uid=5), seen(name="gone", uid=7)
    look = (earlier, present, later, other_life, nobodys)
    assert strangers(story.machine, look) == (earlier, later, other_life, nobodys)


def test_a_run_that_the_journal_has_lost_the_start_of_is_a_stranger(story: Story) -> None:
    assert strangers(story.machine, (seen(run=1),)) == (seen(run=1),), "no run of it was begun yet"
    assert strangers(begun(story).machine, (seen(run=1), seen(run=2))) == (seen(run=2),)


KILLED = 137


@pytest.mark.parametrize(
    ("report", "foreign"),
    [
        (ended(KILLED), True),
        (ended(143), False),
        (ended(0), False),
        (ended(KILLED, oom_kills=1, memory_limit_bytes=1 << 20), False),
    ],
)
def test_an_end_by_sigkill_that_nobody_here_wanted_is_another_hands(
    story: Story, report: ObservedRun, foreign: bool
) -> None:
    story.run_starts("web")
    (event,) = observe_run(story.machine, report, story.boot, story.mono)
    assert isinstance(event, WorkloadExited) and event.foreign == foreign and event.unasked


def test_an_end_by_sigkill_that_this_machine_is_at_is_its_own(story: Story) -> None:
    story.run_starts("web")
    (event,) = observe_run(story.machine, ended(KILLED), story.boot, story.mono, ended_here=True)
    assert isinstance(event, WorkloadExited) and not event.foreign and not event.unasked
    story.tell(EffectStarted("StopRun", "web", 1, run=1))
    (event,) = observe_run(story.machine, ended(KILLED), story.boot, story.mono)
    assert isinstance(event, WorkloadExited) and not event.foreign and not event.unasked


def test_a_run_that_vanished_is_another_hands_unless_it_was_to_end(story: Story) -> None:
    story.run_starts("web")
    lived = live_runs(story.machine)
    (event,) = observe_all(story.machine, (), story.boot, story.mono, lived)
    assert isinstance(event, WorkloadLost) and event.foreign
    story.call(Stop("web"))
    (event,) = observe_all(story.machine, (), story.boot, story.mono, lived)
    assert isinstance(event, WorkloadLost) and not event.foreign


def test_of_another_drivers_runs_a_look_says_nothing(story: Story) -> None:
    begun(story)
    story.tell(*observe_all(story.machine, (seen(),), story.boot, story.mono, frozenset()))
    lived = live_runs(story.machine)
    assert observe_all(story.machine, (), story.boot, story.mono, lived, "microvm") == ()
    assert len(observe_all(story.machine, (), story.boot, story.mono, lived)) == 1
