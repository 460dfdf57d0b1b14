"""What a capsule holds of its machine in a moment in which nothing is wanted of it. What there is more of each time was
lost by somebody: handles, threads, memory, processes, disk.
"""

import contextlib
import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from capsuled import loop
from tests.support.daemon import Daemon
from tests.support.site import Site

MIB = 1 << 20
STARTED = ("capsuled", "containerd", "qemu-system", "runc")
"""How the programs are called that may outlive who started them."""
HANDLES = THREADS = 3
"""So many more at the end are the moment's."""
POOLED = loop.THREADS + loop.NAMES_AT_ONCE
"""The daemon's pools make threads as they are wanted and never end one: so many more of them are lost by nobody."""
GROWS_MIB = 24
"""So much the memory of a process, or the disk without the journal, may be more at the end than at the first look."""


class Held(msgspec.Struct, frozen=True):
    """By one process. Its memory without the pages of files, which the journal's map is."""

    pid: int
    handles: int
    threads: int
    memory_mib: float


class Census(msgspec.Struct, frozen=True):
    """One look. `processes` of the machine by what they are called; `disk_mib` of the state without its journal."""

    minute: float
    operations: int
    entries: int
    daemon: Held
    runtime: Held
    processes: dict[str, int]
    disk_mib: float
    journal_mib: float

    def __str__(self) -> str:
        daemon, runtime = self.daemon, self.runtime
        return (
            f"{self.minute:5.1f} min {self.operations:>5} operations {self.entries:>6} entries; capsuled {daemon.pid}: "
            f"{daemon.handles} handles, {daemon.threads} threads, {daemon.memory_mib:.1f} MiB; containerd {runtime.pid}: "
            f"{runtime.handles}, {runtime.threads}, {runtime.memory_mib:.1f} MiB; {sum(self.processes.values())} processes; "
            f"disk {self.disk_mib:.1f} MiB, journal {self.journal_mib:.1f} MiB"
        )


def count(place: Site, capsule: Daemon, begun: float, now: float, operations: int) -> Census:
    """Look now. `begun` and `now` are seconds of one clock."""
    assert capsule.process is not None
    journal = capsule.state / "journal"
    journal_mib = _disk_mib([journal])
    return Census(
        round((now - begun) / 60, 1),
        operations,
        int(capsule.data("journal", "stats")["lastSeq"]),
        _held(capsule.process.pid),
        _held(capsule.containerd_pid()),
        dict(sorted(_processes(place).items())),
        round(_disk_mib([capsule.state]) - journal_mib, 1),
        round(journal_mib, 1),
    )


def lost(first: Census, last: Census) -> list[str]:
    """What there is more of in the last look than in the first one; the same processes lived through both."""
    wrong = []
    for name, before, after, pooled in (
        ("capsuled", first.daemon, last.daemon, POOLED),
        ("containerd", first.runtime, last.runtime, 0),
    ):
        if before.pid != after.pid:
            wrong.append(f"{name} was {before.pid}, and is {after.pid}, although nobody killed it")
        if after.handles > before.handles + HANDLES:
            wrong.append(f"{name} had {before.handles} handles, and has {after.handles}")
        if after.threads > before.threads + THREADS + pooled:
            wrong.append(f"{name} had {before.threads} threads, and has {after.threads}")
        if after.memory_mib > before.memory_mib + GROWS_MIB:
            wrong.append(f"{name} had {before.memory_mib} MiB of memory, and has {after.memory_mib}")
    if first.processes != last.processes:
        wrong.append(f"there were the processes {first.processes}, and are {last.processes}")
    if last.disk_mib > first.disk_mib + GROWS_MIB:
        wrong.append(f"there were {first.disk_mib} MiB on the disk beside the journal, and are {last.disk_mib}")
    return wrong


def slope(looks: Iterable[tuple[float, float]]) -> float:
    """What one gains on the other by least squares: y for each 1 of x."""
    points = list(looks)
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else 0.0


class Host(NamedTuple):
    """What outlives a process on the machine that all of it runs on."""

    mounts: frozenset[str]
    loops: frozenset[str]
    links: frozenset[str]
    cgroups: frozenset[str]
    places: frozenset[str]
    orphans: frozenset[str]
    """Programs that a capsule starts, and that nobody waits for who is not the machine's own first process."""

    @classmethod
    def now(cls) -> "Host":
        """As it is."""
        listed = subprocess.run(["losetup", "-J", "-l"], capture_output=True, text=True, check=False).stdout
        return cls(
            frozenset(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
            frozenset(f"{one['name']} {one['back-file']}" for one in json.loads(listed or "{}").get("loopdevices", ())),
            frozenset(os.listdir("/sys/class/net")),
            frozenset(str(one) for one in Path("/sys/fs/cgroup").glob("*/*") if one.is_dir()),
            frozenset(str(one) for top in ("/run", "/tmp") for one in Path(top).glob("capsule*")),
            frozenset(_orphans()),
        )

    def left(self, later: "Host") -> list[str]:
        """What there is later that was not there."""
        return [
            f"{what} {one} is left"
            for what, before, after in zip(self._fields, self, later, strict=True)
            for one in sorted(after - before)
        ]


def _orphans() -> Iterator[str]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            name, _, rest = (entry / "stat").read_text().partition(" (")[2].rpartition(") ")
            state, parent, *_ = rest.split()
            if parent == "1" and state != "Z" and name.startswith(STARTED):
                yield f"{entry.name} ({name})"


def _held(pid: int) -> Held:
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Held(
        pid,
        len(os.listdir(f"/proc/{pid}/fd")),
        int(status["Threads"]),
        round(int(status["RssAnon"].split()[0]) / 1024, 1),
    )


def _processes(place: Site) -> Counter[str]:
    there = os.stat(f"/proc/{place.pid}/ns/net").st_ino
    found: Counter[str] = Counter()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.stat(entry / "ns/net").st_ino == there:
                found[(entry / "comm").read_text().strip()] += 1
        except OSError:
            continue  # it has ended
    return found


def _disk_mib(places: list[Path]) -> float:
    """Allocated, as `du` counts it."""
    done = subprocess.run(["du", "-sxk", *places], capture_output=True, text=True, check=False)
    return sum(int(line.split()[0]) for line in done.stdout.splitlines()) / 1024
