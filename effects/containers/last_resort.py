"""Ending containers without containerd: on a disk that cannot be written it does not start, and an emergency is one.

runc's own directory is below /run and survives that (see first_process.py).
"""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

from effects.alive import PARENT, stat_field
from effects.containerd.connection import NAMESPACE
from effects.containers.first_process import first_process
from effects.containers.names import stem_of


class LastResort:
    """`runc_root` is what containerd was told to use."""

    def __init__(self, runc_root: Path) -> None:
        self._directory = runc_root / NAMESPACE

    async def stop(self, name: str, uid: int, grace_ms: int) -> int:
        """End every run of a workload, asking first; how many lived. `uid` is 0 where nobody knows it any more."""
        if not uid and stem_of(name) != name:
            return 0  # another workload's name may begin like this one
        pattern = re.compile(re.escape(stem_of(name)) + rf"\.({uid or '[0-9]+'})\.[0-9]+")
        found = tuple(self._directory.iterdir()) if self._directory.is_dir() else ()
        return sum([await self._end(one, grace_ms) for one in found if pattern.fullmatch(one.name)])

    async def stop_all(self, grace_ms: Callable[[str], int]) -> int:
        """End everything, and the shims that watched over it; how many runs lived. `grace_ms` says how long each may
        take, by what the workload's identifiers begin with."""
        found = tuple(self._directory.iterdir()) if self._directory.is_dir() else ()
        ends = (self._end(one, grace_ms(one.name.rpartition(".")[0].rpartition(".")[0]), True) for one in found)
        ended = await asyncio.gather(*ends)
        return sum(ended)

    async def _end(self, directory: Path, grace_ms: int, with_shim: bool = False) -> bool:
        found = first_process(directory)
        if found is None:
            return False
        process, pid = found
        try:
            shim = int(stat_field(pid, PARENT)) if with_shim else 0
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(process, signal.SIGTERM)
                if not await _gone(process, grace_ms / 1000):
                    signal.pidfd_send_signal(process, signal.SIGKILL)
                    await _gone(process, None)
                if shim and _name(shim).startswith("containerd-shim"):
                    os.kill(shim, signal.SIGKILL)
        finally:
            os.close(process)
        return True


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


async def _gone(process: int, seconds: float | None) -> bool:
    """Wait for the end of a process; whether it came in time."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process, ended.set)
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(process)
    return True
