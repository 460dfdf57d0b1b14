"""The machine's devices, for a privileged container: every node below /dev that is the machine's, not a session's."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DEV = Path("/dev")
_OTHERS = frozenset({"pts", "shm", "mqueue", "fd", "hugepages"})
_OWN = frozenset({"null", "zero", "full", "random", "urandom", "tty", "ptmx", "console"})
"""What the runtime makes in every container."""


def machine_devices(root: Path = DEV) -> list[dict[str, Any]]:
    """`linux.devices` of the runtime spec, by path."""
    return sorted(_nodes(root, root), key=lambda node: str(node["path"]))


def _nodes(directory: Path, root: Path) -> Iterator[dict[str, Any]]:
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            if not (directory == root and entry.name in _OTHERS):
                yield from _nodes(Path(entry.path), root)
            continue
        if directory == root and entry.name in _OWN:
            continue
        try:
            found = entry.stat(follow_symlinks=False)
        except OSError:
            continue  # unplugged while we looked
        kind = "c" if stat.S_ISCHR(found.st_mode) else "b" if stat.S_ISBLK(found.st_mode) else ""
        if kind:
            yield {
                "path": f"/dev/{Path(entry.path).relative_to(root)}",
                "type": kind,
                "major": os.major(found.st_rdev),
                "minor": os.minor(found.st_rdev),
                "fileMode": stat.S_IMODE(found.st_mode),
                "uid": found.st_uid,
                "gid": found.st_gid,
            }
