"""Numbers and files as a bad release may have left them: read within bounds, or not at all.

Whoever wrote them was on trial, and failed: a file may be of any size, damaged, or no plain one (a pipe, on which a
reader would wait for ever), and a number may have any number of digits.
"""

import errno
import os
import stat
from pathlib import Path
from typing import Annotated

import msgspec

MOST_MS = 1 << 53
_DIGITS = 16
Ms = Annotated[int, msgspec.Meta(ge=0, le=MOST_MS)]
"""Milliseconds since a kernel began."""
WallNs = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def milliseconds(digits: str) -> int | None:
    """The number that these digits are, None where they are none that a clock has come to."""
    if not digits.isascii() or not digits.isdecimal() or len(digits) > _DIGITS:
        return None
    found = int(digits)
    return found if found <= MOST_MS else None


def whole(file: Path, most: int) -> bytes:
    """What a plain file holds. Raises OSError, also for one that holds more."""
    content, size = _end_of(file, most)
    if size > most:
        raise OSError(errno.EFBIG, f"it has {size} bytes, and {most} are read at most")
    return content


def tail(file: Path, most: int) -> str:
    """The last lines of a plain file, whole ones, as text. Raises OSError."""
    content, size = _end_of(file, most)
    return (content if size <= most else content.partition(b"\n")[2]).decode("utf-8", "replace")


def reason(error: Exception) -> str:
    """Why something could not be read, in words."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _end_of(file: Path, most: int) -> tuple[bytes, int]:
    """The last `most` bytes, and the size."""
    fd = os.open(file, _FLAGS)
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(errno.EINVAL, "it is no plain file")
        begin, parts = max(0, about.st_size - most), []
        while begin < about.st_size and (part := os.pread(fd, about.st_size - begin, begin)):
            parts.append(part)
            begin += len(part)
        return b"".join(parts), about.st_size
    finally:
        os.close(fd)
