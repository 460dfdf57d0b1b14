"""The disk as a power cut would have left it: from a log of every write and flush that a running machine has made.

The log is QEMU's (block/blklogwrites.c), in the form of the kernel's dm-log-writes: a superblock, and entries of a sector
with the data behind it. What a flush has not covered may be there or not, each write or each sector of it: a disk with a
cache keeps what it likes.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import NamedTuple

from tests.support.power.cuts import survivors
from tools.qemu import copy_sparse

SECTOR_BYTES = 512
_MAGIC = 0x6A736677736872
_SUPER = struct.Struct("<QQQI")
_ENTRY = struct.Struct("<QQQQ")
_FLUSH, _FUA, _DISCARD = 1, 2, 4
_PIECE = 1 << 20


class Operation(NamedTuple):
    """A write of so many bytes, which stand at `data_at` in the log; or a flush, of none. What is `forced` is on the disk
    without one."""

    offset: int
    size: int
    data_at: int
    forced: bool = False

    @property
    def is_flush(self) -> bool:
        """Whether everything before it is on the disk."""
        return not self.size


def drive(disk: Path, log: Path) -> str:
    """QEMU's words for a disk that logs. Neither file outlives a power cut of the machine that this runs on; the log
    says what the machine inside was promised."""
    log.write_bytes(b"")
    parts = (("file", disk), ("log", log))
    places = ",".join(f"{name}.driver=raw,{name}.file.driver=file,{name}.file.filename={path}" for name, path in parts)
    careless = ",".join(f"{name}.cache.no-flush=on,{name}.file.cache.no-flush=on" for name, _ in parts)
    return f"driver=blklogwrites,log-sector-size={SECTOR_BYTES},{places},{careless}"


def operations(log: Path) -> list[Operation]:
    """All of them, in their order, until the log ends or is cut off where QEMU was. What was discarded is left out: such a
    disk may give back anything there."""
    found = []
    with log.open("rb") as file:
        magic, _, _, sector = _SUPER.unpack(file.read(_SUPER.size))
        assert (magic, sector) == (_MAGIC, SECTOR_BYTES), "this is no log of a disk"
        at, end = SECTOR_BYTES, file.seek(0, os.SEEK_END)
        while at + SECTOR_BYTES <= end:
            file.seek(at)
            first, sectors, flags, _ = _ENTRY.unpack(file.read(_ENTRY.size))
            at += SECTOR_BYTES
            if flags & _DISCARD:
                continue
            if flags & _FLUSH:
                found.append(Operation(0, 0, 0))
            size = sectors * SECTOR_BYTES
            if at + size > end or not (sectors or flags):
                break  # the plug was pulled before this one was in the log
            if size:
                found.append(Operation(first * SECTOR_BYTES, size, at, bool(flags & _FUA)))
                at += size
    return found


class Wound:
    """The disk wound to any moment of its log: `base` is how it was before. `file` has all that was flushed by then."""

    def __init__(self, base: Path, log: Path, file: Path) -> None:
        self.operations = operations(log)
        self.file = file
        self.base = base
        self._log = log.open("rb")
        self._position = -1

    def close(self) -> None:
        """The disk that was wound goes."""
        self._log.close()
        self.file.unlink(missing_ok=True)

    def content(self, one: Operation) -> bytes:
        """What it wrote."""
        self._log.seek(one.data_at)
        return self._log.read(one.size)

    @contextmanager
    def cut(self, at: int, style: str, random: Random) -> Iterator[Sequence[Operation]]:
        """The power goes before operation `at`. Meanwhile `file` is the disk that is left; yields what was not flushed
        and is there all the same."""
        flushed = max((number for number in range(at) if self.operations[number].is_flush), default=0)
        self._wind(flushed)
        behind = [(one.offset, self.content(one)) for one in self.operations[flushed:at] if one.size]
        left = survivors(behind, style, random)
        with self.file.open("r+b") as disk:
            former = []
            for offset, data in left:
                disk.seek(offset)
                former.append((offset, disk.read(len(data))))
                disk.seek(offset)
                disk.write(data)
        try:
            yield [Operation(offset, len(data), 0) for offset, data in left]
        finally:
            with self.file.open("r+b") as disk:
                for offset, data in reversed(former):
                    disk.seek(offset)
                    disk.write(data)

    def _wind(self, to: int) -> None:
        if to < self._position or self._position < 0:
            copy_sparse(self.base, self.file)
            self._position = 0
        with self.file.open("r+b") as disk:
            for one in self.operations[self._position : to]:
                for begin in range(0, one.size, _PIECE):
                    self._log.seek(one.data_at + begin)
                    disk.seek(one.offset + begin)
                    disk.write(self._log.read(min(_PIECE, one.size - begin)))
        self._position = to
