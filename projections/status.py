"""What an operator is told of a workload: its phase and why, derived from the state and never stored."""

from enum import StrEnum

import msgspec

from projections.phases import RunPhase
from projections.state import Workload


class Phase(StrEnum):
    """The phases of the wire contract."""

    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"


class Status(msgspec.Struct, frozen=True):
    """A phase, a short machine-readable `detail`, and one line for people (no tabs, no newlines)."""

    phase: Phase
    detail: str
    message: str = ""


def status_of(workload: Workload) -> Status:
    """The workload's status as of the state it stands in."""
    run, trouble = workload.run, workload.trouble
    if trouble is not None:
        phase = Phase.FAILED if trouble.permanent else Phase.PENDING
        detail = "failed" if trouble.permanent else "retrying"
        return Status(phase, detail, _one_line(trouble.message))
    if workload.desired == "deleting":
        return Status(Phase.PENDING, "deleting")
    if run is None:
        return Status(Phase.STOPPED, "stopped") if workload.desired == "stopped" else Status(Phase.PENDING, "pending")
    match run.phase:
        case RunPhase.STARTING:
            return Status(Phase.PENDING, "starting")
        case RunPhase.STOPPING:
            return Status(Phase.PENDING, "stopping")
        case RunPhase.RUNNING:
            if run.number <= workload.superseded or run.revision != workload.revision:
                return Status(Phase.PENDING, "replacing" if run.revision != workload.revision else "stopping")
            return Status(Phase.RUNNING, "running")
        case RunPhase.EXITED | RunPhase.LOST:
            return _ended(workload)


def _ended(workload: Workload) -> Status:
    run = workload.run
    assert run is not None
    if workload.desired == "stopped":
        return Status(Phase.STOPPED, "stopped", _how_it_ended(workload))
    if run.number <= workload.superseded or run.revision != workload.revision:
        return Status(Phase.PENDING, "starting")
    if run.again:
        detail = "backoff" if workload.hold is not None else "restarting"
        return Status(Phase.PENDING, detail, _how_it_ended(workload))
    if run.phase is RunPhase.EXITED and run.exit_code == 0:
        return Status(Phase.STOPPED, "completed", "exited with code 0")
    return Status(Phase.FAILED, "failed", _how_it_ended(workload))


def _how_it_ended(workload: Workload) -> str:
    run = workload.run
    assert run is not None
    if run.phase is RunPhase.LOST:
        return f"run {run.number} was lost: {run.reason}"
    why = " (out of memory)" if run.oom else ""
    return f"exited with code {run.exit_code}{why}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
