"""Letting the front of a file go while somebody appends to it: offsets stay, and the disk gets its blocks back.

A punched hole is one operation of the file system: it is there or it is not, whenever the power goes, and nothing is
ever copied, so nothing can be lost or doubled. Where a file system cannot do it, the whole file is emptied instead.
"""

import ctypes
import errno
import os
from typing import Final

ALIGN_BYTES: Final = 4096
LINE_BYTES: Final = 64 << 10
"""A line longer than this is very long: it may be torn, and half of it may be shown."""

FAR_BYTES: Final = 8 << 40
"""A file that has come this far is emptied once: ext4's files end at 16 TiB, holes included."""

_KEEP_SIZE, _PUNCH_HOLE = 1, 2
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENODEV)

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


class NoHoles(Exception):
    """Raised when the file system cannot punch holes into files."""


def front_of(fd: int) -> int:
    """Where the file's content begins: the end of the hole at its front."""
    try:
        return os.lseek(fd, 0, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return os.fstat(fd).st_size  # nothing but a hole
        return 0


def line_behind(fd: int, front: int) -> int:
    """Where the first whole line behind a hole begins; where the hole ends, if the line there is very long."""
    return front + os.pread(fd, LINE_BYTES, front).find(b"\n") + 1


def first_line(fd: int) -> int:
    """Where the first line begins that is whole."""
    front = front_of(fd)
    return line_behind(fd, front) if front else 0


def punch(fd: int, upto: int) -> int:
    """Let go of what lies before `upto`, in whole blocks; returns where the content begins now. Raises NoHoles."""
    end = upto // ALIGN_BYTES * ALIGN_BYTES
    if end:
        _allocate(fd, _PUNCH_HOLE | _KEEP_SIZE, end)
    return end


def _allocate(fd: int, mode: int, length: int) -> None:
    if _fallocate(fd, mode, 0, length) != 0:
        number = ctypes.get_errno()
        if number in _UNSUPPORTED:
            raise NoHoles(os.strerror(number))
        raise OSError(number, os.strerror(number))
