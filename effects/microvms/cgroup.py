"""A monitor's own cgroup.

Version 1 has a hierarchy for each controller, version 2 one for all, in which controllers are handed down. Source: the
kernel's admin guide, cgroup-v1 and cgroup-v2.
"""

import contextlib
from pathlib import Path

from effects.microvms.share import Share, limits_v1, limits_v2
from effects.runs.cgroups import ROOT, is_unified

_V1 = ("memory", "cpu", "cpuacct", "pids", "blkio")
_V2 = ("memory", "cpu", "pids", "io")


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
