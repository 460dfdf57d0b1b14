"""Back to what was: which workloads go back, which were not there, which cannot; and what admission makes of it."""

from collections.abc import Callable, Iterator
from typing import Literal

from msgspec.structs import replace

from effects.goals import StopRun
from effects.planner import plan
from journal.events import (
    DaemonStopped,
    EffectFailed,
    Event,
    JournalRestored,
    MachineHalted,
    RollbackRequested,
    VolumeApplied,
    VolumeMade,
    WorkloadApplied,
    WorkloadDeleteRequested,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadStarted,
)
from journal.specs import HealthCheck, MicroVM, PortMapping, RestartPolicy, SealedEnv, VolumeMount
from projections.admission import Admitted
from projections.fold import fold
from projections.intents import Apply, Declared, Delete, Rollback, Stop
from projections.phases import RunPhase
from projections.refusals import Refusal
from projections.rights import permit
from projections.rollback import Told, healthy, missing_images, previous, target, unpinned
from projections.state import Machine, Workload
from tests.support.story import OTHER_PIN, PIN, SECOND, Story, declared

MINUTE = 60


def again(was: Workload) -> Declared:
    was = unpinned(was)
    return Declared(
        was.name, was.kind, was.spec, was.spec.image.ref, was.spec.image, labels=was.labels, desired="running"
    )


def rollback(story: Story, then: Machine, *names: str) -> Admitted | Refusal:
    goal = target(story.machine, then, names)
    apply = Apply(tuple(again(one) for one in goal.back), pull=True)
    return story.call(Rollback(apply, then.seq, goal.gone, goal.left, "it was slow"))


def test_what_changed_goes_back_what_is_the_same_stays_and_what_is_new_goes() -> None:
    story = Story()
    story.apply(declared("web", "one"), declared("same"))
    then = story.machine.fork()
    story.apply(declared("web", "two"), declared("new"))
    verdict = rollback(story, then)
    assert isinstance(verdict, Admitted)
    told, gone, applied = verdict.events
    assert told == RollbackRequested(then.seq, ("web", "new"), "it was slow")
    assert isinstance(gone, WorkloadDeleteRequested) and gone.name == "new"
    assert isinstance(applied, WorkloadApplied) and [one.name for one in applied.items] == ["web"]
    story.converge()
    assert story["web"].spec == then.workloads["web"].spec and "new" not in story.machine.workloads
    assert target(story.machine, then) == target(then, then)  # nothing is left to do


def test_a_rollback_can_be_taken_back() -> None:
    story = Story()
    story.apply(declared("web", "one"))
    story.apply(declared("web", "two"))
    second = story.machine.fork()
    rollback(story, _after(story, previous(story["web"], ())), "web")
    assert story["web"].spec.args == ("one",)
    rollback(story, _after(story, previous(story["web"], ())), "web")
    assert story["web"].spec == second.workloads["web"].spec


def _after(story: Story, seq: int) -> Machine:
    """The state after one of the story's entries."""
    machine = story.beginning.fork()
    for header, event in story.entries:
        if header.seq <= seq:
            fold(machine, header, event)
    return machine


def test_the_old_digest_comes_back_although_the_name_means_another_now() -> None:
    story = Story()
    story.apply(declared("web"))
    then = story.machine.fork()
    story.apply(declared("web", pin=OTHER_PIN), pull=True)
    assert story["web"].spec.image == OTHER_PIN
    rollback(story, then, "web")
    assert story["web"].spec.image == PIN


def test_what_is_wanted_of_it_goes_back_too() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    then = story.machine.fork()
    story.call(Stop("web"))
    story.converge()
    rollback(story, then, "web")
    assert story["web"].desired == "running"


def test_what_was_deleted_is_made_anew_as_another_incarnation() -> None:
    story = Story()
    story.apply(declared("web", "one"))
    then = story.machine.fork()
    story.call(Delete("web"))
    story.converge()
    verdict = rollback(story, then, "web")
    assert isinstance(verdict, Admitted)
    assert story["web"].spec.args == ("one",) and story["web"].uid > then.workloads["web"].uid


def test_what_was_being_deleted_then_is_not_brought_back() -> None:
    story = Story()
    story.apply(declared("web"))
    story.run_starts("web")
    story.call(Delete("web"))
    then = story.machine.fork()
    story.converge()
    assert target(story.machine, then) == target(then, then, ("nobody",))


