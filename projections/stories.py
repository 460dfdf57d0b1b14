"""The stories of updates in the journal: of each, the entries that tell it, its boots, and how the workloads were.
Pure.

An entry is shown before it is folded, beside the state so far: what the workloads were at a boot's end is known when
the next boot's first entry comes.
"""

from collections.abc import Mapping
from typing import Literal

from journal.entry import Header
from journal.events import (
    BootCompleted,
    BootStarted,
    DaemonCrashed,
    DaemonStarted,
    DaemonStopped,
    Event,
    MachineEndRequested,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateEvidenceFound,
    UpdateHealthChanged,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
    UplinkChanged,
    WorkloadExited,
    WorkloadHealthChanged,
    WorkloadLost,
    WorkloadStarted,
)
from projections.dependencies import waits
from projections.state import Machine
from projections.status import status_of

Role = Literal["before", "tried", "after"]
"""Of a boot: the old system's that took the update, the new system's, and that of whatever ran afterwards."""
Kind = Literal["update", "machine", "boot", "stage", "health", "daemon", "network", "workload", "evidence"]
ROLES: tuple[Role, ...] = ("before", "tried", "after")

AFTERWARDS_NS = 600 * 1_000_000_000
"""So long after its end an update's story goes on, in that boot."""
TOLD_MOST = 2_000
"""Starts and ends of workloads in one story stop here, which may take weeks; those of the update itself are few."""

TOLD: Mapping[type[Event], Kind] = {
    UpdateBegun: "update",
    UpdateStaged: "update",
    UpdateStagingFailed: "update",
    UpdateArming: "update",
    UpdateArmed: "update",
    UpdateDisarmed: "update",
    UpdateConfirming: "update",
    UpdateConfirmed: "update",
    UpdateReturning: "update",
    UpdateRolledBack: "update",
    UpdateEvidenceFound: "evidence",
    UpdateHealthChanged: "health",
    MachineEndRequested: "machine",
    BootStarted: "boot",
    BootCompleted: "boot",
    DaemonStarted: "daemon",
    DaemonStopped: "daemon",
    DaemonCrashed: "daemon",
    UplinkChanged: "network",
    WorkloadStarted: "workload",
    WorkloadExited: "workload",
    WorkloadLost: "workload",
    WorkloadHealthChanged: "workload",
}
ENDS = (UpdateConfirmed, UpdateRolledBack, UpdateDisarmed, UpdateStagingFailed)


def phases(machine: Machine) -> dict[str, str]:
    """Every workload's phase, in its word."""
    return {name: status_of(one, waits(machine, one)).detail.value for name, one in machine.workloads.items()}


class Story:
    """One update, as far as it is told. `told` are its entries, `boots` the first and the last entry of each boot,
    `tried` the boot of the new system; `before`, `under` and `after` are the workloads' phases, by name. `level`:
    what the new system reads, as the update after it says; empty where none came, or it never was here to stay."""

    def __init__(self, header: Header, event: UpdateBegun, kernel: str) -> None:
        self.header, self.begun, self.kernel_before = header, event, kernel
        self.uid = event.uid or header.seq
        self.told: list[tuple[Header, Event]] = []
        self.boots: dict[str, list[Header]] = {}
        self.tried = ""
        self.end: tuple[Header, Event] | None = None
        self.before: dict[str, str] = {}
        self.under: dict[str, str] = {}
        self.after: dict[str, str] = {}
        self.level: tuple[tuple[str, int], ...] = ()
        self.closed = False

    def sees(self, header: Header, event: Event | None, machine: Machine) -> None:
        """An entry that is about to be folded into `machine`."""
        if self._is_over(header, event):
            self.close(machine)
            return
        before = self.told[-1][0].boot if self.told else header.boot
        if before == self.tried and header.boot != self.tried and not self.under:
            self.under = phases(machine)
        first_last = self.boots.setdefault(header.boot, [header, header])
        first_last[1] = header
        if isinstance(event, UpdateArming):
            self.before = phases(machine)
        if isinstance(event, BootStarted) and event.tentative and event.uid == self.uid:
            self.tried = event.boot or header.boot
        if isinstance(event, UpdateEvidenceFound) and event.uid == self.uid:
            self.tried = self.tried or event.evidence.boot
        if event is not None and type(event) in TOLD and not self._is_too_much(event):
            self.told.append((header, event))
        if isinstance(event, ENDS) and event.uid == self.uid:
            self.end = (header, event)

    def _is_too_much(self, event: Event) -> bool:
        return len(self.told) >= TOLD_MOST and TOLD[type(event)] == "workload"

    def _is_over(self, header: Header, event: Event | None) -> bool:
        if isinstance(event, UpdateBegun) and header.seq != self.header.seq:
            return True
        if self.end is None:
            return False
        end = self.end[0]
        return header.boot != end.boot or header.mono > end.mono + AFTERWARDS_NS

    def close(self, machine: Machine) -> None:
        """Nothing more belongs to it."""
        if not self.closed:
            self.closed = True
            if self.tried and self.tried == machine.mono_boot:
                self.under = self.under or phases(machine)
            self.after = phases(machine)

    def is_followed_by(self, next_one: UpdateBegun) -> None:
        """Whoever begins the next update says what it reads itself: the new system, where that is it."""
        begun, stays = self.begun, self.end is not None and isinstance(self.end[1], UpdateConfirmed)
        if stays and (next_one.from_version, next_one.from_commit) == (begun.version, begun.commit):
            self.level = next_one.from_level

    def role(self, header: Header) -> Role:
        """Of the boot that an entry is of. A tentative boot need not have come so far as to write any."""
        if header.boot == self.tried:
            return "tried"
        if self.tried in self.boots:
            return "before" if header.seq < self.boots[self.tried][0].seq else "after"
        arming = next((one for one, event in reversed(self.told) if isinstance(event, UpdateArming)), None)
        if arming is None or header.seq <= arming.seq or header.boot == arming.boot:
            return "before"
        return "after"


class Stories:
    """All of them, the oldest first."""

    def __init__(self) -> None:
        self.all: list[Story] = []
        self._kernel = ""

    def see(self, header: Header, event: Event | None, machine: Machine) -> None:
        """An entry that is about to be folded into `machine`."""
        if self.all and not self.all[-1].closed:
            self.all[-1].sees(header, event, machine)
        if isinstance(event, UpdateBegun):
            if self.all:
                self.all[-1].is_followed_by(event)
            self.all.append(Story(header, event, self._kernel))
            self.all[-1].sees(header, event, machine)
        if isinstance(event, BootStarted) and not event.tentative and not event.boot:
            self._kernel = event.kernel

    def close(self, machine: Machine) -> None:
        """There are no more entries; `machine` has all of them."""
        if self.all:
            self.all[-1].close(machine)
