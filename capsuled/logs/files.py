"""One run's log on disk: `<uid>.<run>.out`, `.err` and `.idx` in the workload's directory; of a microVM's console also
`.serial` (see serial.py).

The runtime appends to the first two. The front of each may be a hole: that it is gone is a fact of the file alone, so
no crash can make a record of it wrong. That a loss on a full disk was told of is one, too: see `settle`.
"""

import logging
import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

from capsuled.logs.holes import front_of
from capsuled.logs.index import BLOCK_BYTES, ERR, HEADER_BYTES, OUT, STREAMS, Header, Writer, header_of
from capsuled.logs.retention import RunSize

log = logging.getLogger(__name__)

SUFFIXES: Final = {OUT: ".out", ERR: ".err"}
INDEX_SUFFIX: Final = ".idx"
SERIAL_SUFFIX: Final = ".serial"

_SETTLED: Final = stat.S_ISVTX
"""Of a file's mode: Linux gives it no meaning for a file. It goes with the file, and takes no room on a full disk."""


def path_of(directory: Path, uid: int, run: int, suffix: str) -> Path:
    """Where a part of a run's log lies."""
    return directory / f"{uid}.{run}{suffix}"


def runs_of(directory: Path, uid: int, suffixes: Collection[str] = tuple(SUFFIXES.values())) -> list[int]:
    """The runs of an incarnation that have a log, in their order: a file with one of these suffixes."""
    found = set()
    try:
        names = os.listdir(directory)
    except FileNotFoundError:
        return []
    for name in names:
        head, _, rest = name.partition(".")
        number, _, suffix = rest.partition(".")
        if head == str(uid) and number.isdecimal() and f".{suffix}" in suffixes:
            found.add(int(number))
    return sorted(found)


def size_of(directory: Path, uid: int, run: int) -> RunSize:
    """What a run's log takes. What is not there takes nothing, and what cannot be read is left out: the present run's
    log is kept in order beside it."""
    out, err, index = (_content(path_of(directory, uid, run, one)) for one in (*SUFFIXES.values(), INDEX_SUFFIX))
    return RunSize(run, out, err, index)


def _content(path: Path) -> int:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    except OSError as error:
        log.warning("%s cannot be read, and counts for nothing: %s", path, error.strerror)
        return 0
    try:
        return os.fstat(fd).st_size - front_of(fd)
    finally:
        os.close(fd)


def header_at(fd: int, number: int) -> Header | None:
    """The header of an index's block; None for a hole or damage."""
    return header_of(os.pread(fd, HEADER_BYTES, number * BLOCK_BYTES))


class RunFiles:
    """An opened run's log, for the one who keeps its index. Raises OSError."""

    def __init__(self, directory: Path, uid: int, run: int) -> None:
        self.run = run
        self.paths = {stream: path_of(directory, uid, run, suffix) for stream, suffix in SUFFIXES.items()}
        self._fds: dict[int, int] = {}
        self._index = -1
        try:
            for stream, path in self.paths.items():
                self._fds[stream] = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            # Without O_APPEND: a block that begins leaves a hole behind the last.
            path = path_of(directory, uid, run, INDEX_SUFFIX)
            self._index = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            self.close()
            raise
        self._writer: Writer | None = None
        self._known = dict.fromkeys(STREAMS, 0)

    def close(self) -> None:
        """Let go of the files."""
        for fd in (*self._fds.values(), self._index):
            if fd >= 0:
                os.close(fd)
        self._fds, self._index = {}, -1

    def begin(self, at_ms: int, fresh: bool) -> None:
        """Begin to index. `fresh`: the run began just now, so that nothing in its files is late."""
        index_bytes = os.fstat(self._index).st_size
        fresh = fresh and not index_bytes
        self._known = {stream: 0 if fresh else self.size(stream) for stream in STREAMS}
        out, err = self._known[OUT], self._known[ERR]
        self._writer = Writer(index_bytes, at_ms, out, err)
        if out or err:
            self._append(self._writer.opening())

    def grown(self, stream: int, at_ms: int) -> bool:
        """Index what the stream gained since the last time; whether it did."""
        writer, size, before = self._writer, self.size(stream), self._known[stream]
        if size == before:
            return False
        self._known[stream] = size
        if size < before:
            self.again(at_ms)
        elif writer is None:
            self.begin(at_ms, fresh=False)
        else:
            self._append(writer.add(at_ms, stream, size))
        return True

    def _append(self, data: bytes) -> None:
        writer = self._writer
        assert writer is not None
        try:
            os.pwrite(self._index, data, writer.position - len(data))
        except OSError as error:
            # The lines are there; only their times are not. What comes now will be late by a new block.
            log.debug("the index of run %d cannot be written: %s", self.run, error.strerror)
            self._writer = None

    def again(self, at_ms: int) -> None:
        """The index speaks of offsets that are no more: begin it anew."""
        os.ftruncate(self._index, 0)
        self.begin(at_ms, fresh=False)

    def size(self, stream: int) -> int:
        """The stream's length, its hole included."""
        return os.fstat(self._fds[stream]).st_size

    def sizes(self) -> RunSize:
        """What it takes now."""
        out, err, index = (os.fstat(fd).st_size - front_of(fd) for fd in (self._fds[OUT], self._fds[ERR], self._index))
        return RunSize(self.run, out, err, index)

    def empty(self, stream: int) -> None:
        """The whole stream goes, and says so. What comes between looking and cutting goes uncounted."""
        gone = self.size(stream)
        os.ftruncate(self._fds[stream], 0)
        self.note(stream, f"{gone} bytes of log were dropped here: this file system lets no part of a file go")

    def note(self, stream: int, text: str) -> None:
        """A line of the daemon's own in the log, on a line of its own."""
        last = os.pread(self._fds[stream], 1, max(0, self.size(stream) - 1))
        os.write(self._fds[stream], (b"" if last in (b"", b"\n") else b"\n") + f"[capsule] {text}\n".encode())

    def settled(self, stream: int) -> bool:
        """Whether an earlier life of the daemon wrote it in the runtime's place, and all it lost stands in it."""
        return bool(os.fstat(self._fds[stream]).st_mode & _SETTLED)

    def settle(self, stream: int, settled: bool) -> None:
        """Remember that for the lives to come. Where it cannot be, the next one tells of a loss again."""
        mode = stat.S_IMODE(os.fstat(self._fds[stream]).st_mode)
        try:
            os.fchmod(self._fds[stream], mode | _SETTLED if settled else mode & ~_SETTLED)
        except OSError as error:
            log.debug("what run %d lost cannot be marked as told: %s", self.run, error.strerror)

    def write(self, stream: int, data: bytes) -> int:
        """Append in the runtime's place; how much fitted. Raises OSError when nothing did."""
        return os.write(self._fds[stream], data)