def test_data_that_is_gone_brings_no_workload_back() -> None:
    story = Story()
    story.tell(VolumeApplied("data", 16 << 20, created=True))
    story.apply(declared("web"))
    workload = story["web"]
    mount = VolumeMount("data", "/data", volume_uid=1)
    was = replace(workload, spec=replace(workload.spec, args=("on a volume",), mounts=(mount,)))
    then = story.machine.fork()
    then.workloads["web"] = was
    assert target(story.machine, then).back == (was,)
    story.machine.volumes["data"] = replace(story.machine.volumes["data"], uid=99)
    (left,) = target(story.machine, then).left
    assert left[0] == "web" and "is another one" in left[1]
    del story.machine.volumes["data"]
    (left,) = target(story.machine, then).left
    assert "its volume data is gone, and its data with it" in left[1]
    assert unpinned(was).spec.mounts == (VolumeMount("data", "/data"),)


def test_what_is_left_stands_in_the_entry() -> None:
    story = Story()
    story.apply(declared("web", "one"), declared("api", "one"))
    then = story.machine.fork()
    story.apply(declared("web", "two"), declared("api", "two"))
    goal = target(story.machine, then, ("web",))
    call = Rollback(Apply((again(goal.back[0]),), pull=True), then.seq, left=(("api", "why not"),))
    verdict = story.call(call)
    assert isinstance(verdict, Admitted) and isinstance(verdict.events[0], RollbackRequested)
    assert verdict.events[0].left == (("api", "why not"),)


def test_nothing_to_do_is_no_entry() -> None:
    story = Story()
    story.apply(declared("web"))
    assert rollback(story, story.machine.fork()) == Admitted(())


def test_a_guard_is_of_the_one_that_was_asked_for_or_of_all() -> None:
    story = Story()
    story.apply(declared("web", "one"))
    then = story.machine.fork()
    story.apply(declared("web", "two"))
    seen = story["web"].desired_seq
    story.apply(declared("other"))
    (was,) = target(story.machine, then, ("web",)).back
    back = Rollback(Apply((again(was),), pull=True), then.seq, expect_seq=seen)
    all_of_it = story.call(back)
    assert isinstance(all_of_it, Refusal) and all_of_it.reason == "SEQUENCE_MISMATCH", "the machine has changed since"
    late = story.call(replace(back, name="web", expect_seq=then.workloads["web"].desired_seq))
    assert isinstance(late, Refusal) and late.code == "ABORTED"
    assert isinstance(story.call(replace(back, name="web")), Admitted)


def test_one_that_is_named_twice_is_refused() -> None:
    story = Story()
    story.apply(declared("web"))
    verdict = story.call(Rollback(Apply((declared("web", "two"),)), 1, gone=("web",)))
    assert isinstance(verdict, Refusal) and verdict.reason == "DUPLICATE_NAME"


def test_going_back_to_what_is_root_needs_what_declaring_it_needs() -> None:
    spec = replace(declared("web").spec, privileged=True)
    call = Rollback(Apply((replace(declared("web"), spec=spec),)), 1)
    denied = permit("operator", call)
    assert denied is not None and denied.code == "PERMISSION_DENIED"
    assert permit("admin", call) is None


def test_images_that_have_to_be_fetched_are_named() -> None:
    story = Story(holds=(PIN,))
    story.apply(declared("web"), declared("old", pin=OTHER_PIN))
    assert missing_images(story.machine, story.machine.workloads.values()) == ("old",)


def test_who_goes_gives_its_volume_to_who_comes_back_once_its_run_has_ended() -> None:
    story = Story()
    story.tell(VolumeApplied("data", 16 << 20, created=True))
    story.tell(VolumeMade("data", story.machine.volumes["data"].uid, 16 << 20))

    def mounting(name: str) -> Declared:
        one = declared(name)
        return replace(one, spec=replace(one.spec, mounts=(VolumeMount("data", "/data"),)))

    story.apply(mounting("web"))
    story.converge()
    then = story.machine.fork()
    story.call(Delete("web"))
    story.converge()
    story.apply(mounting("other"))
    story.converge()
    assert story.machine.volumes["data"].holder == "other"
    assert isinstance(rollback(story, then), Admitted)
    assert [type(goal) for goal in plan(story.machine)] == [StopRun], "web waits"
    story.converge()
    assert "other" not in story.machine.workloads and story.machine.volumes["data"].holder == "web"
    run = story["web"].run
    assert run is not None and run.phase is RunPhase.RUNNING


