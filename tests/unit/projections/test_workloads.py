"""Given this state of a workload, when this entry, then that state: one event at a time."""

from collections.abc import Callable

import pytest

from journal.events import (
    EffectDone,
    EffectFailed,
    EffectStarted,
    Event,
    WorkloadApplied,
    WorkloadDeleteRequested,
    WorkloadExited,
    WorkloadLost,
    WorkloadRemoved,
    WorkloadRestartRequested,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)
from projections.phases import RunPhase
from projections.state import Deadline, Run, Trouble
from projections.workloads import REVISIONS_KEPT
from tests.support.story import SECOND, Story
from tests.unit.projections.moments import created, ended, item, run_of, running

TROUBLE = EffectFailed("StartRun", "web", 1, "NO_SPACE", "disk full", retry_delay_ms=500)


# --- declarations ------------------------------------------------------------------------------------------------


def test_an_apply_creates_an_incarnation_named_by_its_entry() -> None:
    story = created()
    web = story["web"]
    assert (web.uid, web.revision, web.desired_seq, web.desired) == (1, 1, 1, "running")
    assert web.created_at == story.machine.at and web.run is None
    assert [one.seq for one in web.revisions] == [1]
    assert story.machine.desired_seq == 1


def test_an_apply_that_changes_is_a_revision_and_one_that_does_not_is_none() -> None:
    story = created()
    story.tell(WorkloadApplied((item("two", changed=True),)))
    assert (story["web"].uid, story["web"].revision, story["web"].desired_seq) == (1, 2, 2)
    story.tell(WorkloadApplied((item("two"),)))
    assert (story["web"].revision, story["web"].desired_seq) == (2, 3)


def test_so_many_revisions_are_kept_for_the_images_they_hold() -> None:
    story = created()
    for number in range(10):
        story.tell(WorkloadApplied((item(str(number), changed=True),)))
    assert [one.seq for one in story["web"].revisions] == [7, 8, 9, 10, 11] and REVISIONS_KEPT == 5


def test_a_batch_is_one_moment() -> None:
    story = Story()
    story.tell(WorkloadApplied((item(name="a", created=True), item(name="b", created=True, desired="stopped"))))
    assert {one.uid for one in story.machine.workloads.values()} == {1}
    assert story["b"].desired == "stopped"


def test_an_operators_word_ends_trouble_and_back_off() -> None:
    words: list[Event] = [
        WorkloadApplied((item(),)),
        WorkloadStopRequested("web", 1),
        WorkloadStartRequested("web", 1),
        WorkloadRestartRequested("web", 1),
        WorkloadDeleteRequested("web", 1),
    ]
    for word in words:
        story = ended(restart=True, restart_delay_ms=4_000, streak=3)
        story.tell(TROUBLE, word)
        web = story["web"]
        assert (web.trouble, web.hold, web.hold_until_wall, web.streak) == (None, None, 0, 0), word


@pytest.mark.parametrize(
    ("word", "desired", "superseded"),
    [
        (WorkloadStopRequested("web", 1), "stopped", 1),
        (WorkloadStartRequested("web", 1), "running", 0),
        (WorkloadRestartRequested("web", 1), "running", 1),
        (WorkloadDeleteRequested("web", 1), "deleting", 1),
        (WorkloadApplied((item("two", changed=True),)), "running", 1),
        (WorkloadApplied((item(),)), "running", 0),
        (WorkloadApplied((item(desired="stopped"),)), "stopped", 1),
    ],
)
def test_a_word_says_what_is_wanted_and_whether_the_present_run_still_is(
    word: Event, desired: str, superseded: int
) -> None:
    story = running()
    story.tell(word)
    assert (story["web"].desired, story["web"].superseded) == (desired, superseded)
    assert run_of(story).phase is RunPhase.RUNNING, "a word touches no process"


def test_a_run_that_ended_is_never_the_wanted_one_again() -> None:
    for word in (WorkloadStartRequested("web", 1), WorkloadApplied((item(),))):
        story = ended()
        story.tell(word)
        assert story["web"].superseded == 1


def test_a_restart_counts_and_leaves_the_desired_state() -> None:
    story = running()
    desired_seq = story.machine.desired_seq
    story.tell(WorkloadRestartRequested("web", 1))
    assert story["web"].restarts == 1 and story["web"].desired_seq == story.machine.desired_seq == desired_seq


# --- effects and observations ------------------------------------------------------------------------------------


def test_a_start_allots_the_run_before_anything_exists() -> None:
    story = created()
    story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1))
    assert run_of(story) == Run(1, 1, RunPhase.STARTING, boot="boot-1")
    story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1, attempt=2))
    assert run_of(story).phase is RunPhase.STARTING, "a second try is the same run"


def test_a_started_run_has_a_process_a_moment_and_no_trouble() -> None:
    story = created()
    story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1), TROUBLE)
    assert story["web"].hold == Deadline("boot-1", story.mono + 500_000_000)
    story.tell(WorkloadStarted("web", 1, 1, 1, pid=9))
    run = run_of(story)
    assert (run.phase, run.pid, run.started_at, run.started_mono) == (RunPhase.RUNNING, 9, story.machine.at, story.mono)
    assert story["web"].trouble is None and story["web"].hold is None


