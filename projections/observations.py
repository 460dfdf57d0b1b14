"""Reports from the outside world become observations, or nothing when they say nothing new. Pure.

What a driver reports is checked against the incarnation and the run it speaks of; a report of another one, or of an
end that is known already, is dropped. So every exit is counted exactly once, however often it is reported.
"""

from typing import Literal

import msgspec

from journal.events import WorkloadExited, WorkloadLost, WorkloadOomKilled, WorkloadStarted
from journal.specs import Fault, Kind
from projections.phases import LIVE, RunMove, RunPhase, can
from projections.restarts import after_end
from projections.state import Machine, Run, Workload

Observation = WorkloadStarted | WorkloadExited | WorkloadOomKilled | WorkloadLost


_KILLED = 137
_EACH_KILL = 16
"""So many kills for want of memory are told one by one; after them only what is twice what was told before."""


RunStatus = Literal["created", "running", "stopped"]
"""`created` is a run that was made and whose program has never run: what is there of it, dead or alive, is made anew.
`stopped` is one whose program ran and ended by itself or was killed, never one that died in its birth."""


class ObservedRun(msgspec.Struct, frozen=True):
    """One run as the driver finds it. `exit_code` is None until it is `stopped`; `exited_at_ns` is wall time.

    `oom_kills`: how many of its processes the kernel killed for want of memory, with the limit they had (0 without
    one; a microVM has that of its guest). `unexecutable`: why a run that is `stopped` never became its command.
    `fault`: what ended the machine around it, and it as by SIGKILL (exit code 137); `fault_text` says more in one line,
    in the words of whoever told it, made harmless. `accelerator`: what runs its processors, of a microVM: kvm, or tcg.
    """

    name: str
    uid: int
    revision: int
    run: int
    status: RunStatus
    pid: int = 0
    exit_code: int | None = None
    exited_at_ns: int = 0
    oom_kills: int = 0
    memory_limit_bytes: int = 0
    unexecutable: str = ""
    fault: Fault | None = None
    fault_text: str = ""
    accelerator: str = ""

    @property
    def alive(self) -> bool:
        """Whether its program runs."""
        return self.status == "running"

    @property
    def oom(self) -> bool:
        """Whether it ended because it was killed so. A shell reports its killed child's end as its own."""
        return self.oom_kills > 0 and self.exit_code == _KILLED and self.fault is None


def observe_run(
    machine: Machine, seen: ObservedRun, boot: str, mono_ns: int, *, ended_here: bool = False
) -> tuple[Observation, ...]:
    """What `seen` adds to the state. `ended_here`: this machine is ending it, although the state does not say so."""
    found = _present(machine, seen.name, seen.uid, seen.run)
    if found is None:
        return ()
    workload, run = found
    if seen.alive:
        return (*_start(run, seen), *_oom_kills(run, seen))
    if seen.status != "stopped" or seen.exit_code is None or not can(run.phase, RunMove.EXIT):
        return ()
    unasked = not ended_here and _shall_go_on(workload, run)
    # What kills a payload inside its guest is no hand of this machine.
    killed = seen.fault == "killed" if workload.kind == "microvm" else seen.exit_code == _KILLED and not seen.oom
    foreign = killed and unasked
    hopeless = bool(seen.unexecutable)
    code = None if seen.fault is not None else seen.exit_code
    verdict = after_end(workload, run, code, boot, mono_ns, hopeless=hopeless, foreign=foreign)
    return (
        *_start(run, seen),
        WorkloadExited(
            name=seen.name,
            uid=seen.uid,
            run=seen.run,
            exit_code=seen.exit_code,
            exited_at=seen.exited_at_ns,
            oom=seen.oom,
            restart=verdict.restart,
            restart_delay_ms=verdict.delay_ms,
            streak=verdict.streak,
            gave_up=verdict.gave_up,
            oom_kills=seen.oom_kills,
            memory_limit_bytes=seen.memory_limit_bytes,
            unexecutable=seen.unexecutable,
            foreign=foreign,
            unasked=unasked,
            fault=seen.fault,
            fault_text=seen.fault_text,
        ),
    )


def _start(run: Run, seen: ObservedRun) -> tuple[WorkloadStarted, ...]:
    """That it came to life, where nobody has said so yet. What ended before anybody saw it run has run all the same,
    unless its end was that it could not."""
    if not can(run.phase, RunMove.START) or seen.unexecutable or seen.fault is not None:
        return ()
    return (
        WorkloadStarted(
            seen.name, seen.uid, seen.run, run.revision, seen.pid, adopted=False, accelerator=seen.accelerator
        ),
    )