def test_a_host_port_of_who_goes_is_its_own_until_it_is_gone() -> None:
    story = Story()
    port = (PortMapping(80, 8080),)
    story.apply(declared("web", ports=port, network="bridge"))
    then = story.machine.fork()
    story.call(Delete("web"))
    story.converge()
    story.apply(declared("other", ports=port, network="bridge"))
    verdict = rollback(story, then)
    assert isinstance(verdict, Refusal) and (verdict.reason, verdict.name) == ("PORT_TAKEN", "web")
    assert "which other has until it is gone: repeat the call then" in verdict.message
    assert story["other"].desired == "running"


# --- which revision ----------------------------------------------------------------------------------------------


def told(story: Story) -> Callable[[int], Iterator[Told]]:
    return lambda first: ((header, event) for header, event in story.entries if header.seq >= first)


def test_the_revision_before_the_present_one() -> None:
    story = Story()
    story.apply(declared("web", "one"))
    assert previous(story["web"], ()) == 0
    first = story["web"].revision
    story.apply(declared("web", "two"))
    assert previous(story["web"], ()) == first


def test_a_declaration_that_changed_nothing_of_what_runs_is_one_too() -> None:
    story = Story()
    story.apply(declared("web", "one"))
    first = story["web"].revision
    story.run_starts("web")
    story.apply(replace(declared("web", "one"), labels=(("tier", "front"),)))
    labelled = story["web"].desired_seq
    assert len(story["web"].revisions) == 1, "no image is kept for it"
    assert previous(story["web"], (labelled, first)) == first
    story.apply(declared("web", "two"))
    assert previous(story["web"], (story["web"].revision, labelled)) == labelled


def test_where_history_begins_later_the_state_still_knows_of_the_revision_before() -> None:
    story = Story()
    story.apply(declared("web", "one"))
    first = story["web"].revision
    story.apply(declared("web", "two"))
    assert previous(story["web"], (story["web"].revision,)) == first


def test_the_newest_earlier_revision_whose_check_said_that_it_is_well() -> None:
    story = Story()
    revisions = []
    for number, health in enumerate(("healthy", "unhealthy", "healthy", "healthy", "unhealthy")):
        story.apply(declared("web", str(number)))
        revisions.append(story["web"].revision)
        run = story.run_starts("web")
        story.tell(WorkloadHealthChanged("web", story["web"].uid, run, health))  # type: ignore[arg-type]
    assert healthy(story["web"], told(story)) == revisions[3]


def test_the_present_revision_is_no_earlier_one_however_well_it_does() -> None:
    story = Story()
    story.apply(declared("web"))
    run = story.run_starts("web")
    story.tell(WorkloadHealthChanged("web", story["web"].uid, run, "healthy"))
    assert healthy(story["web"], told(story)) == 0


def test_without_a_check_a_stable_run_did_well() -> None:
    story = Story()
    story.apply(declared("web", "brief"))
    story.run_starts("web")
    story.pass_time(MINUTE)
    story.tell(WorkloadExited("web", story["web"].uid, 1, 1))
    story.cleaned("web")
    story.apply(declared("web", "stable"))
    stable = story["web"].revision
    story.run_starts("web")
    story.pass_time(11 * MINUTE)
    story.tell(WorkloadExited("web", story["web"].uid, 2, 1))
    story.cleaned("web")
    story.apply(declared("web", "now"))
    assert healthy(story["web"], told(story)) == stable


def test_a_run_whose_check_called_it_unhealthy_did_not_do_well_however_long_it_lived() -> None:
    story = Story()
    checked = replace(declared("web").spec, health=HealthCheck("exec", ("false",)))
    story.apply(declared("web", "good"))
    good = story["web"].revision
    story.run_starts("web")
    story.pass_time(11 * MINUTE)
    story.tell(WorkloadExited("web", story["web"].uid, 1, 1))
    story.cleaned("web")
    story.apply(replace(declared("web"), spec=checked))
    story.run_starts("web")
    story.tell(WorkloadHealthChanged("web", story["web"].uid, 2, "unhealthy"))
    story.pass_time(60 * MINUTE)
    story.tell(WorkloadExited("web", story["web"].uid, 2, 1))
    story.cleaned("web")
    story.apply(declared("web", "now"))
    assert healthy(story["web"], told(story)) == good


