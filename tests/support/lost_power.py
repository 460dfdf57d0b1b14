"""What is on a disk when the power goes in the middle of writes.

QEMU notes what a machine writes in the order in which it is done, and where it was flushed: its driver `blklogwrites`, in
the form of the kernel's own (Documentation/admin-guide/device-mapper/log-writes.rst). A disk with a cache that loses its
power has everything up to the last flush. Of what came behind it, it has any part in any order: here a random half, of
which some writes end after one of their sectors.
"""

import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SECTOR = 512
_SUPER = struct.Struct("<QQQI")
_MAGIC = 0x6A736677736872
_ENTRY = struct.Struct("<QQQQ")
_FLUSH, _FUA, _DISCARD = 1, 2, 4


class Noted(NamedTuple):
    """A write or a flush. `at` is where its bytes lie in the log."""

    offset: int
    length: int
    flags: int
    at: int


class Cut(NamedTuple):
    """How many writes there were behind the last flush, and of how many of them not all is on the disk."""

    unflushed: int
    lost: int


def recorded(disk: Path, log: Path) -> str:
    """QEMU's words for a disk whose writes are noted in a new log. Nothing waits for this machine's own disk."""
    log.write_bytes(b"")
    files = (("file", disk), ("log", log))
    return "driver=blklogwrites," + ",".join(
        f"{node}.driver=file,{node}.filename={file},{node}.cache.no-flush=on" for node, file in files
    )


def noted(log: Path) -> Iterator[Noted]:
    """In their order, until the log ends or is cut off where QEMU was. What a discard leaves is not defined: here it is
    what was there."""
    end = log.stat().st_size
    with log.open("rb") as file:
        magic, _, _, sector = _SUPER.unpack(file.read(_SUPER.size))
        assert (magic, sector) == (_MAGIC, SECTOR), "a log of another form"
        at = SECTOR
        while at + SECTOR <= end:
            file.seek(at)
            start, sectors, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            at += SECTOR
            if flags & _DISCARD:
                continue
            if at + sectors * SECTOR > end or not (sectors or flags):
                return
            yield Noted(start * SECTOR, sectors * SECTOR, flags, at)
            at += sectors * SECTOR


def cut(disk: Path, log: Path, seed: int) -> Cut:
    """Bring `disk`, as it was when the log began, to where the power's loss at the log's end leaves it."""
    chance = random.Random(seed)
    entries = list(noted(log))
    flushed = max((number for number, one in enumerate(entries) if one.flags & _FLUSH), default=0)
    unflushed = lost = 0
    with log.open("rb") as source, disk.open("r+b") as target:
        for number, one in enumerate(entries):
            length = one.length
            if number > flushed and not one.flags & _FUA:
                unflushed += 1
                length = chance.choice((0, 0, length, length, min(SECTOR, length)))
                lost += length < one.length
            source.seek(one.at)
            os.pwrite(target.fileno(), source.read(length), one.offset)
    return Cut(unflushed, lost)
