"""The slots' partitions: written as a bundle streams in, and read back from the disk before anybody counts on them.

What came last is written while the stretch before it is forced onto the disk, read back from there and hashed: a push
takes as long as the slowest of these, and not as long as all of them. Each byte is hashed once, where it ended up; that
it is the byte which came is told by a checksum of a tenth of a hash's cost.
"""

import asyncio
import hashlib
import os
import zlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from effects.slots.protocol import Room, Slot, SlotFailed, Written
from effects.unbroken import taken, to_its_end

PIECE_BYTES = 1 << 20
STRETCH_BYTES = 16 << 20
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

    async def write(self, slot: Slot, member: str, chunks: AsyncIterator[bytes]) -> Written:
        """See SlotStore."""
        place = self._places[slot, member]
        room = await self._room(slot, member)
        fd = await taken(asyncio.to_thread(_open, place, os.O_RDWR), os.close)
        behind = _ReadBehind(place, fd)
        written = came = 0
        try:
            async for chunk in chunks:
                if written + len(chunk) > room:
                    raise SlotFailed(f"{member} is larger than {place}, which has {room} bytes")
                came = await to_its_end(asyncio.to_thread(_write, place, fd, chunk, written, came))
                written += len(chunk)
                await behind.follow(written)
            kept = bytes(self._kept.get(member, 0))
            await to_its_end(asyncio.to_thread(_write, place, fd, kept, room, 0))
            there = await behind.end(written)
        finally:
            try:
                await behind.settled()
            finally:
                os.close(fd)  # nothing reads any more: also who is cancelled has waited for that
        if there.checksum != came:
            raise SlotFailed(f"{member} was written to {place}, and something else is there: the disk is failing")
        return Written(written, there.digest.hexdigest())

    async def read_back(self, slot: Slot, member: str, size: int) -> str:
        """See SlotStore."""
        return await asyncio.to_thread(_hash_of, self._places[slot, member], size)


class _Reading:
    """What was read of a partition, from its beginning on."""

    def __init__(self, place: Path, fd: int) -> None:
        self.digest = hashlib.sha256()
        self.checksum = 0
        self.at = 0
        self._place = place
        self._fd = fd

    def on_to(self, end: int) -> None:
        """Read on, from the disk itself: what the kernel still has of it proves nothing. Raises SlotFailed."""
        try:
            # To the end of all: a page that is kept for its other half would be read from memory.
            os.posix_fadvise(self._fd, self.at, 0, os.POSIX_FADV_DONTNEED)
            while self.at < end:
                piece = os.pread(self._fd, min(PIECE_BYTES, end - self.at), self.at)
                if not piece:
                    raise SlotFailed(f"{self._place} ends after {self.at} bytes, and {end} were written")
                self.digest.update(piece)
                self.checksum = zlib.crc32(piece, self.checksum)
                os.posix_fadvise(self._fd, self.at, len(piece), os.POSIX_FADV_DONTNEED)
                self.at += len(piece)
        except OSError as error:
            raise SlotFailed(f"{self._place} cannot be read: {error.strerror}") from error


class _ReadBehind:
    """Beside a write, forces onto the disk what was written and reads it from there: one stretch at a time."""

    def __init__(self, place: Path, fd: int) -> None:
        self._place = place
        self._fd = fd
        self._read = _Reading(place, fd)
        self._asked = 0
        self._work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._work.set_result(None)

    async def follow(self, written: int) -> None:
        """So much was written by now. Waits for the stretch before this one. Raises SlotFailed."""
        # What lies in one page of memory with what comes next would be read from there, and not from the disk.
        whole = written - written % PIECE_BYTES
        if whole - self._asked >= STRETCH_BYTES:
            await self._begin(whole)

    async def end(self, written: int) -> _Reading:
        """Nothing more comes: all of it, as the disk has it. Raises SlotFailed."""
        await self._begin(written)
        await asyncio.shield(self._work)
        return self._read

    async def settled(self) -> None:
        """Nothing reads any more, whatever came of it; then the descriptor may be closed."""
        await to_its_end(asyncio.wait((self._work,)))
        self._work.exception()  # whoever needs to know of it has been told, or failed before

    async def _begin(self, written: int) -> None:
        await asyncio.shield(self._work)
        self._asked = written
        self._work = asyncio.ensure_future(asyncio.to_thread(self._pursue, written))

    def _pursue(self, written: int) -> None:
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise SlotFailed(f"{self._place} cannot be written: {error.strerror}") from error
        self._read.on_to(written)


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


def _write(place: Path, fd: int, chunk: bytes, at: int, checksum: int) -> int:
    """The checksum of all that came until now."""
    left = memoryview(chunk)
    try:
        while left:
            done = os.pwrite(fd, left, at)
            left, at = left[done:], at + done
    except OSError as error:
        raise SlotFailed(f"{place} cannot be written: {error.strerror}") from error
    return zlib.crc32(chunk, checksum)


def _hash_of(place: Path, size: int) -> str:
    fd = _open(place, os.O_RDONLY)
    try:
        reading = _Reading(place, fd)
        reading.on_to(size)
        return reading.digest.hexdigest()
    finally:
        os.close(fd)
