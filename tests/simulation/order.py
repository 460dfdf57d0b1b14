"""Judges the order of what was journaled: nothing began before what it depended on, or after the word that it should
end; nothing ended before its users.

What was wanted, and what lived, is read off the entries alone; of the planner's rules nothing is shared.
"""

from collections.abc import Sequence

from journal.entry import Header
from journal.events import (
    DaemonStarted,
    EffectStarted,
    Event,
    WorkloadApplied,
    WorkloadDeleteRequested,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadRemoved,
    WorkloadStarted,
    WorkloadStartRequested,
    WorkloadStopRequested,
)


class Order:
    """Who needed whom, who lived, and who was to end, entry by entry."""

    def __init__(self) -> None:
        self.needs: dict[str, tuple[str, ...]] = {}
        self.alive: set[str] = set()
        self.good: set[str] = set()
        self.ending: set[str] = set()
        self.checked: set[str] = set()
        self.jobs: set[str] = set()
        self.well: set[str] = set()
        self.ailing: set[str] = set()
        self.boot = ""
        self.wrong: list[str] = []
        self.starts = 0

    def told(self, header: Header, event: Event) -> None:
        """One entry more."""
        match event:
            case WorkloadApplied():
                for item in event.items:
                    self.needs[item.name] = item.depends_on
                    spec = item.container
                    (self.checked.discard if spec.health is None else self.checked.add)(item.name)
                    is_job = spec.health is None and spec.restart.mode == "never"
                    (self.jobs.add if is_job else self.jobs.discard)(item.name)
                    self.ending.discard(item.name)
                    if item.desired == "stopped":
                        self.ending.add(item.name)
            case WorkloadStopRequested() | WorkloadDeleteRequested():
                self.ending.add(event.name)
            case WorkloadStartRequested():
                self.ending.discard(event.name)
            case WorkloadStarted():
                self.alive.add(event.name)
                self.good.discard(event.name)
                self.well.discard(event.name)
                self.ailing.discard(event.name)
            case WorkloadHealthChanged():
                (self.well.add if event.health == "healthy" else self.well.discard)(event.name)
                if event.restart:
                    self.ailing.add(event.name)
            case WorkloadExited() | WorkloadLost():
                self.alive.discard(event.name)
                done = isinstance(event, WorkloadExited) and event.exit_code == 0 and not event.restart
                if done and event.name not in self.ailing:
                    self.good.add(event.name)
            case WorkloadRemoved():
                for known in (self.alive, self.good, self.ending):
                    known.discard(event.name)
                self.needs.pop(event.name, None)
            case DaemonStarted() if header.boot != self.boot:
                self.boot = header.boot
                self.alive.clear()
            case EffectStarted(effect="StartRun"):
                self._begins(header, event.name, event.run)
            case EffectStarted(effect="StopRun") if event.name in self.ending:
                self._ends(header, event.name)

    def _begins(self, header: Header, name: str, run: int) -> None:
        self.starts += bool(self.needs.get(name))
        if name in self.ending:
            self.wrong.append(f"{name} run {run} began at {header.seq}, and it was to end")
        for other in self.needs.get(name, ()):
            if other not in self.alive | self.good:
                self.wrong.append(f"{name} run {run} began at {header.seq}, and {other}, which it needs, did not run")
            elif other in self.checked - self.good - self.well:
                self.wrong.append(f"{name} run {run} began at {header.seq}, and {other}, which it needs, was not well")
            elif other in self.jobs - self.good:
                self.wrong.append(f"{name} run {run} began at {header.seq}, and {other}, which it needs, was at work")

    def _ends(self, header: Header, name: str) -> None:
        for other, needs in self.needs.items():
            if name in needs and other in self.alive & self.ending:
                self.wrong.append(f"{name} was stopped at {header.seq}, before {other}, which uses it and was to end")


def judge_order(entries: Sequence[tuple[Header, Event]]) -> list[str]:
    """Everything that was out of order."""
    order = Order()
    for header, event in entries:
        order.told(header, event)
    return order.wrong
