"""Judges health by what was journaled: told on a change only, never ill of one that flickers, always of one that is."""

from collections.abc import Sequence

from journal.entry import Header
from journal.events import Event, WorkloadApplied, WorkloadHealthChanged, WorkloadStarted
from journal.specs import HealthCheck
from projections.phases import RunPhase
from projections.state import Machine

Key = tuple[str, int, int]
"""(name, uid, run)"""


def judge_health(machine: Machine, entries: Sequence[tuple[Header, Event]]) -> list[str]:
    """Everything that is wrong. `machine` is the state at the very end, when all has been quiet for long."""
    wrong: list[str] = []
    declared: dict[tuple[str, int], tuple[str, ...]] = {}
    programs: dict[Key, tuple[str, ...]] = {}
    last: dict[Key, str] = {}
    checks: dict[tuple[str, int], HealthCheck | None] = {}
    began: dict[Key, tuple[Header, HealthCheck | None]] = {}
    for header, event in entries:
        match event:
            case WorkloadApplied():
                declared.update({(item.name, header.seq): item.container.args for item in event.items})
                checks.update({(item.name, header.seq): item.container.health for item in event.items})
            case WorkloadStarted():
                programs[event.name, event.uid, event.run] = declared[event.name, event.revision]
                began[event.name, event.uid, event.run] = header, checks[event.name, event.revision]
            case WorkloadHealthChanged():
                key = (event.name, event.uid, event.run)
                if last.get(key) == event.health:
                    wrong.append(f"{key} is told to be {event.health} again at {header.seq}")
                if (event.health == "unhealthy") != ("sick" in programs[key]):
                    wrong.append(f"{key} {programs[key]} is told to be {event.health} at {header.seq}")
                start, check = began[key]
                if event.health == "unhealthy" and check is not None:
                    if event.failures != check.retries:
                        wrong.append(f"{key} is ill after {event.failures} looks at {header.seq}, not {check.retries}")
                    young = header.boot == start.boot and header.mono - start.mono < check.start_period_ms * 1_000_000
                    if key not in last and young:
                        wrong.append(f"{key} is told to be ill at {header.seq}, and was just beginning")
                last[key] = event.health
    for workload in machine.workloads.values():
        run, spec = workload.run, workload.spec
        if run is None or run.phase is not RunPhase.RUNNING or spec.health is None:
            continue
        told, sick = last.get((workload.name, workload.uid, run.number)), "sick" in spec.args
        # A sick one that is restarted again and again may have begun just now.
        if "end-late" in spec.args and told is None:
            continue  # it may have begun just now, too
        right = {None, "unhealthy"} if sick and spec.restart.mode != "never" else {"unhealthy" if sick else "healthy"}
        if told not in right or told != run.health:
            wrong.append(f"{workload.name} run {run.number} {spec.args} is {run.health}, told was {told}")
    return wrong
