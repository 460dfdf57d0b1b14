"""The simulated twin of the payload disks: a directory of a world in memory."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import msgspec

from effects.errors import ImageMissing, NoSpace

Step = Callable[[str], Awaitable[None]]
"""Awaited before and after everything a driver does to the world; may delay, raise, or never return."""

DISK_BYTES = 1 << 20


class TwinDisk(msgspec.Struct):
    """A disk of the world. `whole`: nobody has damaged it since it was made; `makings`: how often it was made."""

    whole: bool = True
    makings: int = 1


class Racks:
    """What is on the disk below. `images` are the digests that can be made a disk of; `in_use` says whether a virtual
    machine of the world has the disk of a digest open; `full`: there is no room for another."""

    def __init__(self, images: Collection[str]) -> None:
        self.images = images
        self.in_use: Callable[[str], bool] = lambda digest: False
        self.disks: dict[str, TwinDisk] = {}
        self.scratch: set[str] = set()
        self.full = False


class TwinDisks:
    """A driver on a world. See the protocol."""

    def __init__(self, racks: Racks, step: Step) -> None:
        self._racks = racks
        self._step = step
        self._making: dict[str, asyncio.Future[None]] = {}

    async def sweep(self) -> None:
        """See the protocol."""
        await self._step("sweep payloads")
        self._racks.scratch.clear()

    async def ensure(self, digest: str) -> str:
        """See the protocol."""
        await self._step("look for payload")
        disk = self._racks.disks.get(digest)
        if digest in self._making or disk is None or not disk.whole:
            making = self._making.get(digest)
            if making is None:
                making = self._making[digest] = asyncio.ensure_future(self._made(digest))
                making.add_done_callback(lambda _: self._making.pop(digest, None))
            await asyncio.shield(making)
        return f"/payloads/{digest}"

    async def _made(self, digest: str) -> None:
        racks = self._racks
        if digest not in racks.images:
            raise ImageMissing(f"{digest} is not in the image cache")
        racks.scratch.add(digest)
        try:
            await self._step("make payload")
            if racks.full:
                raise NoSpace("the disk is full")
            before = racks.disks.get(digest)
            racks.disks[digest] = TwinDisk(makings=1 if before is None else before.makings + 1)
            await self._step("payload made")
        finally:
            racks.scratch.discard(digest)

    async def observe(self) -> dict[str, int]:
        """See the protocol."""
        await self._step("observe payloads")
        return dict.fromkeys(self._racks.disks, DISK_BYTES)

    async def collect(self, keep: Callable[[], Collection[str]]) -> int:
        """See the protocol."""
        await self._step("collect payloads")
        racks = self._racks
        kept = {*keep(), *self._making}
        gone = [one for one in racks.disks if one not in kept and not racks.in_use(one)]
        for digest in gone:
            del racks.disks[digest]
        return len(gone) * DISK_BYTES

    async def close(self) -> None:
        """See the protocol."""
        making = tuple(self._making.values())
        for one in making:
            one.cancel()
        await asyncio.gather(*making, return_exceptions=True)
