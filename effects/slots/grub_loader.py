"""GRUB's variables on the disk: the one sector of its environment block that changes, rewritten where it lies.

The file system around it is never mounted and never written. `grub-editenv` would cut the file to nothing before it
writes: a power cut in between loses what was confirmed. Here the sector is the former one or the new one.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from effects.slots.environment_block import BLOCK_BYTES, FILLING, SECTOR_BYTES, decode, encode
from effects.slots.fat import NotFound, locate
from effects.slots.protocol import LoaderFailed, LoaderState

FILE = "capsule/grubenv"


class GrubLoader:
    """`partition` is the EFI system partition, or a file that holds one."""

    def __init__(self, partition: Path) -> None:
        self._partition = partition

    async def read(self) -> LoaderState:
        """See BootLoader."""
        return await asyncio.to_thread(self._read)

    async def write(self, state: LoaderState) -> None:
        """See BootLoader."""
        await asyncio.to_thread(self._write, state)

    def _read(self) -> LoaderState:
        with self._opened(os.O_RDONLY) as fd:
            return decode(b"".join(os.pread(fd, SECTOR_BYTES, at) for at in _sectors(fd)))

    def _write(self, state: LoaderState) -> None:
        block = encode(state)
        with self._opened(os.O_RDWR) as fd:
            first, second = _sectors(fd)
            if os.pread(fd, SECTOR_BYTES, second) != FILLING:
                _put(fd, FILLING, second)  # before what is to be read with it
            _put(fd, block[:SECTOR_BYTES], first)
            # From the disk itself: what the kernel still has of it proves nothing.
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            found = b"".join(os.pread(fd, SECTOR_BYTES, at) for at in (first, second))
        if found != block:
            raise LoaderFailed(f"the boot loader's variables were written to {self._partition}, and others are there")

    @contextmanager
    def _opened(self, flags: int) -> Iterator[int]:
        try:
            fd = os.open(self._partition, flags | os.O_CLOEXEC)
        except OSError as error:
            raise LoaderFailed(f"{self._partition} cannot be opened: {error.strerror}") from error
        try:
            yield fd
        except NotFound as error:
            raise LoaderFailed(f"the boot loader's variables are not on {self._partition}: {error}") from error
        except OSError as error:
            raise LoaderFailed(f"{self._partition}: {error.strerror}") from error
        finally:
            os.close(fd)


def _sectors(fd: int) -> tuple[int, int]:
    """Where the block's two halves lie. Raises NotFound."""
    extents = locate(lambda at, size: os.pread(fd, size, at), FILE)
    if sum(one.size for one in extents) != BLOCK_BYTES:
        raise NotFound(f"{FILE} has not the {BLOCK_BYTES} bytes that it was made with")
    places = [one.offset + at for one in extents for at in range(0, one.size, SECTOR_BYTES)]
    return places[0], places[1]


def _put(fd: int, sector: bytes, at: int) -> None:
    os.pwrite(fd, sector, at)
    os.fsync(fd)
