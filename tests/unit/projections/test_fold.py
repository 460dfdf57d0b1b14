"""Given this state, when this entry, then that state: one event at a time."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from journal.events import (
    AppliedWorkload,
    CallAccepted,
    CallRead,
    CallRefused,
    DaemonStarted,
    DaemonStopped,
    EffectDone,
    EffectFailed,
    EffectStarted,
    EmergencyRecovered,
    Event,
    ImagePushed,
    JournalCheckpointed,
    JournalExcised,
    PushedImage,
    StreamClosed,
    StreamOpened,
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
from projections.calls import KEEP_NS, TIDY_CALLS
from projections.phases import RunPhase
from projections.state import Deadline, Machine, Run, Trouble, Workload
from projections.workloads import REVISIONS_KEPT
from tests.support.story import OTHER_PIN, PIN, SECOND, Story, spec

TROUBLE = EffectFailed("StartRun", "web", 1, "NO_SPACE", "disk full", retry_delay_ms=500)


def item(*args: str, name: str = "web", **fields: object) -> AppliedWorkload:
    return AppliedWorkload(name, "container", spec(*args), **fields)  # type: ignore[arg-type]


def created() -> Story:
    story = Story()
    story.tell(WorkloadApplied((item(created=True),)))
    return story


def running() -> Story:
    story = created()
    story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1), WorkloadStarted("web", 1, 1, 1, pid=9))
    return story


def ended(code: int = 1, **verdict: object) -> Story:
    story = running()
    story.tell(WorkloadExited("web", 1, 1, code, **verdict))  # type: ignore[arg-type]
    return story


def run_of(story: Story) -> Run:
    run = story["web"].run
    assert run is not None
    return run


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
    assert (story["web"].trouble, story["web"].hold) == (None, None)


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
    expected = Trouble("CleanRun", "RUNTIME_UNAVAILABLE", "no answer", story.machine.at, 3, retry_delay_ms=2_000)
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
    assert (story["web"].trouble, story["web"].hold) == (None, None)


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


# --- lives and boots ---------------------------------------------------------------------------------------------


def test_a_new_life_on_the_same_boot_takes_over_what_runs() -> None:
    story = running()
    story.tell(DaemonStarted("hosted", "first"), DaemonStarted("hosted", "crash"))
    assert run_of(story).phase is RunPhase.RUNNING and story.machine.boots == 2


def test_a_new_boot_folds_every_live_run_to_lost_and_no_other() -> None:
    phases: dict[str, RunPhase] = {}
    for name, state in (("starting", created), ("running", running), ("exited", ended)):
        story = state()
        if name == "starting":
            story.tell(EffectStarted("StartRun", "web", 1, run=1, revision=1))
        story.tell(DaemonStarted("hosted", "first"))
        story.reboot("boot-2")
        phases[name] = run_of(story).phase
        assert story["web"].hold is None
    assert phases == {"starting": RunPhase.LOST, "running": RunPhase.LOST, "exited": RunPhase.EXITED}


def test_power_lost_is_the_reason_and_the_policy_decides_what_follows() -> None:
    for mode, again in (("always", True), ("on-failure", True), ("never", False)):
        story = Story()
        story.tell(DaemonStarted("hosted", "first"))
        story.tell(WorkloadApplied((AppliedWorkload("web", "container", spec(restart=mode), created=True),)))
        story.run_starts("web")
        story.reboot("boot-2")
        run = run_of(story)
        assert (run.reason, run.again, run.pid, run.finished_at) == ("power-lost", again, 0, story.machine.at)


def test_trouble_of_an_earlier_boot_is_over_unless_it_would_be_the_same() -> None:
    for permanent in (False, True):
        story = running()
        story.tell(DaemonStarted("hosted", "first"), EffectFailed("StopRun", "web", 1, "X", "x", permanent=permanent))
        story.reboot("boot-2")
        assert (story["web"].trouble is not None) is permanent


def test_a_clean_end_is_remembered_until_the_next_life() -> None:
    story = Story()
    story.tell(DaemonStopped("asked to"))
    assert story.machine.boot is None
    story.tell(DaemonStarted("hosted", "first"), DaemonStopped("asked to"))
    boot = story.machine.boot
    assert boot is not None and boot.stopped and (boot.boot, boot.release, boot.mode) == ("boot-1", "0.0.1", "hosted")
    story.tell(DaemonStarted("hosted", "clean"))
    boot = story.machine.boot
    assert boot is not None and not boot.stopped and boot.seq == story.machine.seq


def test_the_machine_ages_by_its_monotonic_clock_over_all_its_boots() -> None:
    story = Story()
    story.tell(DaemonStarted("hosted", "first"))
    first = story.machine.lived_ns
    story.pass_time(100)
    story.tell(CallRead("Test.Get"))
    assert story.machine.lived_ns == first + 100 * SECOND
    story.boot, story.mono = "boot-2", 7 * SECOND
    story.tell(DaemonStarted("hosted", "power-lost"))
    assert story.machine.lived_ns == first + 107 * SECOND
    assert story.machine.age_ns("boot-2", 9 * SECOND) == first + 109 * SECOND
    assert story.machine.age_ns("boot-3", 2 * SECOND) == first + 109 * SECOND


# --- calls, streams, images, the journal itself ------------------------------------------------------------------


def test_a_call_with_an_id_is_remembered_by_actor_method_and_id() -> None:
    story = Story()
    story.tell(
        CallAccepted("Stop"), CallAccepted("Stop", call_id="one", args_hash="h"), CallAccepted("Start", call_id="one")
    )
    assert {key: (one.seq, one.args_hash) for key, one in story.machine.calls.items()} == {
        ("local", "Stop", "one"): (2, "h"),
        ("local", "Start", "one"): (3, ""),
    }


def called(story: Story, count: int, prefix: str) -> None:
    for number in range(count):
        story.tell(CallAccepted("Stop", call_id=f"{prefix}-{number}"))


def first_and_last(story: Story) -> tuple[str, str]:
    keys = list(story.machine.calls)
    return keys[0][2], keys[-1][2]


def test_calls_that_nobody_may_ask_for_any_more_are_forgotten() -> None:
    story = Story()
    called(story, TIDY_CALLS // 2, "old")
    story.pass_time(2 * KEEP_NS / SECOND + 1)
    called(story, TIDY_CALLS // 2, "new")
    assert len(story.machine.calls) == TIDY_CALLS * 3 // 4, "a quarter of the table went, and all of that was old"
    assert first_and_last(story) == (f"old-{TIDY_CALLS // 4}", f"new-{TIDY_CALLS // 2 - 1}")
    called(story, TIDY_CALLS // 4, "later")
    assert first_and_last(story) == ("new-0", f"later-{TIDY_CALLS // 4 - 1}")


def test_calls_that_may_be_asked_for_are_not_forgotten_for_their_age() -> None:
    story = Story()
    called(story, TIDY_CALLS // 2, "old")
    story.pass_time(2 * KEEP_NS / SECOND - TIDY_CALLS)
    called(story, TIDY_CALLS // 2, "new")
    assert len(story.machine.calls) == TIDY_CALLS


def test_a_flood_of_calls_is_remembered_by_its_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("projections.calls.CALLS_MOST", 4 * TIDY_CALLS)
    story, most, least = Story(), 0, 4 * TIDY_CALLS
    called(story, 3 * TIDY_CALLS, "flood")
    for number in range(3 * TIDY_CALLS, 12 * TIDY_CALLS):
        story.tell(CallAccepted("Stop", call_id=f"flood-{number}"))
        most, least = max(most, len(story.machine.calls)), min(least, len(story.machine.calls))
    assert (least, most) == (3 * TIDY_CALLS, 4 * TIDY_CALLS - 1)
    assert first_and_last(story)[1] == f"flood-{12 * TIDY_CALLS - 1}"


def test_a_stream_is_open_until_its_own_end() -> None:
    story = Story()
    story.tell(StreamOpened("Exec", "web", ("sh",)), StreamOpened("Push"), StreamClosed(1, "ok", exit_code=0))
    assert list(story.machine.streams) == [2] and story.machine.streams[2].method == "Push"
    story.tell(StreamClosed(99, "lost"), StreamClosed(2, "lost"))
    assert story.machine.streams == {}


def test_an_image_name_means_what_was_pushed_last_and_nobody_is_unpinned() -> None:
    story = created()
    story.tell(ImagePushed((PushedImage(PIN, 5),)), ImagePushed((PushedImage(OTHER_PIN, 6),)))
    image = story.machine.images[PIN.ref]
    assert (image.pin, image.size_bytes, image.seq) == (OTHER_PIN, 6, 3)
    assert story["web"].spec.image == PIN


def test_excisions_and_checkpoints_fold_to_what_a_reader_must_know() -> None:
    story = created()
    story.tell(JournalExcised((1, 2), "a name"), JournalExcised((3,)), JournalCheckpointed(2, 1, "00", "00", "usb"))
    assert (story.machine.excised, story.machine.checkpoint) == (3, 2)
    assert list(story.machine.workloads) == ["web"]


@pytest.mark.parametrize(
    "event",
    [CallRefused("Stop", "X", "ABORTED"), CallRead("Get"), EmergencyRecovered("stop", "web", 1), CallAccepted("Stop")],
)
def test_what_only_tells_changes_nothing_but_the_place(event: Event) -> None:
    story = running()
    before = story.machine.fork()
    story.tell(event)
    after = story.machine
    assert after.seq == before.seq + 1
    assert replace_place(after, before) == before


def replace_place(machine: Machine, other: Machine) -> Machine:
    again = machine.fork()
    again.seq, again.at, again.lived_ns, again.mono_ns = other.seq, other.at, other.lived_ns, other.mono_ns
    return again


def test_records_are_frozen_so_that_whoever_kept_one_still_has_it() -> None:
    story = running()
    kept: Workload = story["web"]
    story.tell(WorkloadExited("web", 1, 1, 0))
    assert kept.run is not None and kept.run.phase is RunPhase.RUNNING
    with pytest.raises(AttributeError):
        kept.restarts = 5  # type: ignore[misc]
    assert replace(kept, restarts=5).restarts == 5