def test_a_stop_marks_the_run_so_that_its_exit_is_no_crash() -> None:
    story = running()
    story.tell(EffectStarted("StopRun", "web", 1, run=1))
    assert run_of(story).phase is RunPhase.STOPPING
    story.tell(EffectStarted("StopRun", "web", 1, run=7))
    assert run_of(story).number == 1


def test_an_exit_keeps_code_moment_and_verdict() -> None:
    story = running()
    story.tell(WorkloadExited("web", 1, 1, 3, exited_at=77, restart=True, restart_delay_ms=2_000, streak=2))
    run, web = run_of(story), story["web"]
    assert (run.phase, run.exit_code, run.finished_at, run.pid, run.again) == (RunPhase.EXITED, 3, 77, 0, True)
    assert (web.streak, web.restarts, web.hold) == (2, 1, Deadline("boot-1", story.mono + 2 * SECOND))
    assert web.hold_until_wall == story.machine.at + 2 * SECOND


def test_an_exit_without_restart_holds_nothing_up() -> None:
    story = ended(0)
    assert (story["web"].hold, story["web"].restarts, run_of(story).again) == (None, 0, False)
    assert run_of(story).finished_at == story.machine.at


@pytest.mark.parametrize("effect", ["StopRun", "CleanRun"])
def test_a_run_that_was_cleaned_leaves_nothing_to_clean(effect: str) -> None:
    story = ended()
    story.tell(EffectDone(effect, "web", 1, run=9))
    assert not run_of(story).cleaned
    story.tell(EffectDone(effect, "web", 1, run=1))
    assert run_of(story).cleaned


def test_a_failure_is_kept_with_its_reason_until_what_failed_is_done() -> None:
    story = ended()
    story.tell(EffectFailed("CleanRun", "web", 1, "RUNTIME_UNAVAILABLE", "no answer", attempt=3, retry_delay_ms=2_000))
    expected = Trouble("CleanRun", "RUNTIME_UNAVAILABLE", "no answer", story.machine.at, 3, 2_000, seq=5)
    assert story["web"].trouble == expected
    story.tell(EffectDone("EnsureNetwork", "web", 1))
    assert story["web"].trouble == expected
    story.tell(EffectDone("CleanRun", "web", 1, run=1))
    assert story["web"].trouble is None


@pytest.mark.parametrize("effect", ["StartRun", "StopRun"])
@pytest.mark.parametrize("end", [WorkloadExited("web", 1, 1, 0), WorkloadLost("web", 1, 1, "vanished")])
def test_trouble_with_a_run_ends_with_the_run(effect: str, end: Event) -> None:
    story = running()
    story.tell(EffectFailed(effect, "web", 1, "NO_SPACE", "disk full", retry_delay_ms=500), end)
    assert story["web"].trouble is None and story["web"].hold is None


def test_a_lost_run_says_why_and_is_followed_as_its_policy_wants() -> None:
    story = running()
    story.tell(WorkloadLost("web", 1, 1, "vanished"))
    run = run_of(story)
    assert (run.phase, run.reason, run.exit_code, run.pid, run.again) == (RunPhase.LOST, "vanished", None, 0, True)


def test_a_removed_workload_is_gone_with_everything_but_its_history() -> None:
    story = running()
    story.tell(WorkloadRemoved("web", 1))
    assert story.machine.workloads == {} and story.machine.desired_seq == story.machine.seq


STRAY: list[Event] = [
    WorkloadStarted("web", 1, 2, 1, pid=5),
    WorkloadExited("web", 1, 2, 1),
    WorkloadLost("web", 1, 2, "vanished"),
    WorkloadStarted("web", 7, 1, 1, pid=5),
    WorkloadExited("web", 7, 1, 1),
    WorkloadLost("web", 7, 1, "vanished"),
    WorkloadRemoved("web", 7),
    WorkloadStopRequested("web", 7),
    WorkloadStartRequested("web", 7),
    WorkloadRestartRequested("web", 7),
    WorkloadDeleteRequested("web", 7),
    EffectStarted("StopRun", "web", 7, run=1),
    EffectDone("StopRun", "web", 7, run=1),
    EffectFailed("StopRun", "web", 7, "NO_SPACE", "disk full"),
    WorkloadStarted("nobody", 1, 1, 1, pid=5),
    WorkloadExited("nobody", 1, 1, 1),
    WorkloadStopRequested("nobody", 1),
]


@pytest.mark.parametrize("stray", STRAY)
@pytest.mark.parametrize("state", [created, running, ended])
def test_what_is_said_of_another_incarnation_or_run_changes_nothing(stray: Event, state: Callable[[], Story]) -> None:
    story = state()
    before, desired_seq = dict(story.machine.workloads), story.machine.desired_seq
    story.tell(stray)
    assert story.machine.workloads == before and story.machine.desired_seq == desired_seq


@pytest.mark.parametrize(
    "late",
    [WorkloadStarted("web", 1, 1, 1, pid=5), WorkloadExited("web", 1, 1, 0), WorkloadLost("web", 1, 1, "vanished")],
)
def test_an_end_that_is_known_is_not_told_again(late: Event) -> None:
    story = ended(3)
    before = story["web"]
    story.tell(late, EffectStarted("StopRun", "web", 1, run=1))
    assert story["web"] == before
