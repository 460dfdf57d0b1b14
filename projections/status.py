"""What an operator is told of a workload: its phase and why, derived from the state and never stored."""

from enum import StrEnum

import msgspec
from msgspec.structs import replace

from projections.details import Detail
from projections.phases import LIVE, RunPhase
from projections.secrets import outdated_text
from projections.state import Run, Trouble, Workload
from projections.words import check_text, end_text, memory_text

CRASH_LOOP = 3
"""So many ends in a row are called by their name."""
_LOSSES = {
    "halted": "ended with the machine, which was halted",
    "power-lost": "ended with the machine, which lost its power",
    "moved": "was another machine's, whose memory this one has",
}
"""What became of a run that nothing is left of, where more than the run went."""
_AFTER_WAITS = frozenset({"MountVolume", "EnsureSecretFiles", "StartRun"})


class Phase(StrEnum):
    """The phases of the wire contract."""

    PENDING = "pending"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"


class Status(msgspec.Struct, frozen=True):
    """A phase, the word behind it, and one line for people (no tabs, no newlines)."""

    phase: Phase
    detail: Detail
    message: str = ""


def status_of(workload: Workload, waits: str = "") -> Status:
    """The workload's status as of the state it stands in. `waits`: what it cannot run without now, in words."""
    status = _status(workload, waits)
    # What a tool said of its failure may have several lines.
    return replace(status, message=one_line(status.message)) if status.message else status


def _status(workload: Workload, waits: str) -> Status:
    run, trouble = workload.run, due_trouble(workload, waits)
    if trouble is not None:
        phase = Phase.FAILED if trouble.permanent else Phase.PENDING
        detail = Detail.FAILED if trouble.permanent else Detail.RETRYING
        return Status(phase, detail, trouble.message)
    if workload.desired == "deleting":
        return Status(Phase.PENDING, Detail.DELETING)
    if workload.pulling and workload.desired == "running":
        return Status(Phase.PENDING, Detail.PULLING, f"{workload.spec.image.ref} is being fetched")
    if waits and _is_to_start(workload):
        return Status(Phase.PENDING, Detail.WAITING, waits)
    if run is None:
        return (
            Status(Phase.STOPPED, Detail.STOPPED)
            if workload.desired == "stopped"
            else Status(Phase.PENDING, Detail.PENDING)
        )
    match run.phase:
        case RunPhase.STARTING:
            return Status(Phase.PENDING, Detail.STARTING)
        case RunPhase.STOPPING:
            return Status(Phase.PENDING, Detail.STOPPING, _ailment(run))
        case RunPhase.RUNNING:
            if run.number <= workload.superseded or run.revision != workload.revision:
                return Status(Phase.PENDING, Detail.REPLACING if run.revision != workload.revision else Detail.STOPPING)
            if run.ailing:
                return Status(Phase.PENDING, Detail.STOPPING, _ailment(run))
            if run.health == "unhealthy":
                return Status(Phase.RUNNING, Detail.UNHEALTHY, check_text(run.health_message))
            checked = Detail.HEALTHY if run.health else Detail.CHECKING
            return Status(
                Phase.RUNNING, Detail.RUNNING if workload.spec.health is None else checked, _so_far(workload, run)
            )
        case RunPhase.EXITED | RunPhase.LOST:
            return _ended(workload)


def due_trouble(workload: Workload, waits: str) -> Trouble | None:
    """What it has trouble with now. While a start waits for something else, nothing of it is tried that comes after the
    wait: what failed of that before says nothing."""
    trouble = workload.trouble
    if trouble is None or trouble.permanent or trouble.effect not in _AFTER_WAITS:
        return trouble
    return None if waits and _is_to_start(workload) else trouble


def _is_to_start(workload: Workload) -> bool:
    """Whether a run is due that has not begun, or whose start failed."""
    run = workload.run
    if workload.desired != "running":
        return False
    if run is None:
        return True
    if run.phase in LIVE:
        return run.phase is RunPhase.STARTING and workload.trouble is not None
    return run.again or run.number <= workload.superseded or run.revision != workload.revision


def _ended(workload: Workload) -> Status:
    run = workload.run
    assert run is not None
    if workload.desired == "stopped":
        return Status(Phase.STOPPED, Detail.STOPPED, how_it_ended(run))
    if run.number <= workload.superseded or run.revision != workload.revision:
        return Status(Phase.PENDING, Detail.STARTING)
    if run.again:
        looping = workload.streak >= CRASH_LOOP
        detail = Detail.RESTARTING if workload.next_start is None else Detail.CRASH_LOOP if looping else Detail.BACKOFF
        row = f", the {_ordinal(workload.streak)} end in a row" if workload.streak > 1 else ""
        return Status(Phase.PENDING, detail, how_it_ended(run) + row)
    if run.gave_up:
        attempts = workload.spec.restart.max_attempts
        times = "1 restart" if attempts == 1 else f"{attempts} restarts"
        return Status(Phase.FAILED, Detail.GAVE_UP, f"given up after {times} in a row: {how_it_ended(run)}")
    if run.phase is RunPhase.EXITED and run.exit_code == 0:
        return Status(Phase.STOPPED, Detail.COMPLETED, how_it_ended(run))
    return Status(Phase.FAILED, Detail.FAILED, how_it_ended(run))


def how_it_ended(run: Run) -> str:
    """A run's end in one line."""
    text = f"run {run.number} {loss_text(run.reason)}" if run.phase is RunPhase.LOST else end_text(run)
    return one_line(f"ended as unhealthy: {check_text(run.health_message)}; it {text}" if run.ailing else text)


def loss_text(reason: str) -> str:
    """What became of a run that left no exit code, as the end of a sentence."""
    return _LOSSES.get(reason, f"was lost: {reason}")


def _ailment(run: Run) -> str:
    """Why it is ended although nobody asked for that; empty where somebody did."""
    return f"unhealthy: {check_text(run.health_message)}" if run.ailing else ""


def _so_far(workload: Workload, run: Run) -> str:
    """What is worth knowing of a run that lives."""
    if outdated := outdated_text(workload):
        return outdated
    if run.oom_kills:
        what = "a process of it was" if run.oom_kills == 1 else f"{run.oom_kills} of its processes were"
        return f"{what} killed: {memory_text(run.memory_limit_bytes)}"
    if workload.streak and workload.last_run is not None:
        return f"after {workload.streak} end{'s'[: workload.streak > 1]} in a row: {how_it_ended(workload.last_run)}"
    return ""


def _ordinal(number: int) -> str:
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"


def one_line(text: str) -> str:
    """Without what a table could not hold."""
    return " ".join(text.split())
