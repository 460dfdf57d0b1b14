"""What of an image is really on the disk: making it so, and what is there. Blocking, on a thread; raises OSError."""

import asyncio
import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

from effects.errors import unwritten

_libc = ctypes.CDLL(None, use_errno=True)
_BLOCK_BYTES = 512

T = TypeVar("T")


class Taken(NamedTuple):
    """What a directory takes, itself and everything in it, as containerd counts it: blocks, and inodes once each."""

    size_bytes: int
    inodes: int


async def on_thread(work: Callable[[], T], what: str) -> T:
    """What the work returns, which is done beside the event loop. Raises DriverError: `what` cannot be written."""
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise unwritten(what, error) from error


def sync_around(directory: Path) -> None:
    """All that was written to the file system with this directory in it, by whomever, survives a power cut.

    One call for a layer of many thousand files: each by itself would wait for the disk. Source: syncfs(2).
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(directory))
    finally:
        os.close(fd)


def taken(directory: Path) -> Taken:
    """What the directory takes; nothing where it is not there. Blocks that the disk has not been given yet count, too.

    Source: containerd/continuity, fs/du_unix.go.
    """
    sizes: dict[tuple[int, int], int] = {}

    def look(path: str) -> None:
        found = os.lstat(path)
        sizes[found.st_dev, found.st_ino] = found.st_blocks * _BLOCK_BYTES

    for place, directories, files in os.walk(directory):
        for name in (".", *directories, *files):
            look(os.path.join(place, name))
    return Taken(sum(sizes.values()), len(sizes))
