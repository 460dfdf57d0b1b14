"""Bytes onto a disk: copied from another, forced onto it, and read again from the medium itself."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from functools import partial

from capsuled.aside import Aside

CHUNK_BYTES = 4 << 20
_BLKFLSBUF = 0x1261
"""Write out and forget what the kernel holds of a device (linux/fs.h): what is read then comes from the medium."""

_SQUASHFS = b"hsqs"
_USED_AT = 40
"""Where a squashfs says how many bytes it has (the kernel's fs/squashfs/squashfs_fs.h)."""


class BadCopy(Exception):
    """Raised when a disk gives other bytes than were written."""


def squashfs_bytes(device: str) -> int:
    """How many bytes of a partition its squashfs takes, in whole sectors. Raises BadCopy for what is none."""
    with open(device, "rb") as file:
        head = file.read(_USED_AT + 8)
    if head[:4] != _SQUASHFS:
        raise BadCopy(f"{device} holds no image of a system")
    used = int.from_bytes(head[_USED_AT:], "little")
    return -(-used // 4096) * 4096


def flush(fd: int) -> None:
    """Force what was written onto the medium, and forget it. Raises OSError."""
    os.fsync(fd)
    fcntl.ioctl(fd, _BLKFLSBUF, 0)


def put(device: str, *pieces: tuple[int, bytes]) -> None:
    """Write pieces at their places, and force them onto the medium. Nobody else may use the device. Raises OSError."""
    fd = os.open(device, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        for at, data in pieces:
            _write(fd, data, at)
        flush(fd)
    finally:
        os.close(fd)


def read(device: str, at: int, size: int) -> bytes:
    """What is there. Raises OSError."""
    fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _read(fd, size, at)
    finally:
        os.close(fd)


class Copy:
    """`size_bytes` from the beginning of one device to that of another, but the first `skip_bytes`."""

    def __init__(self, aside: Aside, source: str, target: str, size_bytes: int, skip_bytes: int = 0) -> None:
        self._aside = aside
        self._source = source
        self._target = target
        self.size_bytes = size_bytes
        self._skip = skip_bytes
        self._written = hashlib.sha256()

    async def write(self, tell: Callable[[int], None]) -> None:
        """Copy; `tell` hears how many bytes are done. All is on the medium when this returns. Raises OSError."""
        source = os.open(self._source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            target = os.open(self._target, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
            try:
                for at in range(self._skip, self.size_bytes, CHUNK_BYTES):
                    tell(await self._aside.to_its_end(partial(self._piece, source, target, at)))
                await self._aside.to_its_end(lambda: flush(target))
            finally:
                os.close(target)
        finally:
            os.close(source)

    async def check(self, tell: Callable[[int], None]) -> None:
        """Read it again; `tell` hears how many bytes are done. Raises OSError, BadCopy."""
        found = hashlib.sha256()
        target = os.open(self._target, os.O_RDONLY | os.O_CLOEXEC)

        def piece(at: int) -> int:
            size = min(CHUNK_BYTES, self.size_bytes - at)
            found.update(_read(target, size, at))
            return at + size

        try:
            for at in range(self._skip, self.size_bytes, CHUNK_BYTES):
                tell(await self._aside.to_its_end(partial(piece, at)))
        finally:
            os.close(target)
        if found.digest() != self._written.digest():
            raise BadCopy(f"{self._target} gives other bytes than were written to it")

    def _piece(self, source: int, target: int, at: int) -> int:
        data = _read(source, min(CHUNK_BYTES, self.size_bytes - at), at)
        self._written.update(data)
        _write(target, data, at)
        os.posix_fadvise(source, at, len(data), os.POSIX_FADV_DONTNEED)
        return at + len(data)


def _read(fd: int, size: int, at: int) -> bytes:
    data = os.pread(fd, size, at)
    while len(data) < size:
        more = os.pread(fd, size - len(data), at + len(data))
        if not more:
            raise OSError(0, "the disk ends before that")
        data += more
    return data


def _write(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, at)
        view, at = view[done:], at + done
