"""What workloads wait for in others: `dependsOn` holds a start until those are ready, and a stop until users ended.

Names are not pinned to an incarnation: who depends on `db` means whatever has that name. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from journal.events import AppliedWorkload
from projections.phases import LIVE, RunPhase
from projections.refusals import Refusal, beside, invalid, missing
from projections.secrets import absent_from
from projections.state import Machine, Workload
from projections.volumes import blocked

MOST = 64
"""So many others one workload may depend on."""
NAMED = 3
"""So many of those it waits for are named: a status has the words several times, and a list has everybody's."""
_LONGEST = "is not known to be healthy yet"
"""Of the reasons why another is not ready."""


def waits(machine: Machine, workload: Workload) -> str:
    """What the workload cannot start without now, in words; empty when nothing is missing."""
    spec = workload.spec
    if not (workload.depends_on or spec.mounts or spec.secrets or spec.secret_env):
        return ""  # most need nothing, and a watch asks this of all of them after every entry
    reason = blocked(machine, workload) or _without_secrets(machine, workload)
    if reason or not workload.depends_on:
        return reason
    missing_now = [f"{name}, which {why}" for name, why in unready(machine, workload)]
    return _waits_for(missing_now) if missing_now else ""


def _waits_for(some: Sequence[str]) -> str:
    more = len(some) - NAMED
    return f"it waits for {' and for '.join((*some[:NAMED], *((f'{more} more',) if more > 0 else ())))}"


def waits_bytes(depends_on: Iterable[str]) -> int:
    """What `waits` says of whoever depends on these takes at most."""
    longest = sorted(depends_on, key=len, reverse=True)
    return len(_waits_for([f"{name}, which {_LONGEST}" for name in longest])) if longest else 0


def _without_secrets(machine: Machine, workload: Workload) -> str:
    absent = absent_from(machine, workload.spec)
    return f"secret {absent[0]} does not exist: create it again, then start the workload" if absent else ""


def unready(machine: Machine, workload: Workload) -> Iterator[tuple[str, str]]:
    """Those it depends on that are not ready, each with the reason."""
    for name in workload.depends_on:
        why = _why_not(machine.workloads.get(name))
        if why:
            yield name, why


def _why_not(other: Workload | None) -> str:
    """Why the other is not ready: it has to run as it is declared now, or to have come to a good end. One that is never
    begun again, and of which nothing else says when it is of use, is a job: its end is waited for."""
    if other is None or other.desired == "deleting":
        return "does not exist"
    if other.desired == "stopped":
        return "is stopped"
    run = other.run
    if run is None or run.number <= other.superseded or run.revision != other.revision:
        return "does not run yet"
    if run.phase is RunPhase.RUNNING:
        if other.spec.health is None:
            return "has not done its work yet" if other.spec.restart.mode == "never" else ""
        return "" if run.health == "healthy" else "is unhealthy" if run.health == "unhealthy" else _LONGEST
    return "" if other.completed else "does not run"


def users_left(machine: Machine, workload: Workload) -> tuple[str, ...]:
    """Workloads that use it, are to end as it is, and still live: they end first, while it can still answer them."""
    if workload.desired == "running" or workload.run is None or workload.run.phase not in LIVE:
        return ()
    return tuple(
        other.name
        for other in machine.workloads.values()
        if workload.name in other.depends_on
        and other.desired != "running"
        and other.run is not None
        and other.run.phase in LIVE
    )


def awaited(machine: Machine, workload: Workload) -> tuple[str, ...]:
    """The workloads whose change may free this one, for which there is nothing to do now."""
    return (*(name for name, _ in unready(machine, workload)), *users_left(machine, workload))


# --- admission ---------------------------------------------------------------------------------------------------


def check_dependencies(machine: Machine, items: Iterable[AppliedWorkload]) -> Refusal | None:
    """What is wrong with what the items depend on: nobody there, or, beside all others, a circle."""
    items = tuple(items)
    needs = {workload.name: workload.depends_on for workload in machine.workloads.values()}
    needs.update((item.name, item.depends_on) for item in items)
    for item in items:
        if len(item.depends_on) > MOST:
            return invalid("TOO_MANY_DEPENDENCIES", f"{item.name} depends on more than {MOST} others", "dependsOn")
        before = machine.workloads.get(item.name)
        known = () if before is None else before.depends_on
        for name in item.depends_on:
            # One that was deleted since keeps nobody from changing something else.
            if name not in known and not _is_there(machine, items, name):
                nobody = missing(
                    "NO_SUCH_DEPENDENCY",
                    f"{item.name} depends on {name[:64]}, and there is no such workload: apply that one first, or both "
                    "in one call",
                    "dependsOn",
                    code="FAILED_PRECONDITION",
                )
                return beside(item.name, nobody)
    for item in items:
        circle = _circle(needs, item.name)
        if circle:
            return beside(item.name, invalid("DEPENDENCY_CYCLE", _why_in_vain(circle), "dependsOn"))
    return None


def _why_in_vain(circle: tuple[str, ...]) -> str:
    if len(circle) == 2:
        return f"{circle[0]} depends on itself, and would never start: leave that dependsOn out"
    return f"{' -> '.join(circle)}: each would wait for the next, and none would start. Leave one dependsOn out"


def _is_there(machine: Machine, items: tuple[AppliedWorkload, ...], name: str) -> bool:
    workload = machine.workloads.get(name)
    return any(item.name == name for item in items) or (workload is not None and workload.desired != "deleting")


def _circle(needs: Mapping[str, tuple[str, ...]], start: str) -> tuple[str, ...]:
    """The shortest way from `start` back to itself, both ends named; empty when there is none."""
    came_from: dict[str, str] = {}
    ring = [start]
    while ring:
        following: list[str] = []
        for name in ring:
            for other in needs.get(name, ()):
                if other == start:
                    return (*_way(came_from, start, name), start)
                if other not in came_from:
                    came_from[other] = name
                    following.append(other)
        ring = following
    return ()


def _way(came_from: Mapping[str, str], start: str, end: str) -> tuple[str, ...]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return tuple(reversed(way))
