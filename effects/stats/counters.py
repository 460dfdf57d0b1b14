"""What the kernel counts of a control group, of version 1 and 2 alike, and of the machine's links.

A group that has gone is None, a controller that is not there is None within it. Files are read as bytes and searched,
not split: a look at a hundred groups is to cost little more than reading them. Source of the formats: the kernel's
admin guide, cgroup-v1 (cpuacct, memory, pids, blkio) and cgroup-v2; proc(5) for /proc/net/dev.
"""

import os
from pathlib import Path

import msgspec

from effects.runs.cgroups import ROOT, is_unified
from effects.stats.protocol import Cpu, Disk, Memory, Pids, Traffic

NET_DEV = Path("/proc/net/dev")
_READ_BYTES = 64 << 10
_DIGITS = 24
_NO_LIMIT = 1 << 60
"""Version 1 writes the largest number of pages, in bytes, where there is no limit."""


class Counted(msgspec.Struct, frozen=True):
    """Of one group, now."""

    cpu: Cpu | None = None
    memory: Memory | None = None
    pids: Pids | None = None
    disk: Disk | None = None


NOTHING = Counted()


class Groups:
    """The machine's control groups, of whichever version it has."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = str(root)
        self._unified = is_unified(root)
        self._listings = "" if self._unified else _listings(root / "blkio")

    def count(self, path: str) -> Counted | None:
        """Of the group at `path`, from the root of each hierarchy; None when it is not there."""
        counted = self._count_unified(path) if self._unified else self._count_split(path)
        return None if counted == NOTHING else counted

    def _count_unified(self, path: str) -> Counted:
        group = f"{self._root}{path}/"
        return Counted(
            _unified_cpu(_read(group + "cpu.stat")),
            _memory(
                _read(group + "memory.current"),
                _read(group + "memory.stat"),
                _read(group + "memory.max"),
                b"inactive_file",
                b"anon",
            ),
            _pids(_read(group + "pids.current"), _read(group + "pids.max")),
            _unified_disk(_read(group + "io.stat")),
        )

    def _count_split(self, path: str) -> Counted:
        root = self._root
        memory, pids, disk = f"{root}/memory{path}/memory.", f"{root}/pids{path}/pids.", f"{root}/blkio{path}/blkio."
        return Counted(
            _split_cpu(_read(f"{root}/cpuacct{path}/cpuacct.usage"), _read(f"{root}/cpu{path}/cpu.stat")),
            _memory(
                _read(memory + "usage_in_bytes"),
                _read(memory + "stat"),
                _read(memory + "limit_in_bytes"),
                b"total_inactive_file",
                b"total_rss",
            ),
            _pids(_read(pids + "current"), _read(pids + "max")),
            self._split_disk(disk),
        )

    def _split_disk(self, group: str) -> Disk | None:
        if not self._listings:
            return None
        sizes = _read(f"{group}{self._listings}.io_service_bytes_recursive")
        counts = _read(f"{group}{self._listings}.io_serviced_recursive")
        return None if sizes is None or counts is None else Disk(*_directions(sizes), *_directions(counts))


def _listings(blkio: Path) -> str:
    """Who counts the disk's work under version 1: the scheduler bfq, or the throttle; a newer kernel's throttle does so
    only once something is throttled. Empty where nobody has counted anything of the whole machine."""
    for who in ("bfq", "throttle"):
        if _directions(_read(str(blkio / f"blkio.{who}.io_service_bytes_recursive")) or b"") != (0, 0):
            return who
    return ""


def links(file: Path = NET_DEV) -> dict[str, Traffic]:
    """Of every link of the machine, by name, seen from its other end: what it received is what was sent to it."""
    found = {}
    for line in (_read(str(file)) or b"").split(b"\n")[2:]:
        name, _, numbers = line.partition(b":")
        words = numbers.split()
        if len(words) >= 12:
            # Received: bytes, packets, errors, dropped, four more; then the same of what was sent.
            came, went = [int(word) for word in words[:4]], [int(word) for word in words[8:12]]
            found[name.strip().decode(errors="replace")] = Traffic(went[0], came[0], went[1], came[1], went[3], came[3])
    return found


def _read(path: str) -> bytes | None:
    """None for a file that is not there, or whose group went away under the read."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        data = part = os.read(fd, _READ_BYTES)
        while len(part) == _READ_BYTES:
            part = os.read(fd, _READ_BYTES)
            data += part
        return data
    except OSError:
        return None
    finally:
        os.close(fd)


def _field(data: bytes, name: bytes) -> int:
    """The number behind `name` at the beginning of a line; 0 where there is none."""
    before = b"\n" + name + b" "
    if data.startswith(before[1:]):
        at = len(before) - 1
    elif (found := data.find(before)) >= 0:
        at = found + len(before)
    else:
        return 0
    return _number(data[at : at + _DIGITS].partition(b"\n")[0])


def _number(text: bytes) -> int:
    """0 for `max`, and for anything that is none."""
    text = text.strip()
    return int(text) if text.isdigit() else 0


def _limit(text: bytes | None) -> int:
    limit = _number(text or b"")
    return limit if limit < _NO_LIMIT else 0


def _unified_cpu(stat: bytes | None) -> Cpu | None:
    if stat is None:
        return None
    return Cpu(_field(stat, b"usage_usec") * 1_000, _field(stat, b"throttled_usec") * 1_000)


def _split_cpu(usage: bytes | None, stat: bytes | None) -> Cpu | None:
    return None if usage is None else Cpu(_number(usage), _field(stat or b"", b"throttled_time"))


def _memory(
    current: bytes | None, stat: bytes | None, limit: bytes | None, unused: bytes, anonymous: bytes
) -> Memory | None:
    if current is None or stat is None:
        return None
    working_set = max(0, _number(current) - _field(stat, unused))
    return Memory(working_set, _field(stat, anonymous), _limit(limit))


def _pids(current: bytes | None, limit: bytes | None) -> Pids | None:
    return None if current is None else Pids(_number(current), _limit(limit))


def _unified_disk(stat: bytes | None) -> Disk | None:
    if stat is None:
        return None
    sums = dict.fromkeys((b"rbytes", b"wbytes", b"rios", b"wios"), 0)
    for word in stat.split():
        name, _, value = word.partition(b"=")
        if name in sums:
            sums[name] += _number(value)
    return Disk(sums[b"rbytes"], sums[b"wbytes"], sums[b"rios"], sums[b"wios"])


def _directions(listing: bytes) -> tuple[int, int]:
    """`8:0 Read 4096`, a line for each device and direction."""
    sums = {b"Read": 0, b"Write": 0}
    for line in listing.split(b"\n"):
        words = line.split()
        if len(words) == 3 and words[1] in sums:
            sums[words[1]] += _number(words[2])
    return sums[b"Read"], sums[b"Write"]
