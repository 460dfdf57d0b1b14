"""A run's first process, held by a descriptor: no other process that got its number meanwhile is mistaken for it.

runc's own directory is below /run: it names each container's first process and when it began. Source: runc 1.1,
state.json of libcontainer.
"""

import os
from pathlib import Path

import msgspec

PARENT, START_TIME = 1, 19
"""Of /proc/PID/stat, counted behind the name in brackets: fields 4 and 22 of proc(5)."""


class State(msgspec.Struct):
    """The part of state.json that is used here."""

    init_process_pid: int = 0
    init_process_start: int = 0


def first_process(directory: Path) -> tuple[int, int] | None:
    """A pidfd, which is the caller's to close, and the number; None if there is no such process. `directory` is what
    runc keeps of the container."""
    try:
        state = msgspec.json.decode((directory / "state.json").read_bytes(), type=State)
        process = os.pidfd_open(state.init_process_pid)
    except (OSError, msgspec.MsgspecError):
        return None
    if int(stat_field(state.init_process_pid, START_TIME)) == state.init_process_start:
        return process, state.init_process_pid
    os.close(process)
    return None


def stat_field(pid: int, field: int) -> str:
    """A number of /proc/PID/stat; -1 once there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[field]
    except (OSError, IndexError):
        return "-1"
