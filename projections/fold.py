"""The fold: one event at a time into the state tree. Pure (no I/O, no clock) and total (no event makes it raise).

An event that does not fit the state, for example an observation of an earlier incarnation, changes nothing: the
journal is what happened, and what happened cannot be refused any more.
"""

from collections.abc import Callable, Iterable

from journal.entry import Header
from journal.events import Event
from projections import boots, calls, images, network, operators, registries, volumes, workloads
from projections.state import Machine

FOLD_VERSION = 8
"""Raised whenever the fold of the same entries could give other state; snapshots of another version are dropped."""

Handler = Callable[[Machine, Header, Event], None]

# Each aggregate's module declares its handlers; a type that stands nowhere only tells and folds to nothing.
HANDLERS: dict[type[Event], Handler] = {
    **boots.HANDLERS,
    **calls.HANDLERS,
    **images.HANDLERS,
    **registries.HANDLERS,
    **network.HANDLERS,
    **operators.HANDLERS,
    **volumes.HANDLERS,
    **workloads.HANDLERS,
}


def fold(machine: Machine, header: Header, event: Event | None) -> None:
    """Fold one entry into `machine`, in place. `event` is None for an unknown `may` entry or an excised body."""
    mono, boot = header.mono, header.boot
    machine.lived_ns += mono - machine.mono_ns if boot == machine.mono_boot else mono
    machine.mono_boot, machine.mono_ns = boot, mono
    handler = HANDLERS.get(type(event))  # type: ignore[arg-type]
    if handler is not None:
        handler(machine, header, event)  # type: ignore[arg-type]
    machine.seq = header.seq
    machine.at = header.at


def replay(entries: Iterable[tuple[Header, Event | None]], machine: Machine | None = None) -> Machine:
    """Fold all of `entries` on top of `machine` (changed in place), or on the empty state.

    This is `fold` for each of them, written out for a million: what no handler looks at is kept in locals until the
    end, which takes a fifth off. A test holds the two together.
    """
    machine = Machine() if machine is None else machine
    seq, at, lived_ns, last_boot, last_mono = (
        machine.seq, machine.at, machine.lived_ns, machine.mono_boot, machine.mono_ns
    )  # fmt: skip
    find = HANDLERS.get
    try:
        for header, event in entries:
            mono, boot = header.mono, header.boot
            machine.lived_ns = lived_ns = lived_ns + (mono - last_mono if boot == last_boot else mono)
            last_boot, last_mono = boot, mono
            handler = find(type(event))  # type: ignore[arg-type]
            if handler is not None:
                handler(machine, header, event)  # type: ignore[arg-type]
            seq, at = header.seq, header.at
    finally:
        machine.seq, machine.at, machine.mono_boot, machine.mono_ns = seq, at, last_boot, last_mono
    return machine
