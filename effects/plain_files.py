"""How the daemon opens a file where somebody else may have put anything: a workload's layer, or an image's.

A device in a file's place is never opened, since that alone would do something: of a watchdog's, start it. What a name
is, is looked at by a descriptor that opens nothing, and that very file is opened then, whatever the name is by now.
copies/opening.py does the same where /proc is another's.
"""

import errno
import os
import stat
from pathlib import Path


def opened(name: str | Path, directory: int | None = None) -> int:
    """A plain file to read, below a directory that is open; no link is followed at its end. Raises OSError, also for
    what is no plain file."""
    seen = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        return of(seen, name)
    finally:
        os.close(seen)


def of(seen: int, name: str | Path) -> int:
    """That which a descriptor has only looked at, to read. Raises OSError, also for what is no plain file."""
    if not stat.S_ISREG(os.fstat(seen).st_mode):
        raise OSError(errno.EINVAL, "it is no plain file", str(name))
    return os.open(f"/proc/self/fd/{seen}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def beginning(fd: int, most: int) -> bytes:
    """What an open file holds, and of a larger one the first `most` bytes. Raises OSError."""
    found = bytearray()
    while len(found) < most and (part := os.read(fd, most - len(found))):
        found += part
    return bytes(found)
