"""Reports from the outside world become observations, or nothing when they say nothing new. Pure.

What a driver reports is checked against the incarnation and the run it speaks of; a report of another one, or of an
end that is known already, is dropped. So every exit is counted exactly once, however often it is reported.
"""

import msgspec

from journal.events import WorkloadExited, WorkloadLost, WorkloadStarted
from projections.phases import LIVE, RunMove, RunPhase, can
from projections.restarts import after_exit
from projections.state import Machine, Run, Workload

Observation = WorkloadStarted | WorkloadExited | WorkloadLost


class SeenRun(msgspec.Struct, frozen=True):
    """One run as a driver sees it. `exit_code` is None while it runs."""

    name: str
    uid: int
    run: int
    revision: int
    alive: bool
    pid: int = 0
    exit_code: int | None = None
    exited_at: int = 0
    oom: bool = False


def observe_run(machine: Machine, seen: SeenRun, boot: str, mono_ns: int) -> tuple[Observation, ...]:
    """What `seen` adds to the state."""
    found = _present(machine, seen.name, seen.uid, seen.run)
    if found is None:
        return ()
    workload, run = found
    if seen.alive:
        if not can(run.phase, RunMove.START):
            return ()
        return (WorkloadStarted(seen.name, seen.uid, seen.run, run.revision, seen.pid, adopted=False),)
    if seen.exit_code is None or not can(run.phase, RunMove.EXIT):
        return ()
    verdict = after_exit(workload, run, seen.exit_code, boot, mono_ns)
    return (
        WorkloadExited(
            name=seen.name,
            uid=seen.uid,
            run=seen.run,
            exit_code=seen.exit_code,
            exited_at=seen.exited_at,
            oom=seen.oom,
            restart=verdict.restart,
            restart_delay_ms=verdict.delay_ms,
            streak=verdict.streak,
        ),
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
    machine: Machine, seen: tuple[SeenRun, ...], boot: str, mono_ns: int, lived: frozenset[RunKey]
) -> tuple[Observation, ...]:
    """The differences between the state and everything a driver sees; what is not seen any more is lost.

    `lived` are the live runs from before the look began: one that came to life while the driver was looking is not
    lost because it was not seen.

    A run whose start was journaled but which the driver does not show never came to life: that is no loss, the
    planner starts it again under the same number.
    """
    events: list[Observation] = []
    # A container without a process (never started, or its shim was killed with it) shows no life and no end.
    shown = {(one.name, one.uid, one.run) for one in seen if one.alive or one.exit_code is not None}
    for one in seen:
        events.extend(observe_run(machine, one, boot, mono_ns))
    for workload in machine.workloads.values():
        run = workload.run
        if run is None or run.phase not in LIVE:
            continue
        key = (workload.name, workload.uid, run.number)
        if key in lived and key not in shown:
            events.append(WorkloadLost(workload.name, workload.uid, run.number, reason="vanished"))
    return tuple(events)


def strangers(machine: Machine, seen: tuple[SeenRun, ...]) -> tuple[SeenRun, ...]:
    """Runs that a driver shows and no workload owns: leftovers of an earlier incarnation or an earlier run."""
    return tuple(
        one
        for one in seen
        if (workload := machine.workloads.get(one.name)) is None
        or workload.uid != one.uid
        or (workload.run is not None and one.run < workload.run.number)
    )


def _present(machine: Machine, name: str, uid: int, number: int) -> tuple[Workload, Run] | None:
    workload = machine.workloads.get(name)
    if workload is None or workload.uid != uid or workload.run is None or workload.run.number != number:
        return None
    return workload, workload.run
