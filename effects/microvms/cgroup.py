"""A monitor's own cgroup: what the machine gives to a microVM, whatever the guest thinks that it has.

Version 1 has a hierarchy for each controller, version 2 one for all, in which controllers are handed down. Source: the
kernel's admin guide, cgroup-v1 and cgroup-v2.
"""

import contextlib
from pathlib import Path

import msgspec

from effects.containers.cgroups import ROOT, is_unified

_PERIOD_US = 100_000
_V1 = ("memory", "cpu", "cpuacct", "pids", "blkio")
_V2 = ("memory", "cpu", "pids", "io")


class Share(msgspec.Struct, frozen=True):
    """What the group may take: memory, thousandths of a processor, processes and threads; and its weight against others
    when all want more processors than there are, 0 for everybody's."""

    memory_bytes: int
    cpu_millis: int
    pids: int
    cpu_shares: int = 0


def make(path: str, share: Share, root: Path = ROOT) -> tuple[str, ...]:
    """The group at `path` is there, with these limits; the files that take a process into it. Raises OSError."""
    relative = path.lstrip("/")
    if is_unified(root):
        return (_make_v2(root, relative, share),)
    tops = [root / name for name in _V1 if (root / name).is_dir()]
    groups = {(top / relative).resolve(): top.name for top in tops}  # cpu and cpuacct may be one, by two names
    for group in groups:
        group.mkdir(parents=True, exist_ok=True)
        for name, value in limits_v1(share):
            if (group / name).exists():
                (group / name).write_text(value)
    return tuple(str(group / "cgroup.procs") for group in groups)


def limits_v1(share: Share) -> tuple[tuple[str, str], ...]:
    """By the files of version 1."""
    weight = (("cpu.shares", str(share.cpu_shares)),) if share.cpu_shares else ()
    return (
        *weight,
        ("memory.limit_in_bytes", str(share.memory_bytes)),
        ("cpu.cfs_period_us", str(_PERIOD_US)),
        ("cpu.cfs_quota_us", str(share.cpu_millis * _PERIOD_US // 1_000)),
        ("pids.max", str(share.pids)),
    )


def _make_v2(root: Path, relative: str, share: Share) -> str:
    group = root
    for part in Path(relative).parts:
        for controller in _V2:
            # The kernel, or who made the group above, may not have it: then it limits nothing here either.
            with contextlib.suppress(OSError):
                (group / "cgroup.subtree_control").write_text(f"+{controller}")
        group = group / part
        group.mkdir(exist_ok=True)
    for name, value in limits_v2(share):
        if (group / name).exists():
            (group / name).write_text(value)
    return str(group / "cgroup.procs")


def limits_v2(share: Share) -> tuple[tuple[str, str], ...]:
    """By the files of version 2."""
    weight = (("cpu.weight", str(_weight(share.cpu_shares))),) if share.cpu_shares else ()
    return (
        *weight,
        ("memory.max", str(share.memory_bytes)),
        ("memory.swap.max", "0"),
        ("cpu.max", f"{share.cpu_millis * _PERIOD_US // 1_000} {_PERIOD_US}"),
        ("pids.max", str(share.pids)),
    )


def _weight(shares: int) -> int:
    """Version 2 counts from 1 to 10,000 what version 1 counts from 2 to 262,144; runc converts so, too."""
    return 1 + (min(max(shares, 2), 262_144) - 2) * 9_999 // 262_142
