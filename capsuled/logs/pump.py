"""Stepping in where the runtime gave a log up: when the disk is full, the shim stops copying a container's output for
good, and the container would hang as soon as its pipe is full. So the daemon reads the pipe from then on.

It writes what fits and drops what does not, and the log says how much was dropped once there is room again. The pipe
stays the shim's, too: a daemon that dies breaks it for nobody, and the next one goes on reading. To that one it looks
as if the shim had given up just now: that all that is missing is named in the log by then, its file says.
"""

import asyncio
import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Final

from capsuled.logs.files import RunFiles

SHIM_BUFFER_BYTES: Final = 32 << 10
_READ_BYTES = 64 << 10
_PROC = Path("/proc")


class Pump:
    """From a pipe to a run's log. `gap(bytes)` hears what was dropped, when there is room again or at the end."""

    def __init__(self, files: RunFiles, stream: int, pipe: int, gap: Callable[[int], None]) -> None:
        self._files = files
        self._stream = stream
        self._pipe = pipe
        self._gap = gap
        # What was lost before this life: in the shim, or by a daemon that died before it could tell.
        self._before = 0 if files.settled(stream) else SHIM_BUFFER_BYTES
        self._dropped = self._before
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe, self._ready)

    def _ready(self) -> None:
        try:
            data = os.read(self._pipe, _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        lost = len(data) - self._write(data)  # which settles what was lost before
        if lost and not self._dropped:
            self._files.settle(self._stream, False)
        self._dropped += lost

    def _write(self, data: bytes) -> int:
        try:
            if self._dropped:
                self._settle()
            return self._files.write(self._stream, data)
        except OSError:
            return 0

    def _settle(self) -> None:
        """Say what is missing. Raises OSError while there is no room to say it."""
        self._files.note(self._stream, f"the disk was full: up to {self._dropped} bytes of output were dropped here")
        self._files.settle(self._stream, True)  # when it is told: who dies before that leaves it to the next life
        dropped, self._dropped, self._before = self._dropped, 0, 0
        self._gap(dropped)

    @property
    def closed(self) -> bool:
        """Whether it has ended."""
        return self._pipe < 0

    def close(self, goes_on: bool = False) -> None:
        """Read no more. `goes_on`: only the daemon ends, not the run."""
        if self._pipe < 0:
            return
        self._loop.remove_reader(self._pipe)
        os.close(self._pipe)
        self._pipe = -1
        if self._dropped:
            try:
                self._settle()
            except OSError:
                # The next life names the gap. What was lost before this one it counts, too, or each would anew.
                if lost := self._dropped - (self._before if goes_on else 0):
                    self._gap(lost)


def abandoned_pipe(container: str, pid: int, log: Path, number: int) -> int | None:
    """The reading end of output `number` (1 or 2) of a container's process, if its shim copied it to `log` once and
    gave that up. None when the shim still writes, the process is gone, or sent its output elsewhere.

    Linux's /proc; the shim is known by its command line, as a process id alone may be another's by now.
    """
    output = _PROC / str(pid) / "fd" / str(number)
    try:
        shim = _PROC / (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1]
        words = (shim / "cmdline").read_bytes().split(b"\0")
        if (b"-id", container.encode()) not in pairwise(words):
            return None
        target, pipe, held = os.stat(log), os.readlink(output), False
        for entry in os.scandir(shim / "fd"):
            link = os.readlink(entry.path)
            if link.startswith("/") and _same(entry.path, target):
                return None
            held = held or link == pipe
        if not held or not pipe.startswith("pipe:"):
            return None
        return os.open(output, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, IndexError):
        return None


def _same(path: str, target: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.stat(path), target)
    except OSError:
        return False
