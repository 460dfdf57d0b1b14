"""Who lives in a run's cgroup when nobody watches over it any more, and their end.

A runtime may forget a process that lives: its shim dies while runc cannot clean up, or another hand takes the files by
which it is known. The kernel forgets none, and knows by the cgroup whose it is. Source: the kernel's admin guide,
cgroup-v1 and cgroup-v2; pidfd_open(2).
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from effects.alive import KILL_WAIT_S, ended_within, has_ended, send
from effects.errors import StartFailed
from effects.runs import cgroups


def lives(group: str, root: Path = cgroups.ROOT) -> bool:
    """Whether anything does in the cgroup at `group` or below it."""
    with _held(group, root) as held:
        return bool(held)


def ask(group: str, number: int, pid: int, root: Path = cgroups.ROOT) -> None:
    """Send the signal to the process `pid`, if it is of this group; SIGKILL goes to the whole group."""
    with _held(group, root) as held:
        for one, process in held.items():
            if one == pid or number == signal.SIGKILL:
                send(process, number)


async def end(group: str, root: Path = cgroups.ROOT) -> bool:
    """Nothing lives in the group any more, or below it: kill what does. Whether anything did. Raises StartFailed when
    one does not end."""
    deadline = time.monotonic() + KILL_WAIT_S
    found = False
    while True:
        with _held(group, root) as held:
            if not held:
                return found
            found = True
            for process in held.values():
                send(process, signal.SIGKILL)
            for pid, process in held.items():
                if not await ended_within(process, deadline - time.monotonic()):
                    raise StartFailed(
                        f"its process {pid} does not end although it was killed: it may hang in the kernel"
                    )
        # Again: what they forked meanwhile was not there to be killed.


async def end_below(parent: str, root: Path = cgroups.ROOT) -> Mapping[str, str]:
    """The same for every group right below `parent` in which anything lives, all at once: by the group's name why it
    lives on, empty where it has ended."""
    names = [name for name in sorted(cgroups.below(parent, root)) if lives(f"{parent}/{name}", root)]
    ends = await asyncio.gather(*(end(f"{parent}/{name}", root) for name in names), return_exceptions=True)
    outcome: dict[str, str] = {}
    for name, one in zip(names, ends, strict=True):
        if isinstance(one, BaseException) and not isinstance(one, StartFailed):
            raise one
        outcome[name] = one.message if isinstance(one, StartFailed) else ""
    return outcome


@contextmanager
def _held(group: str, root: Path) -> Iterator[Mapping[int, int]]:
    """A pidfd for each that lives in the group, by its process id."""
    held: dict[int, int] = {}
    try:
        for pid in cgroups.members(group, root):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                held[pid] = os.pidfd_open(pid)
        # Whoever got a number between the two looks is held only if he is one of them, too.
        still = cgroups.members(group, root) if held else frozenset()
        yield {pid: process for pid, process in held.items() if pid in still and not has_ended(process)}
    finally:
        for process in held.values():
            os.close(process)
