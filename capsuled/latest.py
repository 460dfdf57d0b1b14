"""What may take long to find out: whoever asks waits for a moment, and then hears what it was last.

One look is under way at a time. It goes on when nobody waits for it any more, and what it comes to is there for whoever
asks next.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """What `look` comes to."""

    def __init__(self, look: Callable[[], Awaitable[T]]) -> None:
        self._look = look
        self._looking: asyncio.Task[T] | None = None
        self._began_s = 0.0
        self._known: T | None = None

    async def ask(self, limit_s: float) -> tuple[T | None, float]:
        """What it is, and 0; or, after `limit_s`, what it was last, None before that was ever found out, and for how
        many seconds the look has been going on. Raises what the look raised."""
        if self._looking is None or self._looking.done():
            self._began_s = time.monotonic()
            self._looking = asyncio.create_task(self._looked())
        looking = self._looking
        await asyncio.wait((looking,), timeout=limit_s)
        if looking.done():
            return looking.result(), 0.0
        return self._known, time.monotonic() - self._began_s

    async def _looked(self) -> T:
        self._known = await self._look()
        return self._known
