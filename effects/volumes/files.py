"""The files that volumes are: their sizes, and what they take. Blocking: for a thread."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from effects.volumes.clone import method_of
from journal.durable import sync_directory
from projections.storage import Fill, SeenSnapshot

PIECE_BYTES = 256 << 10
"""What is read and carried at a time."""


def sized(path: Path, size_bytes: int) -> None:
    """The file is there, and as long as this. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("ab") as file:
        file.truncate(size_bytes)


def filesystem_bytes(image: Path) -> int:
    """How large the file system says it is: the file may be larger already when a grow was cut short.

    Source: the ext4 superblock, 1024 bytes in: block count at 0x4 and 0x150, logarithm of the block size at 0x18.
    """
    with image.open("rb") as file:
        file.seek(1024)
        block = file.read(1024)
    low, high = (int.from_bytes(block[at : at + 4], "little") for at in (0x4, 0x150))
    return ((high << 32) + low) * _block_bytes(block)


def block_bytes(image: Path) -> int:
    """How large the file system's blocks are. Raises OSError."""
    with image.open("rb") as file:
        file.seek(1024)
        return _block_bytes(file.read(1024))


def _block_bytes(superblock: bytes) -> int:
    return 1 << (10 + int.from_bytes(superblock[0x18:0x1C], "little"))


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


def seen_snapshot(path: Path, snapshot: int) -> SeenSnapshot:
    """A snapshot as it stands there. Raises OSError."""
    return SeenSnapshot(snapshot, path.stat().st_size, taken_bytes(path), method_of(path))


def taken_bytes(path: Path) -> int:
    """What the file takes on the disk. Raises OSError."""
    return path.stat().st_blocks * 512


def fill_of(path: str) -> Fill:
    """How full the file system at this path is. Raises OSError."""
    stat = os.statvfs(path)
    total = stat.f_blocks * stat.f_frsize
    return Fill(total, total - stat.f_bavail * stat.f_frsize)
