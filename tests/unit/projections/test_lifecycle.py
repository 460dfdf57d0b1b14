"""Given these events, then this status and this plan: the life of a workload."""

from effects.goals import CleanRun, RemoveWorkload, StartRun, StopRun
from effects.planner import plan
from journal.events import EffectFailed, EffectStarted, WorkloadExited, WorkloadLost, WorkloadRemoved, WorkloadStarted
from projections.fold import fold, replay
from projections.intents import Delete, Restart, Start, Stop
from projections.observations import ObservedRun, live_runs, observe_all, observe_run
from projections.phases import RunPhase
from projections.state import Machine
from projections.status import Phase, status_of
from projections.views import state_hash
from tests.support.story import Story, declared


def running() -> Story:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    return story


def test_a_new_workload_is_started_and_then_nothing_is_due() -> None:
    story = Story()
    story.apply(declared("web"))
    (goal,) = plan(story.machine)
    assert isinstance(goal, StartRun) and (goal.run, goal.revision) == (1, 1)
    story.run_starts("web")
    assert plan(story.machine) == ()
    assert status_of(story["web"]).phase is Phase.RUNNING


def test_a_start_that_was_cut_short_is_made_again_under_its_own_number() -> None:
    story = Story()
    story.apply(declared("web"))
    story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1))
    (goal,) = plan(story.machine)
    assert isinstance(goal, StartRun) and goal.run == 1


def test_a_change_stops_the_old_run_before_the_new_one() -> None:
    story = running()
    story.apply(declared("web", "other"))
    assert status_of(story["web"]).phase is not Phase.RUNNING
    assert [type(goal) for goal in plan(story.machine)] == [StopRun]
    story.run_ends("web", 143)
    assert [type(goal) for goal in plan(story.machine)] == [CleanRun]
    story.cleaned("web")
    (goal,) = plan(story.machine)
    assert isinstance(goal, StartRun) and (goal.run, goal.revision) == (2, story["web"].revision)
    assert story["web"].restarts == 0


