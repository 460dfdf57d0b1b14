"""Files that a virtual machine has open as disks: the lock that says so, and ends with the machine.

It belongs to the open file, not to a process (F_OFD_SETLK): whoever opens a disk for a virtual machine and hands the
descriptor on may end, and so may the daemon; the kernel lets the lock go with the last process that has that file
open. It lies far behind every byte of a disk, where QEMU's own locks are not. Source: fcntl(2), open file description
locks. Blocking, but for moments.
"""

import errno
import fcntl
import os
import struct
from pathlib import Path

_LOCK = "hhqqi4x"
"""struct flock: type, whence, start, length, process; as the kernel has it where a file's offset has 64 bits."""
_START, _LENGTH = 1 << 62, 1


def opened(path: Path, *, shared: bool) -> int:
    """A descriptor of the file that holds it until it is closed wherever it went. `shared`: to be read, beside others
    who only read; else to be written, alone. Raises BlockingIOError when it is held otherwise, and OSError."""
    fd = os.open(path, (os.O_RDONLY if shared else os.O_RDWR) | os.O_CLOEXEC)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _asked(fcntl.F_RDLCK if shared else fcntl.F_WRLCK))
    except OSError as error:
        os.close(fd)
        if error.errno in (errno.EAGAIN, errno.EACCES):
            raise BlockingIOError(error.errno, "a virtual machine has it open", str(path)) from error
        raise
    return fd


def is_held(path: Path) -> bool:
    """Whether somebody holds it, in whichever way. What is not there, nobody holds."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        found = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _asked(fcntl.F_WRLCK))
    finally:
        os.close(fd)
    return bool(struct.unpack_from("h", found)[0] != fcntl.F_UNLCK)


def _asked(kind: int) -> bytes:
    return struct.pack(_LOCK, kind, os.SEEK_SET, _START, _LENGTH, 0)