def _shall_go_on(workload: Workload, run: Run) -> bool:
    """Whether nobody here wants it ended. Of what is inside, nothing can kill the first process of a container: an end
    by SIGKILL is another hand's then, or the program's word for the end of a child of its own."""
    wanted = workload.desired == "running" and run.number > workload.superseded and run.revision == workload.revision
    return wanted and run.phase is not RunPhase.STOPPING and not run.ailing


def _oom_kills(run: Run, seen: ObservedRun) -> tuple[WorkloadOomKilled, ...]:
    """Those that are news: a run may suffer for ever, many times a second, and each entry of the journal is for ever,
    too. The end has the whole number."""
    told = run.oom_kills
    if run.phase not in LIVE or seen.oom_kills < (told + 1 if told < _EACH_KILL else 2 * told):
        return ()
    return (WorkloadOomKilled(seen.name, seen.uid, seen.run, seen.oom_kills, seen.memory_limit_bytes),)


def lost(
    workload: Workload, run: Run, reason: str, boot: str, mono_ns: int, *, foreign: bool = False, unborn: bool = False
) -> WorkloadLost:
    """The end of a run of which nothing is left, with the policy's verdict on it. `foreign`: another hand's doing;
    `unborn`: nobody has seen it run."""
    verdict = after_end(workload, run, None, boot, mono_ns, foreign=foreign)
    return WorkloadLost(
        name=workload.name,
        uid=workload.uid,
        run=run.number,
        reason=reason,
        restart=verdict.restart,
        restart_delay_ms=verdict.delay_ms,
        streak=verdict.streak,
        gave_up=verdict.gave_up,
        foreign=foreign,
        unborn=unborn,
    )


RunKey = tuple[str, int, int]
"""(name, uid, run number)"""


def live_runs(machine: Machine) -> frozenset[RunKey]:
    """Runs that have a process as far as the state knows."""
    return frozenset(
        (workload.name, workload.uid, workload.run.number)
        for workload in machine.workloads.values()
        if workload.run is not None and workload.run.phase in (RunPhase.RUNNING, RunPhase.STOPPING)
    )


def observe_all(
    machine: Machine,
    seen: tuple[ObservedRun, ...],
    boot: str,
    mono_ns: int,
    lived: frozenset[RunKey],
    kind: Kind = "container",
) -> tuple[Observation, ...]:
    """The differences between the state and everything that the driver of this kind sees; what is not seen any more is
    lost.

    `lived` are the live runs from before the look began: one that came to life while the driver was looking is not
    lost because it was not seen.

    A run whose start was journaled but which the driver does not show never came to life: that is no loss, the
    planner starts it again under the same number.
    """
    events: list[Observation] = []
    # A container without a process (never started, or its shim was killed with it) shows no life and no end.
    shown = {(one.name, one.uid, one.run) for one in seen if one.status != "created"}
    for one in seen:
        events.extend(observe_run(machine, one, boot, mono_ns))
    for workload in machine.workloads.values():
        run = workload.run
        if run is None or run.phase not in LIVE or workload.kind != kind:
            continue
        key = (workload.name, workload.uid, run.number)
        if key in lived and key not in shown:
            foreign = _shall_go_on(workload, run)
            events.append(lost(workload, run, "vanished", boot, mono_ns, foreign=foreign))
    return tuple(events)


def strangers(machine: Machine, seen: tuple[ObservedRun, ...]) -> tuple[ObservedRun, ...]:
    """Runs that a driver shows and no workload owns: leftovers of an earlier incarnation, of an earlier run, or of a
    later one. A start is durable before it is done, and `machine` is of after the look: a run that the state does not
    know yet is one that the journal has lost, as where an older export was put in its place. It would go on beside the
    one that follows, on the same volumes."""
    return tuple(
        one
        for one in seen
        if (workload := machine.workloads.get(one.name)) is None
        or workload.uid != one.uid
        or workload.run is None
        or one.run != workload.run.number
    )


def _present(machine: Machine, name: str, uid: int, number: int) -> tuple[Workload, Run] | None:
    workload = machine.workloads.get(name)
    if workload is None or workload.uid != uid or workload.run is None or workload.run.number != number:
        return None
    return workload, workload.run
