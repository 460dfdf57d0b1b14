"""Lives of the daemon and boots of the machine.

A new boot id means that power was lost on every run, a halt that each was ended on an operator's word: neither is an
end of its own, which a restart policy would count.
"""

from msgspec.structs import replace

from journal.entry import Header
from journal.events import (
    DaemonStarted,
    DaemonStopped,
    JournalCheckpointed,
    JournalExcised,
    JournalRestored,
    MachineHalted,
)
from projections import network, operators, secrets, updates, volumes
from projections.handlers import Handlers
from projections.phases import LIVE, RunPhase
from projections.state import Boot, Deadline, Machine
from projections.workloads import NOW


def daemon_started(machine: Machine, header: Header, event: DaemonStarted) -> None:
    """Runs of another boot cannot exist any more: they are lost, and their deadlines have passed. What ended again and
    again before may start at once, but does not begin its back-off anew.
    """
    if machine.boot is not None and machine.boot.boot != header.boot:
        _switched_off(machine, header, "power-lost", event.keeps_streaks)
    if machine.claimable_since is None or machine.claimable_since.boot != header.boot:
        machine.claimable_since = Deadline(header.boot, header.mono)
    machine.boots += 1
    machine.boot = Boot(
        boot=header.boot,
        release=header.release,
        slot=header.slot,
        mode=event.mode,
        started_at=header.at,
        seq=header.seq,
    )


def _switched_off(
    machine: Machine, header: Header, reason: str, keeps_streaks: bool, boot: str = "", at: int | None = None
) -> None:
    """`boot`: only what ran in that one; `at`: when, by a clock that may not have known the time. Else now."""
    for name, workload in machine.workloads.items():
        run = workload.run
        if run is not None and run.phase in LIVE and boot in ("", run.boot or boot):
            again = workload.spec.restart.mode != "never"
            ended_at = header.at if at is None else min(max(at, run.started_at), header.at)
            run = replace(run, phase=RunPhase.LOST, pid=0, reason=reason, finished_at=ended_at, again=again)
        streak = workload.streak if keeps_streaks else 0
        # What cannot start as it was declared still cannot; all other trouble was that boot's.
        trouble = workload.trouble if workload.trouble is not None and workload.trouble.permanent else None
        machine.workloads[name] = replace(workload, run=run, streak=streak, trouble=trouble, **NOW)
    network.power_lost(machine, header)
    volumes.power_lost(machine)
    secrets.memory_lost(machine)


def machine_halted(machine: Machine, header: Header, event: MachineHalted) -> None:
    """Read in at the next start, before anything is looked at."""
    at = event.at if event.boot else None
    _switched_off(machine, header, "halted", keeps_streaks=True, boot=event.boot, at=at)


def journal_restored(machine: Machine, header: Header, event: JournalRestored) -> None:
    """What was seen of the world was another machine's: nothing of it runs or is mounted here, no slot is as it was
    there, and nobody comes by all of it by being the first to ask."""
    _switched_off(machine, header, "moved", keeps_streaks=True)
    if event.apart:
        operators.shut(machine, header)
        updates.left_behind(machine, header)


def daemon_stopped(machine: Machine, header: Header, event: DaemonStopped) -> None:
    """A clean end."""
    if machine.boot is not None:
        machine.boot = replace(machine.boot, stopped=True)


def journal_excised(machine: Machine, header: Header, event: JournalExcised) -> None:
    """Bodies are gone; the fold of what they said was made before and stands in the snapshots' successors."""
    machine.excised += len(event.seqs)


def journal_checkpointed(machine: Machine, header: Header, event: JournalCheckpointed) -> None:
    """History may now begin behind `upto`."""
    machine.checkpoint = event.upto


HANDLERS: Handlers = {
    DaemonStarted: daemon_started,
    DaemonStopped: daemon_stopped,
    JournalExcised: journal_excised,
    JournalRestored: journal_restored,
    MachineHalted: machine_halted,
    JournalCheckpointed: journal_checkpointed,
}
