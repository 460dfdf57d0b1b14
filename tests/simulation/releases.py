"""Two releases of one machine, by turns: today's code, and a newer one that writes what today's cannot read.

What the newer one only tells (`may`) is kept and skipped by the older; what changes its state (`must`) freezes it, until
the newer one is back. Each has snapshots of its own.
"""

from enum import IntEnum
from typing import ClassVar, Literal

import msgspec

from journal import codec
from journal.entry import Stored
from journal.events import Event, type_of


class Release(IntEnum):
    """Which one is started."""

    TODAYS = 1
    NEWER = 2

    @property
    def version(self) -> str:
        """As it stands in headers."""
        return f"0.0.{self.value}"

    @property
    def slot(self) -> str:
        """The system that has it."""
        return "ab"[self.value - 1]


class NewsTold(Event, frozen=True, tag="newer.told"):
    """The newer release tells of something."""

    EFFECT: ClassVar[Literal["must", "may"]] = "may"
    life: int


class MeaningChanged(Event, frozen=True, tag="newer.meant"):
    """The newer release did what the older has no state for."""

    EFFECT: ClassVar[Literal["must", "may"]] = "must"
    life: int


_NEWER = {type_of(kind): msgspec.msgpack.Decoder(kind).decode for kind in (NewsTold, MeaningChanged)}


def become(release: Release) -> None:
    """From here on the product's code reads what this release can read."""
    table = codec._DECODE[1]
    for tag, decode in _NEWER.items():
        if release is Release.NEWER:
            table[tag] = decode
        else:
            table.pop(tag, None)


def told(stored: Stored) -> Event:
    """An entry's event, whichever release wrote it."""
    decode = _NEWER.get(stored.header.type)
    event = codec.decode(stored) if decode is None else decode(stored.body)
    assert event is not None
    return event
