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
from collections.abc import Iterator
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


def end_idle_shims(paths: Paths) -> None:
    """End every shim of this containerd that watches over nothing. Only where nothing is to run any more: a containerd
    that comes back asks the shim how its task ended."""
    for shim in _shims(paths):
        if _is_idle(shim):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(shim.name), signal.SIGKILL)


def orphans(paths: Paths) -> tuple[int, ...]:
    """The shims of this containerd whose task's directory is gone and that watch over nothing."""
    return tuple(int(shim.name) for shim in _shims(paths) if _is_idle(shim) and _lost_its_task(shim))


def _shims(paths: Paths) -> Iterator[Path]:
    """The shims of this containerd, each by its directory below /proc."""
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError):
                process = Path("/proc", name)
                command, *arguments = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                if Path(command).name == _SHIM and str(paths.address) in arguments:
                    yield process


def _is_idle(shim: Path) -> bool:
    try:
        return not any(task.read_text().strip() for task in shim.glob("task/*/children"))
    except OSError:
        return False


def _lost_its_task(shim: Path) -> bool:
    try:
        return os.readlink(shim / "cwd").endswith(" (deleted)")
    except OSError:
        return False


def _has_shim(directory: Path) -> bool:
    """Whether a shim answers for the directory: then containerd finds it, and the driver ends it."""
    try:
        address = (directory / "address").read_text().removeprefix("unix://")
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)  # one that was stopped takes nobody off its queue: nobody is to wait for that
            probe.connect(address)
    except BlockingIOError:
        return True  # its queue is full: it is there
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
