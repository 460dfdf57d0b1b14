"""The lock under which the cache's names change and are journaled."""

import asyncio
from collections.abc import Callable
from types import TracebackType


class Naming:
    """Held while names change, and by whoever must not see them change.

    Who leaves it by an error (an answer lost, a pull called off between two names, a journal that is full) may have
    changed names that the journal knows nothing of: then `on_doubt` is called, and somebody has to look.
    """

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self.on_doubt: Callable[[], None] = lambda: None

    async def __aenter__(self) -> None:
        await self._lock.acquire()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()
        if kind is not None:
            self.on_doubt()
