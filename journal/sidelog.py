"""The side log: what is done while the journal cannot write. Small, preallocated, read in on recovery.

One 512-byte sector a record: magic, length, checksum, msgpack body, zeroes, and in its last four bytes the record's
place among the others, which its sector does not tell: where one was forgotten a later one may lie. The first sectors
were written when the file was made, so they need no space from a full disk; where a disk has more, more are taken when
these are used up. It lies beside the journal's directory, not in it: on the OS that is a disk of its own, which may be
the one that is missing. It holds actions, never desired state.
"""

import os
import zlib
from collections.abc import Container, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from journal.entry import UNREADABLE, Actor

SECTOR = 512
SECTORS = 128
"""Taken beforehand; it grows by as many."""
MOST = 64 * SECTORS
FOR_UPDATES = 20
"""Sectors that an emergency stop leaves to updates: one that is pushed and tried, and the way back from it."""
_MAGIC = b"CSL1"
_HEAD_BYTES, _PLACE_BYTES = 10, 4


class Emergency(msgspec.Struct, frozen=True, omit_defaults=True):
    """An action that was taken and could not be remembered as desired state. `at` is wall time in nanoseconds. What
    concerns a slot is an `event` of this `type` and `version`, encoded as in the journal, with the `actor` whose word
    it was, and becomes the journal's entry `seq`. `boot`: in which a halt was."""

    action: str
    name: str = ""
    uid: int = 0
    at: int = 0
    type: str = ""
    event: bytes = b""
    actor: Actor | None = None
    seq: int = 0
    version: int = 1
    boot: str = ""


class SideLogFull(Exception):
    """Raised when there is no sector for a record, and none to be had: the action may be done, but will not be
    remembered."""


class _Held(NamedTuple):
    """A record as it lies there: its place among the others, and its body."""

    place: int
    body: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Emergency)


class SideLog:
    """The open file, of `most` sectors in the end; a record that `append` returned from is on the disk."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self.path = path
        self._most = most
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(self._fd).st_size < SECTOR * SECTORS:
                os.pwrite(self._fd, bytes(SECTOR * SECTORS), 0)
                os.fsync(self._fd)
            self.count()  # what cannot be read can stand in for nothing
        except OSError:
            os.close(self._fd)
            raise

    def make_room(self, sectors: int) -> None:
        """So many are free. Raises SideLogFull where the disk has none for them."""
        while (free := sum(held is None for held in self._held())) < sectors:
            size = os.fstat(self._fd).st_size
            if size >= SECTOR * self._most:
                raise SideLogFull(
                    f"the side log {self.path} has {self._most - free} of the {self._most} records that it takes at "
                    "most: the next system that can write the journal reads them in"
                )
            try:
                os.posix_fallocate(self._fd, size, SECTOR * SECTORS)
                os.pwrite(self._fd, bytes(SECTOR * SECTORS), size)
                os.fsync(self._fd)
            except OSError as error:
                os.ftruncate(self._fd, size)
                raise SideLogFull(
                    f"the side log {self.path} has no room for it, and its disk gives it no more ({error.strerror}): "
                    "free space there"
                ) from error

    def append(self, record: Emergency) -> None:
        """Write one record durably. Raises SideLogFull, and OSError when not even this file can be written."""
        body = _encoder.encode(record)
        framed = _MAGIC + len(body).to_bytes(2, "big") + zlib.crc32(body).to_bytes(4, "big") + body
        if len(framed) > SECTOR - _PLACE_BYTES:
            raise SideLogFull("the record is longer than a sector")
        self.make_room(1)
        held = list(self._held())
        place = 1 + max((one.place for one in held if one is not None), default=0)
        sector = framed.ljust(SECTOR - _PLACE_BYTES, b"\0") + place.to_bytes(_PLACE_BYTES, "big")
        os.pwrite(self._fd, sector, held.index(None) * SECTOR)
        os.fdatasync(self._fd)

    def records(self) -> tuple[Emergency, ...]:
        """What stands in it and this release can read, oldest first; a torn record is skipped."""
        held = sorted((one for one in self._held() if one is not None), key=lambda one: one.place)
        return tuple(record for one in held if (record := _record(one.body)) is not None)

    def count(self) -> int:
        """How many records stand in it, readable or not."""
        return sum(held is not None for held in self._held())

    def forget(self, told: Container[Emergency]) -> None:
        """Forget these, once they stand in the journal. What came in meanwhile stays, and so does what this release
        cannot read: it is for the one that wrote it."""
        for sector, held in enumerate(self._held()):
            if held is not None and (record := _record(held.body)) is not None and record in told:
                os.pwrite(self._fd, bytes(SECTOR), sector * SECTOR)
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _held(self) -> Iterator[_Held | None]:
        """What each sector holds; None where it is free, as it is behind a write that was torn."""
        content = os.pread(self._fd, SECTOR * MOST, 0)
        for at in range(0, len(content) - SECTOR + 1, SECTOR):
            sector = content[at : at + SECTOR]
            length, crc = int.from_bytes(sector[4:6], "big"), int.from_bytes(sector[6:10], "big")
            body = sector[_HEAD_BYTES : _HEAD_BYTES + length]
            whole = sector[:4] == _MAGIC and body and zlib.crc32(body) == crc
            yield _Held(int.from_bytes(sector[-_PLACE_BYTES:], "big"), body) if whole else None


def _record(body: bytes) -> Emergency | None:
    try:
        return _decoder.decode(body)
    except UNREADABLE:
        return None
