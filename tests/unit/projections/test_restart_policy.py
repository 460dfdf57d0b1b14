"""Restarts: back-off, attempts, crash loops and what survives; each told as a story."""

from msgspec.structs import replace

from effects.goals import CleanRun, StartRun
from effects.planner import plan_workload
from journal.events import DaemonStarted, EffectFailed, WorkloadExited, WorkloadLost, WorkloadOomKilled, WorkloadStable
from journal.specs import RestartPolicy
from projections.observations import ObservedRun, observe_all, observe_run
from projections.state import Workload
from projections.status import Phase, status_of
from tests.support.story import SECOND, Story, declared, spec


def started(policy: RestartPolicy) -> Story:
    story = Story()
    story.apply(replace(declared("job"), spec=replace(spec(), restart=policy)))
    return story


def fails(story: Story, times: int = 1, code: int = 3, after_s: float = 1) -> None:
    """Start, fail, be cleaned up, wait for the back-off; so many times. The last back-off is not waited for."""
    for number in range(times):
        story.run_starts("job")
        story.pass_time(after_s)
        story.run_ends("job", code)
        story.cleaned("job")
        hold = story["job"].hold
        if hold is not None and number < times - 1:
            story.mono = hold.mono_ns


def pause_s(story: Story) -> float:
    hold = story["job"].hold
    return 0 if hold is None else (hold.mono_ns - story.mono) / SECOND


def detail(story: Story) -> tuple[Phase, str, str]:
    status = status_of(story["job"])
    return status.phase, status.detail, status.message


def test_the_back_off_doubles_up_to_its_cap() -> None:
    pauses = []
    story = started(RestartPolicy(backoff_first_ms=500, backoff_cap_ms=3_000))
    for _ in range(5):
        fails(story)
        pauses.append(pause_s(story))
        story.pass_time(pauses[-1])
    assert pauses == [0.5, 1, 2, 3, 3]


def test_trouble_with_cleaning_up_makes_no_back_off_shorter() -> None:
    story = started(RestartPolicy(backoff_first_ms=8_000))
    story.run_starts("job")
    story.run_ends("job", 3)
    uid = story["job"].uid
    story.tell(EffectFailed("CleanRun", "job", uid, "RUNTIME_UNAVAILABLE", "no answer", run=1, retry_delay_ms=500))
    clean = plan_workload(story.machine, story["job"])
    assert isinstance(clean, CleanRun) and clean.not_before is not None
    assert (clean.not_before.mono_ns - story.mono) / SECOND == 0.5
    story.cleaned("job")
    start = plan_workload(story.machine, story["job"])
    assert isinstance(start, StartRun) and start.not_before is not None
    assert (start.not_before.mono_ns - story.mono) / SECOND == 8


def test_a_stable_run_ends_the_row() -> None:
    story = started(RestartPolicy(stable_ms=60_000))
    fails(story, 4)
    assert story["job"].streak == 4
    fails(story, after_s=61)
    assert (story["job"].streak, pause_s(story)) == (1, 1)


def test_a_run_that_was_seen_to_be_stable_has_ended_the_row_also_over_a_reboot() -> None:
    story = started(RestartPolicy(max_attempts=4))
    fails(story, 4)
    story.run_starts("job")
    story.tell(WorkloadStable("job", story["job"].uid, 4))
    assert story["job"].streak == 4, "it was another run"
    story.tell(WorkloadStable("job", story["job"].uid, 5))
    assert story["job"].streak == 0 and detail(story) == (Phase.RUNNING, "running", "")
    story.reboot("boot-2")
    fails(story)
    run = story["job"].run
    assert run is not None and (run.again, run.gave_up, story["job"].streak) == (True, False, 1)


def test_it_is_given_up_after_so_many_restarts_and_stays_so_over_a_reboot() -> None:
    story = started(RestartPolicy("on-failure", max_attempts=2))
    fails(story, 3)
    told = [event for _, event in story.entries if isinstance(event, WorkloadExited)]
    assert [(event.restart, event.gave_up, event.streak) for event in told] == [
        (True, False, 1),
        (True, False, 2),
        (False, True, 3),
    ]
    assert detail(story) == (Phase.FAILED, "gave-up", "given up after 2 restarts in a row: exited with code 3")
    story.reboot("boot-2")
    assert detail(story)[:2] == (Phase.FAILED, "gave-up") and story.next_goal("job") is None


def test_an_operators_word_begins_the_count_anew() -> None:
    story = started(RestartPolicy("on-failure", max_attempts=1))
    fails(story, 2)
    story.apply(replace(declared("job"), spec=story["job"].spec))
    assert story.next_goal("job") == "StartRun"
    fails(story)
    assert story["job"].run is not None and story["job"].run.again


def test_on_failure_is_content_with_success() -> None:
    story = started(RestartPolicy("on-failure"))
    fails(story, 2)
    fails(story, code=0)
    assert detail(story) == (Phase.STOPPED, "completed", "exited with code 0") and story["job"].streak == 0


