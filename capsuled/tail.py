"""Files that grow: read from near their end, and waited on by inotify."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from asyncinotify import Inotify, Mask

READ_BYTES = 256 << 10
_BLOCK = 64 << 10


async def grows(directory: Path, also: AsyncIterator[Any] | None = None) -> AsyncIterator[None]:
    """Yields once at first, then whenever a file in `directory` grew or `also` had an item; many at once are one."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    woken = asyncio.Event()
    with Inotify() as inotify:
        inotify.add_watch(directory, Mask.MODIFY | Mask.CREATE)
        sources = [inotify] if also is None else [inotify, also]
        watchers = [asyncio.ensure_future(_forward(source, woken)) for source in sources]
        try:
            while True:
                woken.clear()
                yield
                await woken.wait()
        finally:
            for watcher in watchers:
                watcher.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)


async def _forward(source: Any, woken: asyncio.Event) -> None:
    async for _ in source:
        woken.set()


class TailedFile:
    """One file, which need not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._offset = 0

    def _open(self) -> bool:
        if self._fd < 0:
            try:
                self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        return True

    def read(self) -> bytes:
        """What comes next; empty at the present end."""
        if not self._open():
            return b""
        data = os.pread(self._fd, READ_BYTES, self._offset)
        self._offset += len(data)
        return data

    def seek_tail(self, lines: int) -> None:
        """Begin `lines` lines before the end; 0 is the beginning."""
        if lines <= 0 or not self._open():
            return
        end = os.fstat(self._fd).st_size
        self._offset = tail_offset(self._fd, end, lines)

    def reopen(self, path: Path) -> None:
        """Go on with another file, from its beginning."""
        self.close()
        self.path, self._offset = path, 0

    def close(self) -> None:
        """Let go of the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def tail_offset(fd: int, end: int, lines: int) -> int:
    """Where the last `lines` lines of a file of `end` bytes begin. A last line without newline is a line."""
    position, wanted = end, lines + 1
    if end and os.pread(fd, 1, end - 1) != b"\n":
        wanted -= 1
    while position > 0:
        size = min(_BLOCK, position)
        block = os.pread(fd, size, position - size)
        found = block.count(b"\n")
        if found >= wanted:
            at = len(block)
            for _ in range(wanted):
                at = block.rindex(b"\n", 0, at)
            return position - size + at + 1
        wanted -= found
        position -= size
    return 0
