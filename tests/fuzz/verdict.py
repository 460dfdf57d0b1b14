"""What a run must show, and how it is told."""

from tests.fuzz.calls import SERVED, Outcome, growth
from tests.fuzz.cases import described, path_of

HELD = ("native_bytes", "python_blocks", "handles", "threads", "anonymous_bytes")


def problems(outcome: Outcome) -> list[str]:
    """What is wrong with it; nothing, if all is well."""
    found = list(outcome.broken)
    missed = [name for name in SERVED if path_of(described(name)) not in outcome.methods]
    if missed:
        found.append(f"never called: {missed}")
    halves = len(outcome.held) // 2
    calls = outcome.statuses.total() * (len(outcome.held) - halves) // len(outcome.held)
    found += growth(outcome.held[halves - 1], outcome.held[-1], calls)
    return found


def told(outcome: Outcome) -> str:
    """For people."""
    lines = [f"seed {outcome.seed}: {outcome.statuses.total():,} calls in {outcome.seconds:.0f} s"]
    lines += [f"  {count:>8,} {status}" for status, count in outcome.statuses.most_common()]
    for what in HELD:
        lines.append(f"  {what:<16}" + " ".join(f"{one[what]:,}" for one in outcome.held))
    lines.append(f"  state   {outcome.held[-1]['objects']} objects after {outcome.held[-1]['entries']:,} entries")
    return "\n".join(lines)
