"""Judges the work itself: nothing is begun that is not due, and nothing stays due while nobody is in trouble.

What is due, the planner says; whether it says the right thing, the oracle judges. This is for who works on it: one that
begins what was due a moment ago, too early, or never, ends in the same state some minutes later, and nobody would know.
"""

from effects.goals import Effect, kind_of, run_of
from effects.planner import plan, plan_object
from journal.clock import Clock
from journal.entry import Header
from journal.events import DriftFound, DriftResolved, EffectFailed, EffectStarted
from projections.drift import news
from projections.state import Deadline, Machine

LOOK_S = 4.0
PATIENCE_S = 10.0
"""So long something may be due without faults: longer than a stop's grace, and than a wait for a full disk."""


def wrongly_begun(machine: Machine, header: Header, event: EffectStarted) -> str:
    """What is wrong with the beginning of an effect, with the state as it is before it; empty when nothing is."""
    told = f"{event.effect} of {event.name}.{event.uid}, run {event.run}, began at {header.seq}"
    goals = (plan_object(machine, key) for key in (event.name, f"volume/{event.name}"))
    for goal in goals:
        if goal is not None and (kind_of(goal), goal.uid, run_of(goal)) == (event.effect, event.uid, event.run):
            early = _waits(goal.not_before, header.boot, header.mono)
            return f"{told}, and was to wait" if early else ""
    return f"{told}, and was not due"


class GivenUp:
    """Nothing is given up for good that was overtaken: of what is wanted by now nobody knows that it cannot be had."""

    def __init__(self) -> None:
        self._begun: dict[tuple[str, str, int, int], Effect | None] = {}

    def told(self, machine: Machine, event: EffectStarted | EffectFailed) -> str:
        """With the state as it is before the entry."""
        key = (event.effect, event.name, event.uid, event.run)
        if isinstance(event, EffectStarted):
            self._begun[key] = plan_object(machine, event.name)
            return ""
        if not event.permanent or event.effect not in ("StartRun", "EnsureImage"):
            return ""
        if self._begun.get(key) == plan_object(machine, event.name):
            return ""
        return f"{event.effect} of {event.name} is given up, and something else was to be done by then"


def _waits(deadline: Deadline | None, boot: str, mono_ns: int) -> bool:
    """A deadline of another boot is none."""
    return deadline is not None and deadline.boot == boot and mono_ns < deadline.mono_ns


class Overdue:
    """Looks now and then at what is due in one life of the daemon, without faults."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[Effect, int] = {}
        self._planned: tuple[int, tuple[Effect, ...]] = (0, ())
        self._news: tuple[DriftFound | DriftResolved, ...] = ()
        self._untold: dict[DriftFound | DriftResolved, int] = {}

    def look(self, machine: Machine) -> list[str]:
        """What has been due for too long, or is to be told. As long as no entry comes, the plan is the same, and what is due of it comes
        with time."""
        if machine.seq != self._planned[0]:
            self._planned, self._news = (machine.seq, plan(machine)), news(machine)
        boot, now_ns = self._clock.boot_id, self._clock.mono_ns()
        due = [goal for goal in self._planned[1] if not _waits(goal.not_before, boot, now_ns)]
        self._since = {goal: self._since.get(goal, now_ns) for goal in due}
        late = [goal for goal, since in self._since.items() if now_ns - since > PATIENCE_S * 1e9]
        told = [f"for {PATIENCE_S:.0f} s nobody has reached what is due: {goal}" for goal in late]
        self._untold = {one: self._untold.get(one, now_ns) for one in self._news}
        late_news = [one for one, since in self._untold.items() if now_ns - since > PATIENCE_S * 1e9]
        return told + [f"for {PATIENCE_S:.0f} s nobody has told of another hand's change: {one}" for one in late_news]
