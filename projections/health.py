"""From what a look at a run found to what is told of its health: on a change only. Pure.

How often it failed in a row is no state: a daemon that starts counts anew, so a restart of it changes nothing.
What a check writes or is answered may be a secret, so a finding has no room for it: only for a class of failure, codes
and sizes.
"""

from enum import StrEnum
from typing import assert_never

import msgspec

from journal.events import WorkloadHealthChanged
from journal.specs import HealthCheck
from projections.phases import RunPhase
from projections.state import Machine, Run, Workload


class Failure(StrEnum):
    """The ways in which a look can fail."""

    EXITED = "exited"
    NOT_STARTED = "not-started"
    STATUS = "status"
    NO_CONNECTION = "no-connection"
    NO_ANSWER = "no-answer"
    SLOW = "slow"


class Finding(msgspec.Struct, frozen=True):
    """What one look found; nothing failed where all is well. `code` is a command's exit code or an answer's status,
    `written_bytes` is what the command wrote, `reason` the driver's, where it could not be started."""

    failure: Failure | None = None
    code: int = 0
    written_bytes: int = 0
    reason: str = ""


def words(finding: Finding, check: HealthCheck) -> str:
    """Why the look failed, for people."""
    match finding.failure:
        case None:
            return ""
        case Failure.EXITED:
            wrote = f", having written {finding.written_bytes} bytes" if finding.written_bytes else ""
            return f"exited with code {finding.code}{wrote}"
        case Failure.NOT_STARTED:
            return f"its command could not be started ({finding.reason})"
        case Failure.STATUS:
            return f"answered with status {finding.code}"
        case Failure.NO_CONNECTION:
            return f"no connection to port {check.port}"
        case Failure.NO_ANSWER:
            return f"port {check.port} takes connections and gives no answer of HTTP"
        case Failure.SLOW:
            return f"no answer within {check.timeout_ms / 1_000:g} s"
        case _:
            assert_never(finding.failure)


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
    if finding.failure is None:
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
        message=words(finding, check),
        restart=workload.spec.restart.mode != "never",
    )
    return failures, (told,)
