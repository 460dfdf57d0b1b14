"""The health gate of a new system: what must be as it was before. Pure.

The API answers, the state is mounted and can be written, the machine is on the LAN if it was, and the workloads that
ran and were well when the update was armed are so again, but for those that are to run once: no boot begins them again.
What was ill before is not the new system's fault.
"""

import msgspec

from journal.evidence import FailedCheck
from projections.details import Detail
from projections.state import Machine, Update, Workload
from projections.status import Phase, status_of

_WELL = frozenset({Detail.RUNNING, Detail.HEALTHY})


class Facts(msgspec.Struct, frozen=True):
    """What the world says now. `state`: what is wrong with it, empty for nothing."""

    answers: bool
    state: str
    uplink: bool


def well(machine: Machine) -> tuple[str, ...]:
    """The workloads that run and are well, and are to be so behind a boot, by name."""
    return tuple(
        sorted(
            name
            for name, one in machine.workloads.items()
            if status_of(one).detail in _WELL and one.spec.restart.mode != "never"
        )
    )


def failing(machine: Machine, update: Update, facts: Facts) -> tuple[FailedCheck, ...]:
    """The checks that are not passed; none: all is well."""
    found = []
    if not facts.answers:
        found.append(FailedCheck("api", "it does not answer"))
    if facts.state:
        found.append(FailedCheck("state", facts.state))
    if update.uplink and not facts.uplink:
        found.append(FailedCheck("uplink", "the machine has no address on the LAN, and had one"))
    for name in update.running:
        workload = machine.workloads.get(name)
        if workload is None or workload.desired != "running":
            continue  # an operator has said otherwise since
        if _waits_for_a_word(machine, workload):
            continue
        status = status_of(workload)
        done = status.detail is Detail.COMPLETED and workload.spec.restart.mode != "always"
        if status.detail not in _WELL and not done:
            words = f"{status.phase.value}: {status.message}" if status.message else _word(status.phase, status.detail)
            found.append(FailedCheck(f"workload/{name}", words))
    return tuple(found)


def _waits_for_a_word(machine: Machine, workload: Workload) -> bool:
    """It is to run once, which it has, or needs such a one, by itself or over others: no boot begins it again."""
    if workload.spec.restart.mode == "never":
        return True
    needs = (machine.workloads.get(name) for name in workload.depends_on)
    return any(
        status_of(one).detail not in _WELL and _waits_for_a_word(machine, one) for one in needs if one is not None
    )


def _word(phase: Phase, detail: Detail) -> str:
    return phase.value if detail.value == phase.value else f"{phase.value}, {detail.value}"


def soaked(update: Update, boot: str, mono_ns: int) -> bool:
    """Whether it has been well for as long as was asked for, so that it may be confirmed by itself."""
    if update.confirm_when != "healthy" or not update.judged or update.boot != boot or not update.well_since_mono:
        return False
    return mono_ns - update.well_since_mono >= update.soak_s * 1_000_000_000


def overdue(update: Update, boot: str, mono_ns: int) -> bool:
    """Whether its time is over."""
    deadline = update.deadline
    return deadline is not None and (deadline.boot != boot or mono_ns >= deadline.mono_ns)
