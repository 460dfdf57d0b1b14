"""A run's cgroup, a container's or a monitor's: who is in it, how many of its processes the kernel has killed for want
of memory, read while it exists; and what a cut birth left of it.

The counter is right whoever was down when it happened: a container's group lives until its task is deleted. Source of
the formats: the kernel's admin guide, memory controller of version 1 (`memory.oom_control`) and 2 (`memory.events`).
"""

import contextlib
import os
from pathlib import Path

import msgspec

ROOT = Path("/sys/fs/cgroup")
_NO_LIMIT = 1 << 60
"""Version 1 writes the largest number of pages, in bytes, where there is no limit."""


class Killed(msgspec.Struct, frozen=True):
    """`kills` processes so far; the limit that the group has, 0 for none."""

    kills: int = 0
    limit_bytes: int = 0


def is_unified(root: Path = ROOT) -> bool:
    """Whether version 2 alone is in use."""
    return (root / "cgroup.controllers").exists()


def killed(path: str, root: Path = ROOT) -> Killed:
    """Of the group at `path`; nothing where there is no such group, or a kernel that does not count."""
    if is_unified(root):
        directory, counter, limit = root / path.lstrip("/"), "memory.events", "memory.max"
    else:
        directory, counter, limit = root / "memory" / path.lstrip("/"), "memory.oom_control", "memory.limit_in_bytes"
    try:
        lines = (line.split() for line in (directory / counter).read_text().splitlines())
        kills = next((int(words[1]) for words in lines if words[0] == "oom_kill"), 0)
        return Killed(kills, _limit((directory / limit).read_text().strip())) if kills else Killed()
    except (OSError, ValueError, IndexError):
        return Killed()


def remove(path: str, root: Path = ROOT) -> None:
    """The group at `path` and those below it, in every hierarchy, where nobody is in them: runc makes a run's before
    anything that containerd knows of and, killed in between, leaves it to nobody; their parent it never removes."""
    for directory in _places(path, root):
        for inner, _, _ in os.walk(directory, topdown=False):
            with contextlib.suppress(OSError):  # somebody is in it, or it has gone meanwhile
                os.rmdir(inner)


def members(path: str, root: Path = ROOT) -> frozenset[int]:
    """The processes in the group at `path` and below it, in any hierarchy: one may be in the group of one hierarchy
    alone. Nobody where there is no such group."""
    found: set[int] = set()
    for directory in _places(path, root):
        for inner, _, _ in os.walk(directory):
            with contextlib.suppress(OSError):  # it has gone meanwhile, or is one of threads: they are named above it
                found.update(map(int, Path(inner, "cgroup.procs").read_text().split()))
    return frozenset(found - {0})  # whom this process's own namespace does not show


def below(path: str, root: Path = ROOT) -> frozenset[str]:
    """The names of the groups right below the one at `path`, in any hierarchy."""
    return frozenset(one.name for directory in _places(path, root) for one in directory.glob("*/"))


def _places(path: str, root: Path) -> list[Path]:
    """Where the group is, or would be, in each hierarchy."""
    tops = [root] if is_unified(root) else [one for one in root.iterdir() if one.is_dir()]
    return [top / path.lstrip("/") for top in tops]


def _limit(text: str) -> int:
    return int(text) if text.isdecimal() and int(text) < _NO_LIMIT else 0