def test_a_loop_is_called_by_its_name_with_its_next_try() -> None:
    story = started(RestartPolicy())
    fails(story)
    assert detail(story) == (Phase.PENDING, "backoff", "exited with code 3")
    fails(story, 2)
    assert detail(story) == (Phase.PENDING, "crash-loop", "exited with code 3, the 3rd end in a row")
    assert story["job"].hold_until_wall > 0
    story.run_starts("job")
    assert detail(story) == (Phase.RUNNING, "running", "after 3 ends in a row: exited with code 3")


def test_a_loop_is_remembered_over_daemons_and_boots() -> None:
    story = started(RestartPolicy())
    fails(story, 4)
    story.tell(DaemonStarted("hosted", "crash", keeps_streaks=True))
    assert (story["job"].streak, pause_s(story)) == (4, 8)
    story.reboot("boot-2")
    assert (story["job"].streak, story["job"].hold) == (4, None)
    fails(story)
    assert (story["job"].streak, pause_s(story)) == (5, 16)


def test_entries_from_before_streaks_were_kept_mean_what_they_meant() -> None:
    story = started(RestartPolicy())
    story.tell(DaemonStarted("hosted", "first"))
    fails(story, 4)
    story.boot = "boot-2"
    story.tell(DaemonStarted("hosted", "power-lost"))
    assert story["job"].streak == 0
    story.run_starts("job")
    story.tell(WorkloadLost("job", story["job"].uid, 5, "vanished"))
    workload = story["job"]
    assert workload.run is not None and (workload.run.again, workload.hold, workload.streak) == (True, None, 0)


def test_a_run_that_vanished_counts_as_an_end() -> None:
    story = started(RestartPolicy("on-failure", max_attempts=1))
    for again in (True, False):
        story.run_starts("job")
        lived = frozenset({("job", story["job"].uid, story["job"].run.number)})  # type: ignore[union-attr]
        story.tell(*observe_all(story.machine, (), story.boot, story.mono, lived))
        assert story["job"].run is not None and story["job"].run.again is again
        story.cleaned("job")
    assert detail(story)[:2] == (Phase.FAILED, "gave-up")


def seen(workload: Workload, **fields: object) -> ObservedRun:
    assert workload.run is not None
    return ObservedRun(workload.name, workload.uid, workload.run.revision, workload.run.number, **fields)  # type: ignore[arg-type]


def test_a_death_for_want_of_memory_is_called_by_its_name() -> None:
    story = started(RestartPolicy("never"))
    story.run_starts("job")
    dead = seen(story["job"], status="stopped", exit_code=137, oom_kills=1, memory_limit_bytes=64 << 20)
    story.tell(*observe_run(story.machine, dead, story.boot, story.mono))
    assert detail(story) == (Phase.FAILED, "failed", "killed: out of memory (limit 64 MiB)")


def test_a_child_killed_for_want_of_memory_is_told_while_the_run_goes_on() -> None:
    story = started(RestartPolicy("never"))
    story.run_starts("job")
    suffering = seen(story["job"], status="running", oom_kills=2, memory_limit_bytes=64 << 20)
    events = observe_run(story.machine, suffering, story.boot, story.mono)
    story.tell(*events)
    assert [type(event).__name__ for event in events] == ["WorkloadOomKilled"]
    assert observe_run(story.machine, suffering, story.boot, story.mono) == ()
    assert detail(story)[2] == "2 of its processes were killed: out of memory (limit 64 MiB)"
    story.tell(*observe_run(story.machine, replace(suffering, status="stopped", exit_code=1), story.boot, story.mono))
    assert detail(story)[2] == ("exited with code 1; 2 of its processes were killed: out of memory (limit 64 MiB)")


def test_of_kills_without_end_each_is_told_up_to_the_sixteenth_then_twice_as_many_and_all_of_them_at_the_end() -> None:
    story = started(RestartPolicy("never"))
    story.run_starts("job")
    for kills in range(1, 1_001):
        suffering = seen(story["job"], status="running", oom_kills=kills)
        story.tell(*observe_run(story.machine, suffering, story.boot, story.mono))
    told = [event.kills for _, event in story.entries if isinstance(event, WorkloadOomKilled)]
    assert told == [*range(1, 17), 32, 64, 128, 256, 512]
    ended = seen(story["job"], status="stopped", exit_code=1, oom_kills=1_000)
    story.tell(*observe_run(story.machine, ended, story.boot, story.mono))
    assert story["job"].run is not None and story["job"].run.oom_kills == 1_000


def test_what_can_never_be_executed_is_not_tried_again() -> None:
    story = started(RestartPolicy("always"))
    story.run_starts("job")
    foreign = seen(story["job"], status="stopped", exit_code=1, unexecutable="the command `x` cannot be executed")
    story.tell(*observe_run(story.machine, foreign, story.boot, story.mono))
    story.cleaned("job")
    assert detail(story) == (Phase.FAILED, "failed", "the command `x` cannot be executed")
    assert story.next_goal("job") is None


def test_a_signal_that_ended_a_run_has_its_name() -> None:
    story = started(RestartPolicy("never"))
    fails(story, code=143)
    assert detail(story)[2] == "exited with code 143 (SIGTERM)"
