"""When a run that ended is followed by another, and how long until a failed effect is tried again. Pure arithmetic."""

import msgspec

from projections.phases import RunPhase
from projections.state import Deadline, Run, Workload

RETRY_FIRST_MS = 500
RETRY_CAP_MS = 60_000


class Verdict(msgspec.Struct, frozen=True):
    """What the policy says of an end: restart or not, after how long, and how many such ends came in a row.

    `gave_up`: it would restart the run, but has done so as often as it may.
    """

    restart: bool = False
    delay_ms: int = 0
    streak: int = 0
    gave_up: bool = False


def after_end(
    workload: Workload,
    run: Run,
    exit_code: int | None,
    boot: str,
    mono_ns: int,
    *,
    hopeless: bool = False,
    foreign: bool = False,
) -> Verdict:
    """The policy's verdict on the end of `run` at `mono_ns` of `boot`.

    `exit_code` is None for a run that was lost, or whose machine failed: it did not end well, however far it was.
    `hopeless`: another run of the same spec would end in the same way. `foreign`: another hand ended it.
    """
    policy = workload.spec.restart
    if run.ailing:
        exit_code = None  # it was ended because it failed: how it took that says nothing
    unwanted = workload.desired != "running" or run.number <= workload.superseded
    if unwanted or policy.mode == "never" or (policy.mode == "on-failure" and exit_code == 0):
        return Verdict()
    if foreign and workload.drift == "report":
        return Verdict(streak=workload.streak)
    lasted = bool(run.started_mono) and run.boot == boot and mono_ns >= _stable_mono_ns(workload, run)
    streak = 1 if lasted else workload.streak + 1
    if hopeless:
        return Verdict(streak=streak)
    if policy.max_attempts and streak > policy.max_attempts:
        return Verdict(streak=streak, gave_up=True)
    # The exponent is bounded before the shift: a streak of thousands must not make a number of thousands of bits.
    delay_ms = min(policy.backoff_first_ms << min(streak - 1, 30), policy.backoff_cap_ms)
    return Verdict(restart=True, delay_ms=delay_ms, streak=streak)


def stable_at(workload: Workload) -> Deadline | None:
    """When the row of ends is over that its run has followed, if nothing ends that before; None without such a run."""
    run = workload.run
    if workload.streak == 0 or run is None or run.phase is not RunPhase.RUNNING:
        return None
    return Deadline(run.boot, _stable_mono_ns(workload, run))


def _stable_mono_ns(workload: Workload, run: Run) -> int:
    """When the run has lasted as long as its policy calls stable, by the clock of its boot."""
    return run.started_mono + workload.spec.restart.stable_ms * 1_000_000


def retry_delay_ms(attempt: int) -> int:
    """How long to wait after the `attempt`-th failure of an effect."""
    return int(min(RETRY_FIRST_MS << min(attempt - 1, 30), RETRY_CAP_MS))
