"""What of an image is really on the disk: making it so, and what is there. Blocking; raises OSError."""

import ctypes
import os
from pathlib import Path
from typing import NamedTuple

_libc = ctypes.CDLL(None, use_errno=True)
_BLOCK_BYTES = 512


class Taken(NamedTuple):
    """What a directory takes, itself and everything in it, as containerd counts it: blocks, and inodes once each."""

    size_bytes: int
    inodes: int


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
