"""A process, held by a descriptor against what was written down of it: no other process that got its number meanwhile
is mistaken for it. Source: pidfd_open(2), proc(5)."""

import asyncio
import contextlib
import os
import select
import signal
from pathlib import Path

PARENT, START_TIME = 1, 19
"""Of /proc/PID/stat, counted behind the name in brackets: fields 4 and 22 of proc(5)."""
KILL_WAIT_S = 10.0
"""For what was killed to be gone; what hangs in the kernel holds up nobody else's end for longer."""


def hold(pid: int, start_time: int) -> int | None:
    """A pidfd, which is the caller's to close; None if there is no such process any more. One that has ended and that
    its parent has not heard of yet is held, too."""
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return None
    if int(stat_field(pid, START_TIME)) == start_time:
        return process
    os.close(process)
    return None


def has_ended(process: int) -> bool:
    """Whether the process that a pidfd stands for is over."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    return bool(poll.poll(0))


def send(process: int, number: int) -> None:
    """A signal, to the process that a pidfd stands for, unless that is over and its parent has heard of it."""
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(process, number)


async def killed(process: int, seconds: float | None) -> bool:
    """Kill what a pidfd stands for, and wait; whether its end came in time."""
    send(process, signal.SIGKILL)
    return await ended_within(process, seconds)


async def ended_within(process: int, seconds: float | None) -> bool:
    """Wait for the end of the process that a pidfd stands for, without limit where that is None; whether it came in
    time."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process, ended.set)
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    except TimeoutError:
        return has_ended(process)
    finally:
        loop.remove_reader(process)
    return True


def stat_field(pid: int, field: int) -> str:
    """A number of /proc/PID/stat; -1 once there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[field]
    except (OSError, IndexError):
        return "-1"
