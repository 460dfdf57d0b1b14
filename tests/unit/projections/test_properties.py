"""What holds for every history there could be, whatever the order of calls, ends, failures and reboots."""

from hypothesis import given, settings
from hypothesis import strategies as st

from effects.goals import StartRun
from effects.planner import plan
from journal.entry import LOCAL, Header
from journal.events import (
    EffectDone,
    EffectFailed,
    EffectStarted,
    Event,
    WorkloadDeleteRequested,
    WorkloadExited,
    WorkloadLost,
    WorkloadRemoved,
    WorkloadStarted,
    type_of,
)
from projections.admission import Admitted, admit
from projections.dependencies import unready, waits
from projections.describe import describe
from projections.encoding import decode_state, encode_state
from projections.fold import fold, replay
from projections.intents import Apply, Intent
from projections.network import clash
from projections.phases import LIVE, RunPhase
from projections.refusals import Refusal
from projections.state import Machine, Workload
from projections.status import Phase, status_of
from projections.views import VIEWS, state_hash
from projections.volumes import blocked
from tests.support.chance import NAMES, events, histories, intents
from tests.support.story import ALL, Story

few = settings(max_examples=40)


def header_of(event: Event, seq: int, boot: str = "boot-1", mono: int = 0) -> Header:
    return Header(
        seq, 1_700_000_000_000_000_000 + seq, boot, mono, "0.0.1", "", LOCAL, 0, 0,
        type_of(event), event.VERSION, event.EFFECT, b"", b"",
    )  # fmt: skip


@few
@given(histories(), st.integers(0, 200))
def test_a_prefix_and_the_tail_are_the_whole(story: Story, cut: int) -> None:
    cut = min(cut, len(story.entries))
    machine = replay(story.entries[:cut], story.beginning.fork())
    kept = decode_state(encode_state(machine.fork()))
    for header, event in story.entries[cut:]:
        fold(machine, header, event)
        fold(kept, header, event)
    for view in VIEWS:
        assert state_hash(machine, view) == state_hash(kept, view) == state_hash(story.machine, view)
    assert machine == kept == replay(story.entries, story.beginning.fork()) == story.machine


@few
@given(histories())
def test_a_snapshot_is_the_state_it_was_taken_of(story: Story) -> None:
    again = decode_state(encode_state(story.machine))
    assert again == story.machine and state_hash(again) == state_hash(story.machine)


@few
@given(histories())
def test_a_fork_goes_its_own_way(story: Story) -> None:
    before = state_hash(story.machine)
    fork = story.machine.fork()
    assert state_hash(fork) == before
    for workload in list(fork.workloads.values()):
        event = WorkloadDeleteRequested(workload.name, workload.uid)
        fold(fork, header_of(event, fork.seq + 1), event)
    assert state_hash(story.machine) == before


@few
@given(st.lists(st.tuples(events(), st.integers(0, 2), st.integers(0, 10**12)), max_size=30))
def test_no_order_of_events_makes_the_fold_or_what_reads_its_state_raise(told: list[tuple[Event, int, int]]) -> None:
    machine = Machine()
    for seq, (event, boot, mono) in enumerate(told, 1):
        header = header_of(event, seq, f"boot-{boot}", mono)
        fold(machine, header, event)
        assert (machine.seq, machine.at) == (header.seq, header.at)
        assert isinstance(describe(header, event), str)
    for workload in machine.workloads.values():
        status = status_of(workload, waits(machine, workload))
        assert status.phase in Phase and status.message == " ".join(status.message.split())
    assert isinstance(plan(machine), tuple)
    assert len(state_hash(machine)) == 64
    assert decode_state(encode_state(machine)) == machine


@few
@given(histories(), intents())
def test_admission_never_raises_and_changes_nothing_itself(story: Story, intent: Intent) -> None:
    before = state_hash(story.machine)
    for capabilities in (ALL, frozenset[str](), frozenset({"microvm", "volume", "network.bridge"})):
        verdict = admit(story.machine, intent, capabilities)
        assert verdict == admit(story.machine, intent, capabilities), "the same call on the same state is decided alike"
        if isinstance(verdict, Refusal):
            assert verdict.code.isupper() and verdict.reason.isupper() and verdict.message
    assert state_hash(story.machine) == before


@few
@given(histories(), intents())
def test_the_same_declaration_twice_creates_and_changes_nothing_more(story: Story, intent: Intent) -> None:
    if not isinstance(intent, Apply):
        return
    intent = Apply(intent.workloads, None, intent.pull)
    if isinstance(story.call(intent), Refusal):
        return
    again = admit(story.machine, intent, ALL)
    assert isinstance(again, Admitted)
    for event in again.events:
        assert not any(item.created or item.changed for item in event.items)  # type: ignore[attr-defined]


