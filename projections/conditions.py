"""Conditions: what is so of a workload and what is not, each with its reason, derived from the state and never stored.

A phase says in one word where a workload stands; conditions say it in parts, so that scripts need not parse words.
"""

import msgspec

from projections.details import Detail
from projections.phases import RunPhase
from projections.secrets import outdated_text
from projections.state import Workload
from projections.status import Phase, status_of

RESTING = frozenset(
    {Detail.RUNNING, Detail.HEALTHY, Detail.UNHEALTHY, Detail.STOPPED, Detail.COMPLETED, Detail.FAILED, Detail.GAVE_UP}
)
"""Details of a status in which nothing more happens by itself."""


class Condition(msgspec.Struct, frozen=True):
    """`reason` is one word for machines, `message` one line for people; both may be empty when it is met."""

    type: str
    met: bool
    reason: str = ""
    message: str = ""


def conditions_of(workload: Workload, waits: str = "") -> tuple[Condition, ...]:
    """Running, Current, Stable, Settled; Attached where there is a network to be attached to, Healthy where there is a
    check, SecretsCurrent where secrets are in its environment, Unblocked where there are others it depends on. `waits`:
    what it cannot start without now, in words."""
    found = [_running(workload, waits), _current(workload), _stable(workload), _settled(workload, waits)]
    if workload.address:
        found.append(_attached(workload))
    if workload.spec.health is not None:
        found.append(_healthy(workload, waits))
    if workload.spec.secret_env:
        found.append(_secrets_current(workload))
    if workload.depends_on:
        found.append(Condition("Unblocked", not waits, "waiting" if waits else "", waits))
    return tuple(found)


def _running(workload: Workload, waits: str) -> Condition:
    """Its process lives, and shall live."""
    status = status_of(workload, waits)
    if status.phase is Phase.RUNNING:
        return Condition("Running", True)
    return Condition("Running", False, status.detail, status.message)


def _current(workload: Workload) -> Condition:
    """Its newest run was begun from the present declaration, and nobody has asked for another since."""
    run = workload.run
    if run is None:
        return Condition("Current", False, "never-started")
    if run.revision != workload.revision:
        message = f"run {run.number} is of the declaration at {run.revision}, the present one is at {workload.revision}"
        return Condition("Current", False, "old-declaration", message)
    if run.number <= workload.superseded and workload.desired == "running":
        return Condition("Current", False, "restart-asked-for", f"run {run.number} is to be followed by another")
    return Condition("Current", True)


def _stable(workload: Workload) -> Condition:
    """It does not end again and again."""
    if workload.streak == 0:
        return Condition("Stable", True)
    times = "once" if workload.streak == 1 else f"{workload.streak} times in a row"
    return Condition("Stable", False, "ends-in-a-row", f"it ended {times} without a stable run in between")


def _settled(workload: Workload, waits: str) -> Condition:
    """Nothing more is going to happen by itself."""
    status = status_of(workload, waits)
    # A run whose start was given up stays one that is to start, and nobody is at it any more.
    ending = workload.run is not None and workload.run.phase is RunPhase.STOPPING
    if status.detail in RESTING and not ending:
        return Condition("Settled", True)
    return Condition("Settled", False, status.detail, status.message)


def _healthy(workload: Workload, waits: str) -> Condition:
    """It runs, and its check says that it is well."""
    status = status_of(workload, waits)
    if status.detail is Detail.HEALTHY:
        return Condition("Healthy", True)
    return Condition("Healthy", False, status.detail, status.message)


def _secrets_current(workload: Workload) -> Condition:
    """What it has from secrets in its environment is what they are now."""
    outdated = outdated_text(workload)
    return Condition("SecretsCurrent", not outdated, "rotated" if outdated else "", outdated)


def _attached(workload: Workload) -> Condition:
    """Its link to the bridge is there."""
    if workload.attached:
        return Condition("Attached", True)
    return Condition("Attached", False, "no-link", f"the link for {workload.address} is not made yet")
