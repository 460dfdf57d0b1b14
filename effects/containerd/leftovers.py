"""What a containerd that was killed leaves half made or half removed, and every successor would stumble over for ever.

Seen with 1.6: a task's directory is removed by renaming it to `.ID` and emptying that; if `.ID` stays, the next removal
of a task of that name fails. A directory whose shim died before it wrote `runtime` into it cannot be cleaned up at all.
Either way no task of that name can be made again ("mkdir: file exists"). And a shim whose task was removed under it
waits for ever for a containerd that does not know it any more.
"""

import contextlib
import os
import signal
import socket
from pathlib import Path

from effects.containerd.config import Paths

_SHIM = "containerd-shim-runc-v2"

TASKS = "io.containerd.runtime.v2.task"
"""Below containerd's state and root: a directory for each namespace, and in it one for each task."""


def sweep(paths: Paths) -> None:
    """Remove such directories, and end such shims. Only while containerd does not run."""
    for top in (paths.state, paths.root):
        for directory in (top / TASKS).glob("*/.*"):
            _remove(directory)
    for directory in (paths.state / TASKS).glob("*/*"):
        if not (directory / "runtime").exists() and not _has_shim(directory):
            _remove(directory)
    for pid in orphans(paths):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def orphans(paths: Paths) -> tuple[int, ...]:
    """The shims of this containerd whose task's directory is gone and that watch over nothing."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    return tuple(pid for pid in pids if _is_orphan(Path("/proc", str(pid)), str(paths.address)))


def _is_orphan(process: Path, address: str) -> bool:
    try:
        command, *arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        if Path(command).name != _SHIM or address not in arguments:
            return False
        gone = os.readlink(process / "cwd").endswith(" (deleted)")
        return gone and not any(task.read_text().strip() for task in process.glob("task/*/children"))
    except OSError:
        return False


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
