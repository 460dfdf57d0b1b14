"""Sessions of processes, as the kernel counts them: a process of an exec leads one, and its children stay in it
however far they are left behind. Shared: the agent ends those in a microVM, the daemon those in a container."""

import os

_ROUNDS = 100
_KILL = 9


def signal(leader: int, number: int) -> None:
    """Send a signal to all that are there just now."""
    for pid in _members(leader):
        _send(pid, number)


def kill(leader: int, reaped: bool) -> None:
    """Kill every process of the session that `leader` began. Looks until none is left, for one may fork meanwhile.
    `reaped`: the leader has been; its number is held while there are others, or is already somebody else's."""
    for _ in range(_ROUNDS):
        if reaped and os.path.exists(f"/proc/{leader}"):
            return
        members = _members(leader)
        if not members:
            return
        for pid in members:
            _send(pid, _KILL)


def _members(leader: int) -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _is_of(int(name), leader)]


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def _is_of(pid: int, leader: int) -> bool:
    try:
        if os.getsid(pid) != leader:
            return False
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False  # gone meanwhile
    try:
        stat = os.read(fd, 1_024)
    except OSError:
        return False
    finally:
        os.close(fd)
    return stat[stat.rindex(b")") + 2 :][:1] != b"Z"  # that waits for its parent, not for us
