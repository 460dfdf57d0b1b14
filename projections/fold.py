"""The fold: one event at a time into the state tree. Pure (no I/O, no clock) and total (no event makes it raise).

An event that does not fit the state, for example an observation of an earlier incarnation, changes nothing: the
journal is what happened, and what happened cannot be refused any more.
"""

import zlib
from collections.abc import Callable, Iterable

from journal.entry import Header
from journal.events import EVENT_TYPES, Event, type_of
from projections import (
    boots,
    calls,
    drift,
    effects,
    images,
    network,
    operators,
    registries,
    secrets,
    updates,
    volumes,
    workloads,
)
from projections.state import Machine

RULES = 24
"""Raised whenever the fold of the same entries could give other state."""


def version_of(kinds: Iterable[type[Event]]) -> int:
    """What the snapshots of a release are kept under that reads these events: a release that reads others goes by its
    own. One of a newer release stands on entries at which this one has to freeze."""
    level = sorted((type_of(kind), kind.VERSION) for kind in kinds)
    return zlib.crc32(repr((RULES, level)).encode()) >> 1


FOLD_VERSION = version_of(EVENT_TYPES)
"""Snapshots of another version are dropped."""

Handler = Callable[[Machine, Header, Event], None]

# Each aggregate's module declares its handlers; a type that stands nowhere only tells and folds to nothing.
HANDLERS: dict[type[Event], Handler] = {
    **boots.HANDLERS,
    **calls.HANDLERS,
    **drift.HANDLERS,
    **images.HANDLERS,
    **registries.HANDLERS,
    **secrets.HANDLERS,
    **updates.HANDLERS,
    **network.HANDLERS,
    **operators.HANDLERS,
    **volumes.HANDLERS,
    **workloads.HANDLERS,
    **effects.HANDLERS,
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

    This is `fold` for each of them, written out for a million: what no handler looks at is set at the end, and how long
    the machine has lived is a sum, not a difference to the entry before. A test holds the two together.
    """
    machine = Machine() if machine is None else machine
    boot, lived_before_ns = machine.mono_boot, machine.lived_ns - machine.mono_ns
    last: Header | None = None
    find = HANDLERS.get
    try:
        for header, event in entries:
            if header.boot != boot:
                boot, lived_before_ns = header.boot, machine.lived_ns
            machine.lived_ns = lived_before_ns + header.mono
            handler = find(type(event))  # type: ignore[arg-type]
            if handler is not None:
                handler(machine, header, event)  # type: ignore[arg-type]
            last = header
    finally:
        if last is not None:
            machine.seq, machine.at, machine.mono_boot, machine.mono_ns = last.seq, last.at, last.boot, last.mono
    return machine
