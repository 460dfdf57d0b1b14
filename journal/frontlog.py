"""The front log: a file of the journal's own in front of LMDB, where a group of entries becomes durable by one barrier.

    block 0    `capsule-front 1`, newline, the log's mark, zeroes
    block 1 …  frames (journal/frame.py), round and round (journal/ring.py)

The file is written with zeroes once, when it is made, and never grows: a barrier then finds no extent and no size to
make durable, only the blocks of the group, and a memory card is worn by what happens and by nothing else. A group is
written only once the one before it is durable, and over nothing that LMDB does not durably hold. The mark stands in
LMDB as well (`meta`), once the file is on the disk: where it does, the log belongs to the journal, and is missed.
"""

import errno
import os
import threading
from contextlib import suppress
from pathlib import Path

from journal.durable import sync_directory
from journal.environment import FRONT_LOG, Environment
from journal.errors import JournalReadOnly
from journal.frame import BLOCK_BYTES, MARK_BYTES, Frame, pack
from journal.ring import Ring
from journal.tail import title

LOG_BYTES = 16 << 20
"""A burst of twenty thousand entries is over before any of it has to be moved."""
_CHUNK_BYTES = 1 << 20


class FrontLog:
    """The open file. `write` is the appender's thread's, `release` the mover's."""

    def __init__(self, path: Path, mark: bytes, generation: int) -> None:
        self._mark = mark
        self._generation = generation
        self._fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        # Nobody reads it any more: what making or reading it left in memory goes. It lies there in large pieces, too,
        # and a block that is written counts as its whole piece in the kernel's limits of what is not on the disk yet.
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)
        self._ring = Ring(os.fstat(self._fd).st_size - BLOCK_BYTES)
        self._turn = threading.Condition()
        self._abandoned = False
        self.writes = 0
        """How many frames were written: barriers, that is."""

    @property
    def size(self) -> int:
        """The most that a frame may have."""
        return self._ring.size

    @property
    def used(self) -> int:
        """Bytes of frames that LMDB does not hold yet."""
        return self._ring.used

    @property
    def fills(self) -> bool:
        """Whether so much is used that a lull can no longer be waited for."""
        return self._ring.used > self._ring.size * 3 // 4

    def packed(self, frame: Frame) -> bytes:
        """The bytes of a frame of this log."""
        return pack(self._mark, self._generation, frame)

    def has_room(self, size: int) -> bool:
        """Whether `write` would go ahead at once."""
        with self._turn:
            return self._ring.place(size) is not None

    def write(self, content: bytes, last: int) -> None:
        """Make a frame durable, which ends with entry `last`; first wait for room, if there is none. Raises OSError."""
        with self._turn:
            while (place := self._ring.place(len(content))) is None and not self._abandoned:
                self._turn.wait()
            if place is None or self._abandoned:
                raise OSError("entries can no longer be moved from the front log into LMDB")
            self._ring.keep(place, len(content), last)
        # Write and barrier in one call: between two, the interpreter's lock would have to be waited for.
        written = os.pwritev(self._fd, [content], BLOCK_BYTES + place, os.RWF_DSYNC)
        if written != len(content):
            raise OSError(f"the front log took {written} of {len(content)} bytes")
        self.writes += 1

    def release(self, upto: int) -> None:
        """LMDB durably holds everything up to entry `upto`."""
        with self._turn:
            self._ring.release(upto)
            self._turn.notify()

    def abandon(self) -> None:
        """Nothing will be released any more: who waits for room is told."""
        with self._turn:
            self._abandoned = True
            self._turn.notify()

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._fd)


def open_front_log(environment: Environment, size: int = LOG_BYTES) -> FrontLog:
    """The log of a journal that may be written, made where there is none yet. Raises JournalReadOnly."""
    path = environment.directory / FRONT_LOG
    if not environment.mark:
        mark = os.urandom(MARK_BYTES)
        try:
            _make(path, mark, size)
        except OSError as error:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise JournalReadOnly(
                f"the journal's front log {path} of {size >> 20} MiB cannot be made: {error.strerror}. Free space "
                "there and start capsuled again; until then nothing can be changed here"
            ) from error
        environment.adopt_log(mark)
    return FrontLog(path, environment.mark, environment.tail.generation + 1)


def _make(path: Path, mark: bytes, size: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(fd, 0, size)  # in one piece, where the disk has one
        for start in range(0, size, _CHUNK_BYTES):
            chunk = bytes(min(_CHUNK_BYTES, size - start))
            if os.pwrite(fd, chunk, start) != len(chunk):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.pwrite(fd, title(mark), 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_directory(path.parent)
