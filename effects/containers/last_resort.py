"""Ending containers without containerd: on a disk that cannot be written it does not start, and an emergency is one.

runc's own directory is below /run and survives that (see first_process.py).
"""

import asyncio
import contextlib
import logging
import os
import re
import signal
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from effects.alive import KILL_WAIT_S, PARENT, ended_within, has_ended, killed, send, stat_field
from effects.containerd.connection import NAMESPACE
from effects.containers.first_process import first_process
from effects.cut_short import done_unless
from effects.errors import StartFailed
from effects.runs.names import stem_of, workload_of
from projections.ending import ending_turns

log = logging.getLogger(__name__)

_NOTHING: Mapping[str, Collection[str]] = {}


class Ends(msgspec.Struct, frozen=True):
    """How many runs were ended, and which withstood: each by what its workload's identifiers begin with."""

    count: int = 0
    left: tuple[str, ...] = ()


class LastResort:
    """`runc_root` is what containerd was told to use."""

    def __init__(self, runc_root: Path) -> None:
        self._directory = runc_root / NAMESPACE

    async def stop(self, name: str, uid: int, grace_ms: int) -> int:
        """End every run of a workload, asking first; how many lived. `uid` is 0 where nobody knows it any more. Raises
        StartFailed when one does not end, as the drivers do; the others have ended then."""
        if not uid and stem_of(name) != name:
            return 0  # another workload's name may begin like this one
        pattern = re.compile(re.escape(stem_of(name)) + rf"\.({uid or '[0-9]+'})\.[0-9]+")
        found = [one for one in self._found() if pattern.fullmatch(one.name)]
        ends = _counted({one: await self._end(one, grace_ms) for one in found})
        if ends.left:
            raise StartFailed("the process does not end although it was killed: it may hang in the kernel")
        return ends.count

    async def stop_all(
        self,
        grace_ms: Callable[[str], int],
        needs: Mapping[str, Collection[str]] = _NOTHING,
        hurry: asyncio.Event | None = None,
    ) -> Ends:
        """End everything, and the shims that watched over it. `grace_ms` says how long each may take, by what the
        workload's identifiers begin with, until `hurry` is set; `needs` which workloads each depends on: who uses
        another ends before it."""
        ended: dict[Path, bool | None] = {}
        found = self._found()
        for turn in ending_turns(_by_stem(needs), dict.fromkeys(map(_stem, found))):
            ours = [one for one in found if _stem(one) in turn]
            ends = await asyncio.gather(*(self._end(one, grace_ms(_stem(one)), hurry, with_shim=True) for one in ours))
            ended.update(zip(ours, ends, strict=True))
        return _counted(ended)

    def living(self) -> tuple[str, ...]:
        """Of which runs the first process lives: each by what its workload's identifiers begin with."""
        return tuple(_stem(one) for one in self._found() if _lives(one))

    def _found(self) -> tuple[Path, ...]:
        return tuple(self._directory.iterdir()) if self._directory.is_dir() else ()

    async def _end(
        self, directory: Path, grace_ms: int, hurry: asyncio.Event | None = None, with_shim: bool = False
    ) -> bool | None:
        """Whether it has ended; None where nothing lived."""
        found = first_process(directory)
        if found is None:
            return None
        process, pid, asking = found
        try:
            shim = int(stat_field(pid, PARENT)) if with_shim else 0
            send(process, asking)
            await done_unless(hurry or asyncio.Event(), ended_within(process, grace_ms / 1000))
            if not await killed(process, KILL_WAIT_S):
                # Its shim stays, too: by it a later containerd hears of the end.
                log.error("%s does not end although it was killed: it may hang in the kernel", directory.name)
                return False
            if shim and _name(shim).startswith("containerd-shim"):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(shim, signal.SIGKILL)
        finally:
            os.close(process)
        return True


def _stem(directory: Path) -> str:
    """What the identifiers of the workload begin with whose run has this directory."""
    return workload_of(directory.name)


def _lives(directory: Path) -> bool:
    found = first_process(directory)
    if found is None:
        return False
    try:
        return not has_ended(found.process)
    finally:
        os.close(found.process)


def _by_stem(needs: Mapping[str, Collection[str]]) -> Mapping[str, Collection[str]]:
    found: dict[str, set[str]] = {}
    for name, others in needs.items():
        # Long names may share what their identifiers begin with, and none waits for itself.
        found.setdefault(stem_of(name), set()).update({*map(stem_of, others)} - {stem_of(name)})
    return found


def _counted(ended: Mapping[Path, bool | None]) -> Ends:
    left = tuple(_stem(one) for one, whether in ended.items() if whether is False)
    return Ends(sum(map(bool, ended.values())), left)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
