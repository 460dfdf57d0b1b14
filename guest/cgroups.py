"""What the payload may take of the machine, so that the agent always has what it needs to end it in order.

The payload and all that is started beside it are in one control group. Its memory is the machine's without a reserve:
what it cannot have ends it and not the machine. A hierarchy of version 1 is there for devices alone, as version 2 has
no files for them. Source: Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/devices.rst of the kernel.
"""

import os

from guest import kernel
from guest.devices import RULES, text, write

ROOT = "/sys/fs/cgroup"
PAYLOAD = f"{ROOT}/payload"
_EVENTS = f"{PAYLOAD}/memory.events"
_DEVICES = "/run/devices"
_DEVICES_PAYLOAD = f"{_DEVICES}/payload"
_CONTROLLERS = "+cpu +memory +pids +io"
RESERVE_BYTES = 80 << 20
"""What the kernel and the agent were found to use."""
RESERVE_SHARE = 2
"""At most this part of a small machine."""
USUAL_PIDS = 4_096
"""What a declaration that does not say has (journal/specs.py)."""
PROCESS_BYTES = 256 << 10
"""Of the payload's memory, for each process or thread that it may have by default."""
LEAST_PIDS = 64


def make(pids: int, memory_bytes: int) -> None:
    """The payload's group, in both, with limits of its own; 0 is the most that there is. Raises OSError."""
    kernel.mount("cgroup2", "none", ROOT, kernel.NOSUID | kernel.NODEV | kernel.NOEXEC)
    write(f"{ROOT}/cgroup.subtree_control", _CONTROLLERS)
    os.mkdir(PAYLOAD)
    most = payload_bytes(text("/proc/meminfo"))
    memory_max = min(most, memory_bytes or most)
    write(f"{PAYLOAD}/memory.max", str(memory_max))
    write(f"{PAYLOAD}/pids.max", str(payload_pids(pids, memory_max)))
    os.mkdir(_DEVICES)
    kernel.mount("cgroup", "none", _DEVICES, kernel.NOSUID | kernel.NODEV | kernel.NOEXEC, "devices")
    os.mkdir(_DEVICES_PAYLOAD)
    write(f"{_DEVICES_PAYLOAD}/devices.deny", "a")
    for rule in RULES:
        write(f"{_DEVICES_PAYLOAD}/devices.allow", rule)


def payload_bytes(meminfo: str) -> int:
    """How much of the memory the payload may use; `meminfo` as the kernel tells it."""
    total = int(meminfo.split(None, 2)[1]) * 1_024
    return total - min(RESERVE_BYTES, total // RESERVE_SHARE)


def payload_pids(pids: int, memory_bytes: int) -> int:
    """How many processes and threads it may have. One that only goes on being forked takes about 100 KiB: more than
    the memory carries are killed as fast as they come, and a guest that does nothing else answers nobody. Who asks for
    fewer than everybody gets has thought about it, and has those."""
    carried = max(memory_bytes // PROCESS_BYTES, LEAST_PIDS)
    return pids if 0 < pids < USUAL_PIDS else min(pids or carried, carried)


def join() -> None:
    """This process is one of the payload's from now on. Raises OSError."""
    write(f"{PAYLOAD}/cgroup.procs", "0")
    write(f"{_DEVICES_PAYLOAD}/cgroup.procs", "0")
    write("/proc/self/oom_score_adj", "0")


def spare() -> None:
    """This process, and what it starts, is never the one that is killed for want of memory."""
    write("/proc/self/oom_score_adj", "-1000")


def memory_events() -> int:
    """A descriptor that is ready for an urgent word (POLLPRI) whenever there is news of the payload's memory since it
    was read. Raises OSError."""
    return os.open(_EVENTS, os.O_RDONLY | os.O_CLOEXEC)


def oom_kills(events: int = -1) -> int:
    """How many of the payload's processes were killed for want of memory; `events` is what tells of news."""
    said = text(_EVENTS) if events < 0 else os.pread(events, 4_096, 0).decode()
    for line in said.split("\n"):
        name, _, count = line.partition(" ")
        if name == "oom_kill":
            return int(count)
    return 0
