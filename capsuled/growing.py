"""The disk grows on an operator's word: remembered, done, and what came of it remembered, too."""

import asyncio
from typing import Protocol

import msgspec

from capsuled.boot.errors import StorageFailed
from capsuled.boot.growth import Grown
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.rpc import Refused, refuse
from effects.unbroken import to_its_end
from journal.events import DiskGrown, DiskGrowthFailed, GrownPart
from projections.intents import GrowDisk
from projections.refusals import Refusal


class Room(Protocol):
    """The disk that the machine boots from."""

    disk: str

    async def unused_bytes(self) -> int:
        """How much of it is nobody's. Raises StorageFailed."""
        ...

    async def grow(self) -> tuple[Grown, ...]:
        """Take that; what has grown. Done again, it goes on where it stopped. Raises StorageFailed."""
        ...


class Result(msgspec.Struct, frozen=True):
    """`unused_bytes` were nobody's before."""

    unused_bytes: int
    grown: tuple[Grown, ...] = ()


class Growing:
    """Of the operating system; a hosted daemon has none. One at a time."""

    def __init__(self, engine: Engine, room: Room) -> None:
        self._engine = engine
        self._room = room
        self._one_at_a_time = asyncio.Lock()

    @property
    def disk(self) -> str:
        """Its device."""
        return self._room.disk

    async def look(self) -> Result:
        """What there would be to take. Raises Refused."""
        try:
            return Result(await self._room.unused_bytes())
        except StorageFailed as error:
            refuse("FAILED_PRECONDITION", "DISK_UNREADABLE", str(error))

    async def grow(self, caller: Caller) -> Result:
        """Have it admitted, and done when this returns. Raises Refused."""
        async with self._one_at_a_time:
            before = await self.look()
            outcome = await self._engine.call(GrowDisk(), caller)
            if isinstance(outcome, Refusal):
                raise Refused(outcome)
            # Whoever asked may go: what works on a disk is not stopped in the middle.
            return Result(before.unused_bytes, await to_its_end(self._done(outcome.seq)))

    async def _done(self, cause: int) -> tuple[Grown, ...]:
        try:
            grown = await self._room.grow()
        except StorageFailed as error:
            self._engine.record((DiskGrowthFailed(self.disk, str(error)),), cause=cause, vital=True)
            await self._engine.durable()
            refuse("FAILED_PRECONDITION", "DISK_NOT_GROWN", str(error))
        self._engine.record(disk_grown(self.disk, grown), cause=cause, vital=True)
        await self._engine.durable()
        return grown


def disk_grown(disk: str, grown: tuple[Grown, ...]) -> tuple[DiskGrown, ...]:
    """The event of it; none where nothing has. Pure."""
    parts = tuple(GrownPart(one.name, one.before_bytes, one.after_bytes) for one in grown)
    return (DiskGrown(disk, parts),) if parts else ()
