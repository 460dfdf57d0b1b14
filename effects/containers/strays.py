"""Processes that an exec put into a container and that nobody knows of: their start was cut off when it was done.

runc makes the process of an exec a child of its own parent, the shim, which stands outside of the container; what the
container's own processes leave behind goes to its first process instead. So a child of the shim inside the container
that is neither that first process nor anybody's session is such a stray.
"""

import os
from pathlib import Path


def strays(first: int, known: frozenset[int]) -> tuple[int, ...]:
    """The strays of the container whose first process is `first`. None where it shares the machine's processes: there
    they cannot be told from what a container's own daemons leave behind."""
    shim = _parent(first)
    inside = _namespace(first)
    if not shim or not inside or inside == _namespace(shim):
        return ()
    candidates = (int(entry) for entry in os.listdir("/proc") if entry.isdecimal())
    return tuple(
        pid
        for pid in candidates
        if pid != first and pid not in known and _parent(pid) == shim and _namespace(pid) == inside
    )


def _parent(pid: int) -> int:
    """0 for a process that is gone, or is only waited for."""
    try:
        stat = Path("/proc", str(pid), "stat").read_bytes()
    except OSError:
        return 0
    fields = stat[stat.rindex(b")") + 2 :].split()
    return 0 if fields[0] == b"Z" else int(fields[1])


def _namespace(pid: int) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
