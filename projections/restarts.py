"""When a run that ended is followed by another, and how long until a failed effect is tried again. Pure arithmetic."""

import msgspec

from projections.state import Run, Workload

RETRY_FIRST_MS = 500
RETRY_CAP_MS = 60_000


class Verdict(msgspec.Struct, frozen=True):
    """What the policy says of an end: restart or not, after how long, and how many such ends came in a row."""

    restart: bool
    delay_ms: int
    streak: int


def after_exit(workload: Workload, run: Run, exit_code: int, boot: str, mono_ns: int) -> Verdict:
    """The policy's verdict on the end of `run` at `mono_ns` of `boot`."""
    policy = workload.spec.restart
    unwanted = workload.desired != "running" or run.number <= workload.superseded
    if unwanted or policy.mode == "never" or (policy.mode == "on-failure" and exit_code == 0):
        return Verdict(restart=False, delay_ms=0, streak=0)
    lasted_ms = (mono_ns - run.started_mono) // 1_000_000 if run.started_mono and run.boot == boot else 0
    streak = 1 if lasted_ms >= policy.stable_ms else workload.streak + 1
    # The exponent is bounded before the shift: a streak of thousands must not make a number of thousands of bits.
    delay_ms = min(policy.backoff_first_ms << min(streak - 1, 30), policy.backoff_cap_ms)
    return Verdict(restart=True, delay_ms=delay_ms, streak=streak)


def retry_delay_ms(attempt: int) -> int:
    """How long to wait after the `attempt`-th failure of an effect."""
    return int(min(RETRY_FIRST_MS << min(attempt - 1, 30), RETRY_CAP_MS))
