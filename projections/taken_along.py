"""What an end of the whole machine took along: a run, whose own end no entry tells, or a volume's content. Pure.

A halt, the loss of power, or that the memory is another machine's now: projections/boots.py folds what they mean.
"""

from typing import Literal

import msgspec

from journal.entry import Header
from journal.events import (
    DaemonStarted,
    Event,
    JournalRestored,
    MachineHalted,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeRestored,
    WorkloadExited,
    WorkloadLost,
    WorkloadStarted,
)

MACHINE_ENDS = (MachineHalted, JournalRestored, DaemonStarted)
"""What may be such an end: a daemon starts in the same boot again, too."""

Own = dict[int, tuple[Header, Event]]
"""An object's own entries by their seq, in order."""


class TakenRun(msgspec.Struct, frozen=True):
    """A run that went with the machine: by which entry, which run, and why, as the state has it."""

    seq: int
    run: int
    reason: Literal["halted", "power-lost", "moved"]


def taken_run(own: Own, before: int = 0) -> TakenRun | None:
    """What the machine took along of the newest run that had started (before an entry, if given); None when that lives
    or had come to an end of its own."""
    ends: list[tuple[Header, Event]] = []
    for seq in (one for one in reversed(own) if not 0 < before <= one):
        header, event = own[seq]
        if isinstance(event, WorkloadExited | WorkloadLost):
            return None
        if isinstance(event, MACHINE_ENDS):
            ends.append((header, event))
        if isinstance(event, WorkloadStarted):
            found = ((one.seq, _reason(header.boot, one, end)) for one, end in reversed(ends))
            return next((TakenRun(one, event.run, reason) for one, reason in found if reason), None)
    return None


def _reason(boot: str, header: Header, event: Event) -> Literal["halted", "power-lost", "moved"] | None:
    """Why a run of that boot cannot have outlived this entry; None where it can."""
    match event:
        case MachineHalted() if event.boot in ("", boot):
            return "halted"
        case JournalRestored():
            return "moved"
        case DaemonStarted() if header.boot != boot:
            return "power-lost"
        case _:
            return None


def left_behind(own: Own, lost: int) -> int:
    """The entry by which this machine took over another's memory, if a volume was missed at entry `lost` because its
    content stayed there: nobody has seen it here. Else 0."""
    for seq in (one for one in reversed(own) if one < lost):
        match own[seq][1]:
            case JournalRestored():
                return seq
            case VolumeMade() | VolumeMounted() | VolumeRestored() | VolumeLost():
                return 0
            case _:
                pass
    return 0
