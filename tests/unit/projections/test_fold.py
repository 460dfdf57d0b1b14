"""Given this state of the machine, when this entry, then that state: one event at a time."""

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from journal.events import (
    EVENT_TYPES,
    AppliedWorkload,
    CallAccepted,
    CallRead,
    CallRefused,
    DaemonStarted,
    DaemonStopped,
    EffectFailed,
    EffectStarted,
    EmergencyRecovered,
    Event,
    ImagePushed,
    JournalCheckpointed,
    JournalExcised,
    JournalRestored,
    MachineHalted,
    PushedImage,
    StreamClosed,
    StreamOpened,
    WorkloadApplied,
    WorkloadExited,
)
from journal.specs import RestartMode
from projections.calls import KEEP_NS, TIDY_CALLS
from projections.fold import FOLD_VERSION, replay, version_of
from projections.phases import RunPhase
from projections.state import Machine, Workload
from projections.views import state_hash
from tests.support.story import OTHER_PIN, PIN, SECOND, Story, declared, spec
from tests.unit.projections.moments import created, ended, run_of, running

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
    policies: tuple[tuple[RestartMode, bool], ...] = (("always", True), ("on-failure", True), ("never", False))
    for mode, again in policies:
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


def test_what_ran_on_the_machine_that_an_archive_is_from_does_not_run_on_the_one_that_took_it_over() -> None:
    story = Story()
    story.apply(declared("web"))
    story.converge()
    story.tell(JournalRestored(upto=story.machine.seq, head_hash="ab"))
    run = story["web"].run
    assert run is not None and (run.phase, run.reason, run.again) == (RunPhase.LOST, "moved", True)
    assert story.next_goal("web") == "CleanRun"


def test_a_halt_is_as_if_the_machine_had_been_switched_off() -> None:
    story = running()
    story.tell(DaemonStarted("os", "first"), MachineHalted(at=1))
    assert (run_of(story).phase, run_of(story).reason) == (RunPhase.LOST, "halted")
    assert story.next_goal("web") == "CleanRun"
    story.reboot("boot-2")
    assert run_of(story).reason == "halted", "it did not lose its power"


@pytest.mark.parametrize(
    ("halted", "reason", "ended_after_s"),
    [
        (lambda now: MachineHalted(at=now - 7 * SECOND, boot="boot-1"), "halted", 3_593),
        (lambda now: MachineHalted(at=7, boot="boot-1"), "halted", 0),
        (lambda now: MachineHalted(at=now + 7 * SECOND, boot="boot-1"), "halted", 3_600),
        (lambda now: MachineHalted(at=now - 7 * SECOND), "halted", 3_600),
        (lambda now: MachineHalted(at=now - 7 * SECOND, boot="boot-0"), "power-lost", 0),
    ],
    ids=["dated", "a clock that had no time", "a clock that was ahead", "before it named a boot", "of another boot"],
)
def test_what_a_halt_ended_did_so_when_it_halted_and_what_ran_in_another_boot_has_lost_its_power(
    halted: Callable[[int], MachineHalted], reason: str, ended_after_s: int
) -> None:
    story = running()
    story.tell(DaemonStarted("os", "first"))
    began = story.machine.at
    story.pass_time(3_600)
    story.tell(halted(began + 3_600 * SECOND))
    story.reboot("boot-2")
    run = run_of(story)
    assert (run.reason, (run.finished_at - began) // SECOND) == (reason, ended_after_s)


def test_a_replay_that_goes_on_from_the_middle_of_a_boot_counts_its_time_once() -> None:
    story = running()
    story.pass_time(5)
    story.tell(WorkloadExited("web", 1, 1, 0))
    story.pass_time(7)
    story.reboot("boot-2")
    whole = replay(story.entries)
    assert whole.lived_ns == story.machine.lived_ns
    for cut in range(len(story.entries) + 1):
        machine = replay(story.entries[cut:], replay(story.entries[:cut]))
        assert (machine.lived_ns, state_hash(machine)) == (whole.lived_ns, state_hash(whole))


def test_a_snapshot_of_a_release_that_reads_other_events_is_none_of_this_one() -> None:
    assert version_of(reversed(EVENT_TYPES)) == FOLD_VERSION < 1 << 31
    assert version_of(EVENT_TYPES[1:]) != FOLD_VERSION, "it may stand on an entry at which this one has to freeze"