def test_a_clock_that_was_set_makes_no_run_longer() -> None:
    story = Story()
    story.apply(declared("web", "brief"))
    story.run_starts("web")
    story.pass_time(MINUTE)
    story.tell(WorkloadExited("web", story["web"].uid, 1, 1, exited_at=story.entries[-1][0].at + 3_600 * SECOND))
    story.cleaned("web")
    story.apply(declared("web", "now"))
    assert healthy(story["web"], told(story)) == 0


def test_a_machine_that_was_off_makes_no_run_longer() -> None:
    story = Story()
    story.apply(declared("web", "brief"))
    story.run_starts("web")
    story.pass_time(MINUTE)
    story.reboot("boot-2")
    story.pass_time(60 * MINUTE)
    story.tell(WorkloadLost("web", story["web"].uid, 1, "power lost"))
    story.cleaned("web")
    story.apply(declared("web", "now"))
    assert healthy(story["web"], told(story)) == 0


def test_a_run_that_a_power_cut_ended_lived_for_as_long_as_is_known() -> None:
    story = Story()
    story.apply(declared("web", "long"))
    long = story["web"].revision
    story.run_starts("web")
    story.pass_time(11 * MINUTE)
    story.tell(WorkloadHealthChanged("web", story["web"].uid, 1, "unhealthy"))
    story.reboot("boot-2")
    story.tell(WorkloadLost("web", story["web"].uid, 1, "power lost"))
    story.cleaned("web")
    story.apply(declared("web", "now"))
    assert healthy(story["web"], told(story)) == long


def test_a_run_that_has_not_ended_did_well_once_an_entry_of_its_boot_says_that_it_lived() -> None:
    story = Story()
    story.apply(declared("web", "long"))
    long = story["web"].revision
    story.run_starts("web")
    story.pass_time(9 * MINUTE)
    story.apply(declared("web", "now"))
    assert healthy(story["web"], told(story)) == 0
    story.pass_time(2 * MINUTE)
    story.tell(EffectFailed("EnsureImage", "web", story["web"].uid, "REGISTRY_UNREACHABLE", "gone", retry_delay_ms=1))
    assert healthy(story["web"], told(story)) == long


def test_what_comes_after_a_run_s_end_makes_it_no_longer() -> None:
    """Told of it or of the machine, in the same boot or in one to come; or by what cannot be read."""
    ends: tuple[tuple[Event, bool], ...] = (
        (WorkloadExited("web", 1, 1, 1), True),
        (WorkloadExited("web", 1, 1, 1), False),
        (MachineHalted(1, "boot-1"), True),
        (MachineHalted(1), True),
        (JournalRestored(1, "", "", 0, "root"), True),
    )
    for event, readable in ends:
        story = Story()
        story.apply(declared("web", "brief"))
        assert story["web"].uid == 1
        story.run_starts("web")
        story.pass_time(MINUTE)
        end = story.machine.seq + 1
        story.tell(event)
        story.pass_time(60 * MINUTE)
        story.tell(DaemonStopped(reason="asked to"))
        story.apply(declared("web", "now"))
        known = [(header, one if readable or header.seq != end else None) for header, one in story.entries]
        assert healthy(story["web"], lambda first, known=known: known[first - 1 :]) == 0, event  # type: ignore[misc]


def test_a_halt_of_another_boot_ends_no_run_of_this_one() -> None:
    story = Story()
    story.apply(declared("web", "long"))
    long = story["web"].revision
    story.run_starts("web")
    story.tell(MachineHalted(1, "boot-0"))
    story.pass_time(11 * MINUTE)
    story.apply(declared("web", "now"))
    assert healthy(story["web"], told(story)) == long


def test_where_no_end_is_told_the_next_run_s_beginning_is_no_sign_of_the_former_one_s_life() -> None:
    story = Story()
    story.apply(declared("web", "brief"))
    story.run_starts("web")
    story.tell(WorkloadExited("web", story["web"].uid, 1, 1))
    story.cleaned("web")
    story.pass_time(60 * MINUTE)
    story.run_starts("web")
    story.apply(declared("web", "now"))
    untold = [
        (header, event) for header, event in story.entries if isinstance(event, WorkloadApplied | WorkloadStarted)
    ]
    assert healthy(story["web"], lambda first: untold) == 0


def test_a_run_is_judged_by_the_policy_that_it_had() -> None:
    story = Story()
    policy = RestartPolicy(stable_ms=30_000)
    story.apply(replace(declared("web"), spec=replace(declared("web").spec, restart=policy)))
    quick = story["web"].revision
    story.run_starts("web")
    story.pass_time(MINUTE)
    story.tell(WorkloadExited("web", story["web"].uid, 1, 1))
    story.cleaned("web")
    story.apply(declared("web", "now"))
    assert healthy(story["web"], told(story)) == quick


