"""Workload logs to clients: the files as they are, and as they grow, woken by inotify and by the state; never polling.

Standard output and standard error are files of their own, one pair a run. A followed log goes on with the next run and
ends once the workload neither runs nor is about to.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

from asyncinotify import Inotify, Mask

from capsule.v1 import workload_pb2 as pb
from capsuled.engine import Engine
from projections.state import Workload
from projections.status import Phase, status_of

READ_BYTES = 256 << 10
_BLOCK = 64 << 10


class LogStreams:
    """`directory` holds a directory for each workload: `<uid>.<run>.out` and `.err`."""

    def __init__(self, engine: Engine, directory: Path) -> None:
        self._engine = engine
        self._directory = directory

    async def stream(
        self, workload: Workload, follow: bool, tail_lines: int, only: int
    ) -> AsyncIterator[pb.WorkloadLogChunk]:
        """The newest run's log, its last `tail_lines` lines of each stream (0: all), and what follows."""
        name, uid = workload.name, workload.uid
        directory = self._directory / name
        number = 0 if workload.run is None else workload.run.number
        files = [_LogFile(directory / f"{uid}.{number}{suffix}", suffix == ".err") for suffix in _suffixes(only)]
        try:
            for file in files:
                file.seek_tail(tail_lines)
            if not follow:
                for file in files:
                    while chunk := file.read():
                        yield chunk
                return
            async for _ in self._wakes(directory):
                # The state is read before the files: what a run wrote before its end is in them by then.
                now = self._engine.machine.workloads.get(name)
                current = 0 if now is None or now.uid != uid or now.run is None else now.run.number
                for file in files:
                    while chunk := file.read():
                        yield chunk
                if current > number:
                    number = current
                    for file in files:
                        file.reopen(directory / f"{uid}.{number}{file.suffix}")
                        while chunk := file.read():
                            yield chunk
                if now is None or now.uid != uid or status_of(now).phase not in (Phase.RUNNING, Phase.PENDING):
                    return
        finally:
            for file in files:
                file.close()

    async def _wakes(self, directory: Path) -> AsyncIterator[None]:
        """Once at first, then whenever a file grew or the state changed; several at once count as one."""
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        woken = asyncio.Event()
        with Inotify() as inotify:
            inotify.add_watch(directory, Mask.MODIFY | Mask.CREATE)
            watchers = (asyncio.ensure_future(_forward(inotify, woken)), asyncio.ensure_future(self._changes(woken)))
            try:
                while True:
                    woken.clear()
                    yield
                    await woken.wait()
            finally:
                for watcher in watchers:
                    watcher.cancel()
                await asyncio.gather(*watchers, return_exceptions=True)

    async def _changes(self, woken: asyncio.Event) -> None:
        async for _ in self._engine.changes():
            woken.set()


async def _forward(inotify: Inotify, woken: asyncio.Event) -> None:
    async for _ in inotify:
        woken.set()


def _suffixes(only: int) -> tuple[str, ...]:
    return {pb.LOG_STREAM_STDOUT: (".out",), pb.LOG_STREAM_STDERR: (".err",)}.get(only, (".out", ".err"))


class _LogFile:
    """One file, which need not exist yet."""

    def __init__(self, path: Path, stderr: bool) -> None:
        self._path = path
        self._stderr = stderr
        self._fd = -1
        self._offset = 0

    @property
    def suffix(self) -> str:
        return ".err" if self._stderr else ".out"

    def _open(self) -> bool:
        if self._fd < 0:
            try:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                return False
        return True

    def read(self) -> pb.WorkloadLogChunk | None:
        """The next chunk, or None at the present end."""
        if not self._open():
            return None
        data = os.pread(self._fd, READ_BYTES, self._offset)
        self._offset += len(data)
        return pb.WorkloadLogChunk(data=data, stderr=self._stderr) if data else None

    def seek_tail(self, lines: int) -> None:
        """Begin `lines` lines before the end; 0 is the beginning."""
        if lines <= 0 or not self._open():
            return
        end = os.fstat(self._fd).st_size
        self._offset = tail_offset(self._fd, end, lines)

    def reopen(self, path: Path) -> None:
        """Go on with another file, from its beginning."""
        self.close()
        self._path, self._offset = path, 0

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