def test_a_crash_is_restarted_with_growing_back_off() -> None:
    story = running()
    delays = []
    for _ in range(12):
        story.run_ends("web", 1)
        story.cleaned("web")
        (goal,) = plan(story.machine)
        assert isinstance(goal, StartRun) and goal.not_before is not None
        delays.append((goal.not_before.mono_ns - story.mono) // 1_000_000)
        story.run_starts("web")
    assert delays == [1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000, 256000, 300000, 300000, 300000]
    assert story["web"].restarts == 12


def test_a_stable_run_resets_the_back_off() -> None:
    story = running()
    story.run_ends("web", 1)
    story.run_starts("web")
    story.pass_time(601)
    story.run_ends("web", 1)
    assert story["web"].streak == 1


def test_an_exit_is_counted_once_however_often_it_is_seen() -> None:
    story = running()
    seen = ObservedRun("web", 1, 1, 1, "stopped", exit_code=7)
    story.tell(*observe_run(story.machine, seen, story.boot, story.mono))
    assert observe_run(story.machine, seen, story.boot, story.mono) == ()
    assert story["web"].restarts == 1


def test_an_observation_of_another_incarnation_is_ignored() -> None:
    story = running()
    before = state_hash(story.machine)
    assert observe_run(story.machine, ObservedRun("web", 99, 1, 1, "stopped", exit_code=1), story.boot, 0) == ()
    story.tell(WorkloadExited("web", 99, 1, 1), WorkloadStarted("web", 1, 44, 1, 5), WorkloadRemoved("web", 98))
    story.machine.seq, story.machine.at = story.entries[-4][0].seq, story.entries[-4][0].at
    assert state_hash(story.machine) == before


def test_policies_decide_on_an_exit() -> None:
    outcomes = {}
    for mode in ("always", "on-failure", "never"):
        for code in (0, 3):
            story = Story()
            story.apply(declared("job", restart=mode))
            story.run_starts("job")
            story.run_ends("job", code)
            outcomes[mode, code] = status_of(story["job"]).detail
    assert outcomes == {
        ("always", 0): "backoff",
        ("always", 3): "backoff",
        ("on-failure", 0): "completed",
        ("on-failure", 3): "backoff",
        ("never", 0): "completed",
        ("never", 3): "failed",
    }


def test_stop_start_and_restart_make_new_runs() -> None:
    story = running()
    story.call(Stop("web"))
    assert [type(goal) for goal in plan(story.machine)] == [StopRun]
    story.run_ends("web", 0)
    story.cleaned("web")
    assert plan(story.machine) == () and status_of(story["web"]).phase is Phase.STOPPED
    story.call(Start("web"))
    assert story.run_starts("web") == 2
    story.call(Restart("web"))
    story.run_ends("web", 137)
    story.cleaned("web")
    (goal,) = plan(story.machine)
    assert isinstance(goal, StartRun) and goal.run == 3 and goal.not_before is None
    assert story["web"].restarts == 1


def test_a_delete_stops_removes_and_forgets() -> None:
    story = running()
    story.call(Delete("web"))
    assert [type(goal) for goal in plan(story.machine)] == [StopRun]
    story.run_ends("web", 0)
    assert [type(goal) for goal in plan(story.machine)] == [RemoveWorkload]
    story.tell(WorkloadRemoved("web", 1))
    assert not story.machine.workloads and plan(story.machine) == ()


def test_a_new_boot_loses_every_run_and_starts_again_at_once() -> None:
    story = running()
    story.run_ends("web", 1)
    story.run_starts("web")
    story.reboot("boot-1")
    assert story["web"].run is not None and story["web"].run.phase is RunPhase.RUNNING
    story.reboot("boot-2")
    run = story["web"].run
    assert run is not None and (run.phase, run.reason) == (RunPhase.LOST, "power-lost")
    story.cleaned("web")
    (goal,) = plan(story.machine)
    assert isinstance(goal, StartRun) and goal.not_before is None


def test_what_vanished_is_lost_and_what_never_lived_is_not() -> None:
    story = running()
    story.apply(declared("late"))
    story.tell(EffectStarted("StartRun", "late", story["late"].uid, run=1, revision=story["late"].revision))
    (event,) = observe_all(story.machine, (), story.boot, story.mono, live_runs(story.machine))
    assert isinstance(event, WorkloadLost) and (event.name, event.reason) == ("web", "vanished")


def test_a_failure_holds_the_next_try_back_and_a_permanent_one_waits_for_a_word() -> None:
    story = Story()
    story.apply(declared("web"))
    story.tell(EffectFailed("StartRun", "web", 1, "NO_SPACE", "disk full", run=1, attempt=1, retry_delay_ms=500))
    (goal,) = plan(story.machine)
    assert goal.attempt == 2 and goal.not_before is not None
    assert status_of(story["web"]).detail == "retrying"
    story.tell(EffectFailed("StartRun", "web", 1, "NO_ENTRYPOINT", "no such\tfile\n", run=1, permanent=True))
    assert plan(story.machine) == ()
    assert status_of(story["web"]).message == "no such file"
    story.apply(declared("web"))
    assert [type(goal) for goal in plan(story.machine)] == [StartRun]


def test_replay_of_a_prefix_and_the_tail_is_replay_of_all() -> None:
    story = running()
    story.apply(declared("web", "two"), declared("db"))
    story.run_ends("web", 143)
    story.call(Delete("db"))
    story.reboot("boot-2")
    whole = state_hash(replay(iter(story.entries), story.beginning.fork()))
    assert whole == state_hash(story.machine)
    for cut in range(len(story.entries) + 1):
        machine = replay(iter(story.entries[:cut]), story.beginning.fork()).fork()
        for header, event in story.entries[cut:]:
            fold(machine, header, event)
        assert state_hash(machine) == whole


def test_an_unknown_entry_folds_to_nothing_but_its_place() -> None:
    story = running()
    header = story.entries[-1][0]
    machine = Machine()
    fold(machine, header, None)
    assert machine.seq == header.seq and not machine.workloads
