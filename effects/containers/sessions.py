"""Sessions of processes, as the kernel counts them: a process that was started by exec leads one, and its children
stay in it however far they are left behind."""

import contextlib
import os
import signal
from pathlib import Path

_ROUNDS = 100


def end_session(leader: int, reaped: bool) -> None:
    """Kill every process of the session that `leader` began. Looks until none is left, for one may fork meanwhile.
    `reaped`: the leader has been; its number is held while there are others, or is already somebody else's."""
    for _ in range(_ROUNDS):
        if reaped and os.path.exists(f"/proc/{leader}"):
            return
        members = [int(entry) for entry in os.listdir("/proc") if entry.isdecimal() and _is_of(int(entry), leader)]
        if not members:
            return
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _is_of(pid: int, leader: int) -> bool:
    try:
        return os.getsid(pid) == leader and not _is_zombie(pid)
    except OSError:
        return False  # gone meanwhile


def _is_zombie(pid: int) -> bool:
    """It waits for its parent, not for us."""
    stat = Path("/proc", str(pid), "stat").read_bytes()
    return stat[stat.rindex(b")") + 2 :][:1] == b"Z"