def test_a_revision_is_judged_by_its_own_runs_also_by_what_is_told_after_the_next_was_declared() -> None:
    story = Story()
    story.apply(declared("web", "good"))
    good = story["web"].revision
    run = story.run_starts("web")
    story.apply(declared("web", "bad"))
    story.tell(WorkloadHealthChanged("web", story["web"].uid, run, "healthy"))
    story.tell(WorkloadExited("web", story["web"].uid, run, 0))
    story.cleaned("web")
    bad = story.run_starts("web")
    story.tell(WorkloadHealthChanged("web", story["web"].uid, bad, "unhealthy"))
    story.apply(declared("web", "now"))
    assert healthy(story["web"], told(story)) == good


def test_no_more_is_read_than_says_which_it_is() -> None:
    story = Story()
    revisions: list[int] = []
    each: tuple[Literal["healthy", "unhealthy"], ...] = ("healthy", "healthy", "unhealthy")
    for health in each:
        story.apply(declared("web", f"{len(revisions)}"))
        revisions.append(story["web"].revision)
        run = story.run_starts("web")
        story.tell(WorkloadHealthChanged("web", story["web"].uid, run, health))
        story.tell(WorkloadExited("web", story["web"].uid, run, 1))
        story.cleaned("web")
    asked: list[int] = []
    read: list[int] = []

    def counted(first: int) -> Iterator[Told]:
        asked.append(first)
        for header, event in told(story)(first):
            read.append(header.seq)
            yield header, event

    assert healthy(story["web"], counted) == revisions[1] == asked[0] and len(asked) == 1
    assert read[-1] < revisions[2], "the present one's entries are not read"


def test_another_incarnation_says_nothing_of_this_one() -> None:
    story = Story()
    story.apply(declared("web"))
    run = story.run_starts("web")
    story.tell(WorkloadHealthChanged("web", story["web"].uid, run, "healthy"))
    story.call(Delete("web"))
    story.converge()
    story.apply(declared("web", "one"))
    story.apply(declared("web", "two"))
    assert healthy(story["web"], told(story)) == 0


def test_a_former_revision_names_its_sealed_values() -> None:
    story = Story()
    spec = replace(declared("web").spec, env=(SealedEnv("TOKEN", "a" * 32, 5),))
    story.apply(replace(declared("web"), spec=spec))
    story.apply(declared("web", "two"))
    assert [one.sealed for one in story["web"].revisions] == [("a" * 32,), ()]


def test_what_is_being_deleted_or_is_of_another_kind_now_cannot_go_back() -> None:
    story = Story()
    story.apply(declared("web", "one"), declared("vm", vm=MicroVM()))
    story.converge()
    then = story.machine.fork()
    story.call(Delete("web"))
    story.call(Delete("vm"))
    story.converge()
    story.apply(declared("vm"), declared("web", "one"))
    story.converge()
    story.call(Delete("web"))
    assert target(story.machine, then).left == (("vm", "it is a container now"), ("web", "it is being deleted"))


def test_a_part_that_is_refused_refuses_the_whole() -> None:
    story = Story()
    story.apply(declared("web", "one"), declared("api"))
    story.converge()
    then = story.machine.fork()
    story.call(Delete("api"))
    before = story.machine.seq
    refused = story.call(Rollback(Apply((declared("api"),)), then.seq, gone=("web",)))
    assert isinstance(refused, Refusal) and refused.reason == "DELETING" and story.machine.seq == before


def test_all_that_was_not_there_goes_and_what_is_wanted_on_the_bridge_may_come_back() -> None:
    story = Story()
    story.apply(declared("web", "one", network="bridge"))
    then = story.machine.fork()
    story.apply(declared("web", "two", network="bridge"), declared("a"), declared("b"))
    goal = target(story.machine, then)
    apply = Apply(tuple(again(one) for one in goal.back), pull=True)
    verdict = story.call(Rollback(apply, then.seq, goal.gone, expect_seq=story.machine.desired_seq))
    assert isinstance(verdict, Admitted), "nothing has changed since it was read"
    assert [one.name for one in verdict.events if isinstance(one, WorkloadDeleteRequested)] == ["a", "b"]
    assert [type(one) for one in verdict.events][0::3] == [RollbackRequested, WorkloadApplied]
