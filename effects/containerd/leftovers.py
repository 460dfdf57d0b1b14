"""What a containerd that was killed leaves half made or half removed, and every successor would stumble over for ever.

Seen with 1.6: a task's directory is removed by renaming it to `.ID` and emptying that; if `.ID` stays, the next removal
of a task of that name fails. A directory whose shim died before it wrote `runtime` into it cannot be cleaned up at all.
Either way no task of that name can be made again ("mkdir: file exists").
"""

import contextlib
import os
import socket
from pathlib import Path

from effects.containerd.config import Paths

TASKS = "io.containerd.runtime.v2.task"
"""Below containerd's state and root: a directory for each namespace, and in it one for each task."""


def sweep(paths: Paths) -> None:
    """Remove such directories. Only while containerd does not run."""
    for top in (paths.state, paths.root):
        for directory in (top / TASKS).glob("*/.*"):
            _remove(directory)
    for directory in (paths.state / TASKS).glob("*/*"):
        if not (directory / "runtime").exists() and not _has_shim(directory):
            _remove(directory)


def _has_shim(directory: Path) -> bool:
    """Whether a shim answers for the directory: then containerd finds it, and the driver ends it."""
    try:
        address = (directory / "address").read_text().removeprefix("unix://")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.connect(address)
    except OSError:
        return False
    return True


def _remove(directory: Path) -> None:
    """Never deeper: below it a container's file system may be mounted, and that is not ours to empty."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)
        os.rmdir(directory)
