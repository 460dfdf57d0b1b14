"""A file system in memory of the daemon's own, for what must never lie on a disk. It outlives the daemon only.

Where the kernel can (6.4 and later), nothing of it is swapped out. It can hold programs: a state directory need not.
"""

import contextlib
import ctypes
import errno
import os
from pathlib import Path

from effects.errors import DriverError, MemoryFull, StartFailed

_MS_NOSUID, _MS_NODEV = 2, 4
_OPTIONS = "mode=0700,size=25%"

_libc = ctypes.CDLL(None, use_errno=True)


def mount_memory(place: Path) -> None:
    """There is one at `place`; what is there already stays as it is. Raises OSError."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    if place.is_mount():
        return
    try:
        _mount(place, f"{_OPTIONS},noswap")
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        _mount(place, _OPTIONS)


def unmount_memory(place: Path) -> None:
    """Nothing is mounted there, and what was in it is gone. Raises OSError, when something on the machine uses it."""
    while place.is_mount():  # what was mounted twice, by whomever, lies one upon the other
        _check(_libc.umount2(str(place).encode(), 0), place)
    with contextlib.suppress(OSError):
        place.rmdir()


def unkept(path: Path, error: OSError) -> DriverError:
    """The condition behind a file there that could not be written."""
    if error.errno == errno.ENOSPC:
        words = (
            f"the file system in memory for secrets and environments ({path.parent}) is full: it takes a quarter of "
        )
        return MemoryFull(words + "the machine's memory")
    return StartFailed(f"{path}, which is in memory, cannot be written: {error.strerror}")


def _mount(place: Path, options: str) -> None:
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV)
    _check(_libc.mount(b"capsule", str(place).encode(), b"tmpfs", flags, options.encode()), place)


def _check(result: int, place: Path) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(place))
