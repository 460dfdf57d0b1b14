"""Logs of the daemon's own and of what it supervises: plain files, held to a bound, and followed by clients."""

import asyncio
import logging
import os
import stat
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Final

from capsuled.boot_order import newest_first, put_behind
from capsuled.logs.cutting import cut_front
from capsuled.logs.growth import Growth
from capsuled.logs.holes import first_line, front_of, line_behind
from capsuled.logs.setback import Setback
from capsuled.logs.tail import tail_offset

log = logging.getLogger(__name__)

MAX_BYTES: Final = 16 << 20
BOOTS_KEPT: Final = 8
READ_BYTES: Final = 256 << 10


class PlainLog:
    """One file that somebody appends to. Its front goes when it outgrows `max_bytes`; `tell` hears of each growth."""

    def __init__(
        self,
        growth: Growth,
        group: asyncio.TaskGroup,
        path: Path,
        max_bytes: int = MAX_BYTES,
        tell: Callable[[], None] = lambda: None,
    ) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._tell = tell
        self._group = group
        # It is looked at, and others write: what is there can be had of a disk that takes nothing any more, too.
        self._fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._size = 0
        self._cutting = False
        self._setback = Setback(str(path))
        self._followers: set[asyncio.Event] = set()
        self._watched = growth.watch(path, self._grew)

    def close(self) -> None:
        """Watch it no longer."""
        self._watched.end()
        os.close(self._fd)
        self._fd = -1

    def _grew(self) -> bool:
        size = os.fstat(self._fd).st_size
        if size == self._size:
            return False
        self._size = size
        self._tell()
        for woken in self._followers:
            woken.set()
        if not self._cutting and self._setback.is_over() and size - front_of(self._fd) > self._max_bytes:
            self._cutting = True
            self._group.create_task(self._cut(), name=f"log {self.path.name}")
        return True

    async def _cut(self) -> None:
        try:
            keep = self._max_bytes - self._max_bytes // 8
            if not await asyncio.to_thread(cut_front, self.path, keep):
                os.truncate(self.path, 0)
            self._setback.mended()
        except OSError as error:
            self._setback.failed(error)
        finally:
            self._cutting = False

    async def stream(self, follow: bool, tail_lines: int = 0) -> AsyncGenerator[bytes, None]:
        """The log, its last `tail_lines` lines (0: all of it), and what follows. Nothing, as bytes, says each time that
        this is all there is so far."""
        woken = asyncio.Event()
        self._followers.add(woken)
        reader = PlainReader(self.path, tail_lines)
        try:
            while True:
                woken.clear()
                for data in reader.pieces():
                    yield data
                yield b""
                if not follow:
                    return
                await woken.wait()
        finally:
            self._followers.discard(woken)
            reader.close()


class PlainReader:
    """A place in such a file, from its last `tail_lines` lines on (0: from its front). Raises OSError."""

    def __init__(self, path: Path, tail_lines: int = 0) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._at = tail_offset(self._fd, os.fstat(self._fd).st_size, tail_lines) if tail_lines > 0 else 0

    def pieces(self, most_bytes: int = READ_BYTES) -> Iterator[bytes]:
        """What there is now behind the last piece, in such of `most_bytes`."""
        fd = self._fd
        self._at = min(self._at, os.fstat(fd).st_size)  # emptied, on a file system without holes
        while True:
            data = os.pread(fd, most_bytes, self._at)
            if (front := front_of(fd)) > self._at:
                self._at = line_behind(fd, front)
            elif data:
                self._at += len(data)
                yield data
            else:
                return

    def close(self) -> None:
        """Read no more."""
        os.close(self._fd)


async def whole(path: Path) -> AsyncGenerator[bytes, None]:
    """A log that nobody writes to any more, as `PlainLog.stream` has it."""
    with path.open("rb", buffering=0) as file:
        file.seek(first_line(file.fileno()))
        while data := file.read(READ_BYTES):
            yield data
    yield b""


def earlier_boots(present: Path) -> list[Path]:
    """The logs of boots before the present one, which lie beside its own, newest first."""
    others = (path for path in present.parent.glob("*.log") if path != present and len(path.stem) == 36)
    return newest_first(others)


def forget_boots(present: Path) -> None:
    """Keep the logs of the newest boots. Called as a boot begins: by then the order of those before is known."""
    try:
        _put_in_order(earlier_boots(present))
        for path in earlier_boots(present)[BOOTS_KEPT - 1 :]:
            path.unlink(missing_ok=True)
    except OSError as error:
        log.warning("the logs of earlier boots stay as they are: %s", error.strerror)


def _put_in_order(logs: list[Path]) -> None:
    """Whoever wrote the last of them has ended: its mtime is put behind the others'. That this was done shows by a log
    that nobody may write to: so none is put behind what came later."""
    ordered = [path for path in logs if not path.stat().st_mode & stat.S_IWUSR]
    for path in reversed(logs):
        if path not in ordered:
            put_behind(path, ordered)
            path.chmod(0o400)
            ordered.append(path)
