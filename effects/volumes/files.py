"""The files that volumes are: their sizes, and what they take. Blocking: for a thread."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from journal.durable import sync_directory
from projections.storage import Fill

PIECE_BYTES = 256 << 10
"""What is read and carried at a time."""


def sized(path: Path, size_bytes: int) -> None:
    """The file is there, and as long as this. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("ab") as file:
        file.truncate(size_bytes)


def data(fd: int, offset: int, end: int) -> Iterator[tuple[int, bytes]]:
    """What stands there and is not only zeroes: offset and bytes, in order. Raises OSError, also of an early end."""
    while offset < end:
        content = os.pread(fd, min(PIECE_BYTES, end - offset), offset)
        if not content:
            raise OSError(errno.EIO, "what is read became shorter meanwhile")
        if content.count(0) != len(content):
            yield offset, content
        offset += len(content)


def write(fd: int, offset: int, content: bytes) -> None:
    """All of it stands there. Raises OSError."""
    left = memoryview(content)
    while left:
        written = os.pwrite(fd, left, offset)
        left, offset = left[written:], offset + written


def unlink(*paths: Path) -> None:
    """Gone, also after a power cut."""
    for path in paths:
        path.unlink(missing_ok=True)
    sync_directory(paths[0].parent)


def sizes_of(path: Path) -> tuple[int, int]:
    """How long the file is, and what it takes on the disk; in bytes. Raises OSError."""
    found = path.stat()
    return found.st_size, found.st_blocks * 512


def fill_of(path: str) -> Fill:
    """How full the file system at this path is. Raises OSError."""
    stat = os.statvfs(path)
    total = stat.f_blocks * stat.f_frsize
    return Fill(total, total - stat.f_bavail * stat.f_frsize)
