"""Sessions of processes, as the kernel counts them: a process that was started by exec leads one, and its children
stay in it however far they are left behind."""

import contextlib
import os
import signal
from pathlib import Path

_ROUNDS = 100


def end_session(leader: int) -> None:
    """Kill every process of the session that `leader` began. Looks until none is left, for one may fork meanwhile."""
    for _ in range(_ROUNDS):
        members = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _session_of(entry) == leader]
        if not members:
            return
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _session_of(pid: str) -> int:
    try:
        stat = Path("/proc", pid, "stat").read_bytes()
    except OSError:
        return 0
    fields = stat[stat.rindex(b")") + 2 :].split()
    # Fields behind the name: state, parent, group, session. A zombie waits for its parent, not for us.
    return 0 if fields[0] == b"Z" else int(fields[3])
