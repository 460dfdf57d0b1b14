"""The slots' partitions: written as a bundle streams in, and read back from the disk before anybody counts on them."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from effects.slots.protocol import Room, Slot, SlotFailed
from effects.unbroken import to_its_end

PIECE_BYTES = 1 << 20
FLUSH_BYTES = 32 << 20
"""Written so far, and then forced onto the disk: the end of a push has no mountain of it before it, and workloads' own
writes do not wait behind one."""

Places = Mapping[tuple[Slot, str], Path]
"""By slot and member."""


class Partitions:
    """`places` are partitions, or files of a size. The last `kept_bytes` of a boot image's partition are not for the
    image: what an earlier boot left there is wiped, for it was another system's."""

    def __init__(self, places: Places, kept_bytes: int = 0) -> None:
        self._places = places
        self._kept = {"boot.img": kept_bytes}

    async def room(self, slot: Slot) -> Room:
        """See SlotStore."""
        return Room(*[await self._room(slot, member) for member in ("boot.img", "root.img")])

    async def _room(self, slot: Slot, member: str) -> int:
        size = await asyncio.to_thread(_size_of, self._places[slot, member])
        return size - self._kept.get(member, 0)

    async def write(self, slot: Slot, member: str, chunks: AsyncIterator[bytes]) -> int:
        """See SlotStore."""
        place = self._places[slot, member]
        room = await self._room(slot, member)
        fd = await asyncio.to_thread(_open, place, os.O_WRONLY)
        written = flushed = 0
        try:
            async for chunk in chunks:
                if written + len(chunk) > room:
                    raise SlotFailed(f"{member} is larger than {place}, which has {room} bytes")
                flush = written + len(chunk) - flushed >= FLUSH_BYTES
                await to_its_end(asyncio.to_thread(_write, place, fd, chunk, written, flush))
                written += len(chunk)
                flushed = written if flush else flushed
            await to_its_end(asyncio.to_thread(_write, place, fd, bytes(self._kept.get(member, 0)), room, flush=True))
        finally:
            os.close(fd)
        return written

    async def read_back(self, slot: Slot, member: str, size: int) -> str:
        """See SlotStore."""
        return await asyncio.to_thread(_hash_of, self._places[slot, member], size)


def _open(place: Path, flags: int) -> int:
    try:
        return os.open(place, flags | os.O_CLOEXEC)
    except OSError as error:
        raise SlotFailed(f"{place} cannot be opened: {error.strerror}") from error


def _size_of(place: Path) -> int:
    fd = _open(place, os.O_RDONLY)
    try:
        return os.lseek(fd, 0, os.SEEK_END)
    finally:
        os.close(fd)


def _write(place: Path, fd: int, chunk: bytes, at: int, flush: bool) -> None:
    left = memoryview(chunk)
    try:
        while left:
            done = os.pwrite(fd, left, at)
            left, at = left[done:], at + done
        if flush:
            os.fsync(fd)
    except OSError as error:
        raise SlotFailed(f"{place} cannot be written: {error.strerror}") from error


def _hash_of(place: Path, size: int) -> str:
    digest = hashlib.sha256()
    fd = _open(place, os.O_RDONLY)
    try:
        # From the disk itself: what the kernel still has of it proves nothing.
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        at = 0
        while at < size:
            piece = os.pread(fd, min(PIECE_BYTES, size - at), at)
            if not piece:
                raise SlotFailed(f"{place} ends after {at} bytes, and {size} were written")
            digest.update(piece)
            at += len(piece)
            os.posix_fadvise(fd, 0, at, os.POSIX_FADV_DONTNEED)
    except OSError as error:
        raise SlotFailed(f"{place} cannot be read: {error.strerror}") from error
    finally:
        os.close(fd)
    return digest.hexdigest()
