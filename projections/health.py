"""From what a look at a run found to what is told of its health: on a change only. Pure.

How often it failed in a row is no state: a daemon that starts counts anew, so a restart of it changes nothing.
"""

import msgspec

from journal.events import WorkloadHealthChanged
from journal.specs import HealthCheck
from projections.phases import RunPhase
from projections.state import Machine, Run, Workload

MESSAGE_CHARS = 200
"""More of what a check said is not kept."""


class Finding(msgspec.Struct, frozen=True):
    """What one look found; `message` says why it failed."""

    ok: bool
    message: str = ""


def looked_at(workload: Workload) -> tuple[Run, HealthCheck] | None:
    """The run that is to be looked at, and how; None where there is none that shall go on, or no check."""
    run = workload.run
    if run is None or run.phase is not RunPhase.RUNNING or run.ailing:
        return None
    if workload.desired != "running" or run.number <= workload.superseded:
        return None
    check = (workload.spec if run.spec is None else run.spec).health
    return None if check is None else (run, check)


def is_young(run: Run, check: HealthCheck, boot: str, mono_ns: int) -> bool:
    """Whether it was never healthy and its start period is not over: its failures do not count yet."""
    age_ms = (mono_ns - run.started_mono) // 1_000_000 if run.boot == boot else check.start_period_ms
    return run.health is None and age_ms < check.start_period_ms


def judge(
    machine: Machine, name: str, uid: int, number: int, finding: Finding, failures: int, boot: str, mono_ns: int
) -> tuple[int, tuple[WorkloadHealthChanged, ...]]:
    """The failures in a row with this finding, and what it changes. `failures` is how many there were before it."""
    workload = machine.workloads.get(name)
    found = None if workload is None or workload.uid != uid else looked_at(workload)
    if workload is None or found is None or found[0].number != number:
        return 0, ()
    run, check = found
    if finding.ok:
        return 0, () if run.health == "healthy" else (WorkloadHealthChanged(name, uid, number, "healthy"),)
    if is_young(run, check, boot, mono_ns):
        return 0, ()
    failures += 1
    if failures < check.retries or run.health == "unhealthy":
        return failures, ()
    told = WorkloadHealthChanged(
        name,
        uid,
        number,
        "unhealthy",
        failures=failures,
        message=" ".join(finding.message.split())[:MESSAGE_CHARS],
        restart=workload.spec.restart.mode != "never",
    )
    return failures, (told,)
