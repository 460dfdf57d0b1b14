"""Whether a loop's other tasks have their turns while a test keeps it at work."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


@asynccontextmanager
async def turns() -> AsyncIterator[Callable[[], int]]:
    """Yields what tells how many turns another task of this loop has had until now."""
    had = 0

    async def other() -> None:
        nonlocal had
        while True:
            await asyncio.sleep(0)
            had += 1

    going = asyncio.create_task(other())
    try:
        yield lambda: had
    finally:
        going.cancel()