@few
@given(histories())
def test_no_host_port_and_no_address_has_two_holders(story: Story) -> None:
    held = [(name, port) for name, one in story.machine.workloads.items() for port in one.spec.ports]
    for index, (name, port) in enumerate(held):
        assert not any(clash(port, other) for _, other in held[index + 1 :]), (name, port)
    addresses = [one.address for one in story.machine.workloads.values() if one.address]
    assert len(set(addresses)) == len(addresses)


@few
@given(histories())
def test_whatever_happened_the_runner_comes_to_an_end_and_everything_is_as_it_was_declared(story: Story) -> None:
    story.converge()
    assert plan(story.machine) == ()
    for volume in story.machine.volumes.values():
        assert not volume.deleting or volume.lost
        if not volume.lost:
            assert volume.made_bytes == volume.size_bytes or volume.holder, "it grows only when nobody holds it"
            assert not volume.restoring and all(one.taken and not one.leaving for one in volume.snapshots)
    for workload in story.machine.workloads.values():
        if blocked(story.machine, workload):
            continue  # its volume is not there, and the status says so
        run = workload.run
        alive = run is not None and run.phase in LIVE
        assert workload.desired != "deleting", "what is to be deleted is gone"
        if waits(story.machine, workload) and workload.desired == "running" and not alive:
            continue  # what it depends on does not run, and the status says so
        if workload.desired == "stopped":
            assert not alive and status_of(workload).phase in (Phase.STOPPED, Phase.FAILED)
        elif workload.trouble is not None:  # it cannot start as it was declared
            assert workload.trouble.permanent and status_of(workload).phase is Phase.FAILED
        elif alive:
            assert run is not None and run.phase is RunPhase.RUNNING and run.revision == workload.revision
            assert run.number > workload.superseded and status_of(workload).phase is Phase.RUNNING
        else:  # it has ended for good by its policy
            assert run is not None and not run.again
            assert status_of(workload).phase in (Phase.STOPPED, Phase.FAILED)


@few
@given(histories())
def test_no_workload_waits_for_itself_and_none_runs_before_what_it_depends_on(story: Story) -> None:
    needs = {name: set(one.depends_on) for name, one in story.machine.workloads.items()}
    for name in needs:
        reached = set(needs[name])
        for _ in needs:
            reached |= {far for near in reached for far in needs.get(near, ())}
        assert name not in reached
    for goal in plan(story.machine):
        if isinstance(goal, StartRun):
            assert not list(unready(story.machine, story[goal.name]))


@few
@given(histories())
def test_no_volume_has_two_users_that_shall_run_and_none_is_held_by_a_stranger(story: Story) -> None:
    machine = story.machine
    for name, volume in machine.volumes.items():
        wanting = [one.name for one in machine.workloads.values() if one.desired == "running" and name in _mounts(one)]
        assert len(wanting) <= 1, wanting
        if volume.holder:
            holder = machine.workloads.get(volume.holder)
            assert holder is not None and holder.uid == volume.holder_uid


def _mounts(workload: Workload) -> set[str]:
    return {mount.volume_name for mount in workload.spec.mounts}


@few
@given(histories(), st.sampled_from(NAMES), st.integers(1, 9))
def test_what_is_said_of_another_incarnation_changes_nothing(story: Story, name: str, number: int) -> None:
    workload = story.machine.workloads.get(name)
    uid = 10_000 if workload is None else workload.uid + 10_000
    machine = story.machine.fork()
    before = machine.fork()
    for event in (
        EffectStarted("StartRun", name, uid, run=number),
        EffectStarted("StopRun", name, uid, run=number),
        WorkloadStarted(name, uid, number, 1, pid=5),
        WorkloadExited(name, uid, number, 1, restart=True, streak=3),
        WorkloadLost(name, uid, number, "vanished"),
        EffectDone("StopRun", name, uid, run=number),
        EffectFailed("StartRun", name, uid, "NO_SPACE", "disk full"),
        WorkloadRemoved(name, uid),
    ):
        fold(machine, header_of(event, machine.seq + 1, machine.mono_boot, machine.mono_ns), event)
    assert machine.workloads == before.workloads and machine.desired_seq == before.desired_seq


@few
@given(histories())
def test_the_machine_only_gets_older(story: Story) -> None:
    machine, ages = Machine(), [0]
    for header, event in story.entries:
        fold(machine, header, event)
        ages.append(machine.lived_ns)
        assert machine.age_ns(machine.mono_boot, machine.mono_ns + 5) == machine.lived_ns + 5
    assert ages == sorted(ages)
