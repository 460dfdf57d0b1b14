"""Words on slots as the side log has them: which there are, what of each fits a sector, and which of them the journal
has by now.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import get_args

from msgspec.structs import replace

from capsuled.emergency import SLOTS
from journal.codec import BadBody, decode
from journal.entry import SYSTEM, Header, Stored
from journal.events import (
    BootStarted,
    Event,
    UpdateArmed,
    UpdateArming,
    UpdateBegun,
    UpdateConfirmed,
    UpdateConfirming,
    UpdateDisarmed,
    UpdateReturning,
    UpdateRolledBack,
    UpdateStaged,
    UpdateStagingFailed,
    type_of,
)
from journal.reader import Reader
from journal.sequencer import Draft
from journal.sidelog import Emergency, SideLog

log = logging.getLogger(__name__)

APART = 1 << 32
"""No journal has so many entries: what begins here was numbered where none could be read (beside.py)."""
LATE = 16_384
"""Twice what the side log takes at most, so that what else lives have told that ended as they began is among them."""
WORDS_BYTES = 120
"""For a message: a record is a sector."""
PLACES, PLACE_BYTES = 6, 32
"""What was looked for is told by where it would have been."""
BACK_BYTES = 270
"""All words on why the machine came back."""

KEPT = (
    UpdateBegun
    | UpdateStaged
    | UpdateStagingFailed
    | UpdateArming
    | UpdateArmed
    | UpdateDisarmed
    | BootStarted
    | UpdateConfirming
    | UpdateConfirmed
    | UpdateReturning
    | UpdateRolledBack
)
"""A boot only where it is a trial, or right before an update is armed in it: what is here to stay may be booted more
often than there is room for."""
_BY_TYPE = {type_of(kind): kind for kind in get_args(KEPT)}


Stands = Callable[[Emergency], bool]
"""Whether the journal has the record as the entry that it was to become: a life that ended behind the telling has not
forgotten it. Its number alone does not tell: whoever noted it may have known less of the journal than there is."""


def is_kept(event: Event) -> bool:
    return isinstance(event, KEPT) and (not isinstance(event, BootStarted) or event.tentative)


def fitting(event: Event, seq: int, boot: str) -> Event:
    """The event as a sector takes it, and as it is true in the entry of another boot: `seq` is its number here."""
    match event:
        case UpdateBegun():
            # What the present system reads is no bound for the one that comes: it reads too little as it is.
            return replace(event, uid=seq, from_level=())
        case UpdateArming():
            return replace(event, running=())  # nobody here knows how workloads are
        case BootStarted():
            return replace(event, boot=boot, release=_cut(event.release, WORDS_BYTES), kernel="")
        case UpdateStagingFailed() | UpdateDisarmed() | UpdateReturning():
            return replace(event, message=_cut(event.message, WORDS_BYTES))
        case UpdateRolledBack():
            message = _cut(event.message, PLACE_BYTES)
            rests_on = tuple(_cut(one, WORDS_BYTES) for one in event.evidence[:1])
            room = BACK_BYTES - sum(len(one.encode()) for one in (message, *rests_on))
            return replace(event, message=message, evidence=rests_on, looked_for=_places(event.looked_for, room))
        case _:
            return event


def _cut(text: str, most_bytes: int) -> str:
    return text.encode()[:most_bytes].decode(errors="ignore")


def _places(looked_for: Sequence[str], room: int) -> tuple[str, ...]:
    found: list[str] = []
    for one in looked_for[:PLACES]:
        place = _cut(one.partition(":")[0], min(PLACE_BYTES, room))
        room -= len(place.encode())
        found += [place] if place else []
    return tuple(found)


def known(side_log: SideLog) -> Iterator[tuple[Emergency, Draft]]:
    """That, with its records. What this release cannot read is another's, and left out."""
    for one in side_log.records():
        event = _event_of(one)
        if event is not None:
            yield one, Draft(event, one.actor or SYSTEM)


def _event_of(one: Emergency) -> Event | None:
    kind = _BY_TYPE.get(one.type)
    if one.action != SLOTS or kind is None or one.version > kind.VERSION:
        return None
    try:
        return decode(Stored(header(one.seq, one.type, one.version), b"", b"", one.event))
    except BadBody as error:
        log.error("a %s in the side log cannot be read: %s", one.type, error)
        return None


def header(seq: int, name: str, version: int) -> Header:
    return Header(seq, 0, "", 0, "", "", SYSTEM, 0, 0, name, version, "must", b"", b"")


def stands_in(reader: Reader | None) -> Stands:
    """By the entries that can be read. What was numbered apart stands under another number, if it does: among the last
    ones, for only a life that ended as it began has told it and not forgotten it."""
    late: set[tuple[str, bytes]] | None = None

    def stands(one: Emergency) -> bool:
        nonlocal late
        if reader is None:
            return False
        if one.seq < APART:
            stored = reader.get(one.seq)
            return stored is not None and (stored.header.type, stored.body) == (one.type, one.event)
        if late is None:
            late = {(stored.header.type, stored.body) for stored in reader.newest(LATE)}
        return (one.type, one.event) in late

    return stands
