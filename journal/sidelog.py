"""The side log: what is done while the journal cannot write. Small, preallocated, read in on recovery.

One 512-byte sector a record: magic, length, checksum, msgpack body, zeroes. The first sectors were written when the
file was made, so they need no space from a full disk; where a disk has more, more are taken when these are used up. It
lies beside the journal's directory, not in it: on the OS that is a disk of its own, which may be the one that is
missing. It holds actions, never desired state.
"""

import os
import zlib
from collections.abc import Container, Iterator
from pathlib import Path

import msgspec

from journal.entry import UNREADABLE, Actor

SECTOR = 512
SECTORS = 128
"""Taken beforehand; it grows by as many."""
MOST = 64 * SECTORS
FOR_UPDATES = 18
"""Sectors that an emergency stop leaves to updates: one that is pushed and tried, and the way back from it."""
_MAGIC = b"CSL1"


class Emergency(msgspec.Struct, frozen=True, omit_defaults=True):
    """An action that was taken and could not be remembered as desired state. `at` is wall time in nanoseconds. What
    concerns a slot is an `event` of this `type` and `version`, encoded as in the journal, with the `actor` whose word
    it was, and becomes the journal's entry `seq`."""

    action: str
    name: str = ""
    uid: int = 0
    at: int = 0
    type: str = ""
    event: bytes = b""
    actor: Actor | None = None
    seq: int = 0
    version: int = 1


class SideLogFull(Exception):
    """Raised when there is no sector for a record, and none to be had: the action may be done, but will not be
    remembered."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Emergency)


class SideLog:
    """The open file, of `most` sectors in the end; a record that `append` returned from is on the disk."""

    def __init__(self, path: Path, most: int = MOST) -> None:
        self._path = path
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
        while (free := sum(body is None for body in self._bodies())) < sectors:
            size = os.fstat(self._fd).st_size
            if size >= SECTOR * self._most:
                raise SideLogFull(
                    f"the side log {self._path} has {self._most - free} of the {self._most} records that it takes at "
                    "most: the next system that can write the journal reads them in"
                )
            try:
                os.posix_fallocate(self._fd, size, SECTOR * SECTORS)
                os.pwrite(self._fd, bytes(SECTOR * SECTORS), size)
                os.fsync(self._fd)
            except OSError as error:
                os.ftruncate(self._fd, size)
                raise SideLogFull(
                    f"the side log {self._path} has no room for it, and its disk gives it no more ({error.strerror}): "
                    "free space there"
                ) from error

    def append(self, record: Emergency) -> None:
        """Write one record durably. Raises SideLogFull, and OSError when not even this file can be written."""
        body = _encoder.encode(record)
        framed = _MAGIC + len(body).to_bytes(2, "big") + zlib.crc32(body).to_bytes(4, "big") + body
        if len(framed) > SECTOR:
            raise SideLogFull("the record is longer than a sector")
        self.make_room(1)
        sector = next(number for number, held in enumerate(self._bodies()) if held is None)
        os.pwrite(self._fd, framed.ljust(SECTOR, b"\0"), sector * SECTOR)
        os.fdatasync(self._fd)

    def records(self) -> tuple[Emergency, ...]:
        """What stands in it and this release can read, oldest first; a torn record is skipped."""
        found = (None if body is None else _record(body) for body in self._bodies())
        return tuple(record for record in found if record is not None)

    def count(self) -> int:
        """How many records stand in it, readable or not."""
        return sum(body is not None for body in self._bodies())

    def forget(self, told: Container[Emergency]) -> None:
        """Forget these, once they stand in the journal. What came in meanwhile stays, and so does what this release
        cannot read: it is for the one that wrote it."""
        for sector, body in enumerate(self._bodies()):
            if body is not None and (record := _record(body)) is not None and record in told:
                os.pwrite(self._fd, bytes(SECTOR), sector * SECTOR)
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)

    def _bodies(self) -> Iterator[bytes | None]:
        """Of each sector the body of its record; None where it is free, as it is behind a write that was torn."""
        content = os.pread(self._fd, SECTOR * MOST, 0)
        for at in range(0, len(content) - SECTOR + 1, SECTOR):
            sector = content[at : at + SECTOR]
            length, crc = int.from_bytes(sector[4:6], "big"), int.from_bytes(sector[6:10], "big")
            body = sector[10 : 10 + length]
            yield body if sector[:4] == _MAGIC and body and zlib.crc32(body) == crc else None


def _record(body: bytes) -> Emergency | None:
    try:
        return _decoder.decode(body)
    except UNREADABLE:
        return None
