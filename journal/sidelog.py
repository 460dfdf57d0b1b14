"""The side log: emergency actions while the journal cannot write. Small, preallocated, read in on recovery.

One 512-byte sector a record: magic, length, checksum, msgpack body, zeroes. The file's blocks were written when the
journal was made, so a record needs no space from a full disk. It holds actions, never desired state.
"""

import os
import zlib
from collections.abc import Container
from pathlib import Path

import msgspec

from journal.entry import UNREADABLE, Actor

SECTOR = 512
SECTORS = 128
_MAGIC = b"CSL1"


class Emergency(msgspec.Struct, frozen=True, omit_defaults=True):
    """An action that was taken and could not be remembered as desired state. `at` is wall time in nanoseconds. What
    concerns a slot is an `event` of this `type`, encoded as in the journal, with the `actor` whose word it was, and
    becomes the journal's entry `seq`."""

    action: str
    name: str = ""
    uid: int = 0
    at: int = 0
    type: str = ""
    event: bytes = b""
    actor: Actor | None = None
    seq: int = 0


class SideLogFull(Exception):
    """Raised when every sector holds a record: the action may be done, but will not be remembered."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Emergency)


class SideLog:
    """The open file; a record that `append` returned from is on the disk."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(self._fd).st_size < SECTOR * SECTORS:
            os.pwrite(self._fd, bytes(SECTOR * SECTORS), 0)
            os.fsync(self._fd)

    def append(self, record: Emergency) -> None:
        """Write one record durably. Raises SideLogFull, and OSError when not even this file can be written."""
        body = _encoder.encode(record)
        framed = _MAGIC + len(body).to_bytes(2, "big") + zlib.crc32(body).to_bytes(4, "big") + body
        if len(framed) > SECTOR:
            raise SideLogFull("the record is longer than a sector")
        for sector in range(SECTORS):
            if _record(os.pread(self._fd, SECTOR, sector * SECTOR)) is None:
                os.pwrite(self._fd, framed.ljust(SECTOR, b"\0"), sector * SECTOR)
                os.fdatasync(self._fd)
                return
        raise SideLogFull("the side log has no free sector: free disk space, so that the journal can write again")

    def records(self) -> tuple[Emergency, ...]:
        """What stands in it, oldest first; a torn record is skipped."""
        found = (_record(os.pread(self._fd, SECTOR, sector * SECTOR)) for sector in range(SECTORS))
        return tuple(record for record in found if record is not None)

    def forget(self, told: Container[Emergency]) -> None:
        """Forget these, once they stand in the journal; what came in meanwhile stays."""
        for sector in range(SECTORS):
            if _record(os.pread(self._fd, SECTOR, sector * SECTOR)) in told:
                os.pwrite(self._fd, bytes(SECTOR), sector * SECTOR)
        os.fdatasync(self._fd)

    def clear(self) -> None:
        """Forget everything, once it stands in the journal."""
        os.pwrite(self._fd, bytes(SECTOR * SECTORS), 0)
        os.fdatasync(self._fd)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def _record(sector: bytes) -> Emergency | None:
    if sector[:4] != _MAGIC:
        return None
    length, crc = int.from_bytes(sector[4:6], "big"), int.from_bytes(sector[6:10], "big")
    body = sector[10 : 10 + length]
    if zlib.crc32(body) != crc:
        return None
    try:
        return _decoder.decode(body)
    except UNREADABLE:
        return None
