"""Containers in which processes are killed for want of memory: looked at beside the stream of ends, which waits for
none of it.

Version 1 of cgroups announces the deed, several times, before it is done and counted: the count follows within
milliseconds. A container may suffer so without end, many times a second: however often it is announced, one look is
under way for each container, and tells of it once in a while.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

LOOKS, LOOK_S = 25, 0.02
AGAIN_S = 1.0
"""Between two words on the same container."""


class Suffering(Generic[T]):
    """`kills` is how many of a container's processes were killed so far; `see` what there is to tell of it then."""

    def __init__(self, kills: Callable[[str], int], see: Callable[[str], Awaitable[T | None]]) -> None:
        self._kills = kills
        self._see = see
        self._counted: dict[str, int] = {}
        self._announced: set[str] = set()
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._seen: asyncio.Queue[T | Exception] = asyncio.Queue(maxsize=1)

    def announced(self, cid: str) -> None:
        """A process in the container is killed about now."""
        self._announced.add(cid)
        if cid not in self._looks:
            self._looks[cid] = asyncio.create_task(self._look(cid), name=f"memory of {cid}")

    def forget(self, cid: str) -> None:
        """The container is gone."""
        self._counted.pop(cid, None)
        self._announced.discard(cid)
        if look := self._looks.pop(cid, None):
            look.cancel()

    async def reports(self) -> AsyncGenerator[T, None]:
        """What was seen, for as long as somebody listens; nobody looks any more then. Raises what a look failed of."""
        try:
            while True:
                seen = await self._seen.get()
                if isinstance(seen, Exception):
                    raise seen
                yield seen
        finally:
            looks = self._looks
            self._looks = {}
            for look in looks.values():
                look.cancel()
            await asyncio.gather(*looks.values(), return_exceptions=True)

    async def _look(self, cid: str) -> None:
        try:
            await self._tell(cid)
        except Exception as error:
            await self._seen.put(error)
        finally:
            # Who forgot this one may have had another begin; and whatever ended it, the next word begins one.
            if self._looks.get(cid) is asyncio.current_task():
                del self._looks[cid]

    async def _tell(self, cid: str) -> None:
        while cid in self._announced:
            self._announced.discard(cid)
            while await self._grew(cid):
                if (seen := await self._see(cid)) is not None:
                    await self._seen.put(seen)
                await asyncio.sleep(AGAIN_S)

    async def _grew(self, cid: str) -> bool:
        """Whether more were killed than at the last look, or are within half a second."""
        for _ in range(LOOKS):
            if (kills := self._kills(cid)) > self._counted.get(cid, 0):
                self._counted[cid] = kills
                return True
            await asyncio.sleep(LOOK_S)
        return False
