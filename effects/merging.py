"""Several streams as one: what comes of any of them is handed on as it comes, and of each one thing at a time."""

import asyncio
from collections.abc import AsyncGenerator
from typing import TypeVar

T = TypeVar("T")


async def merged(*sources: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
    """What comes of the sources, until all have ended, or one has failed, which is raised. Who goes no further ends
    them all."""
    awaited = {asyncio.ensure_future(_next(source)): source for source in sources}
    try:
        while awaited:
            done, _ = await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                source = awaited[task]
                found = task.result()
                del awaited[task]
                if found is not None:
                    yield found[0]
                    awaited[asyncio.ensure_future(_next(source))] = source
    finally:
        for task in awaited:
            task.cancel()
        await asyncio.gather(*awaited, return_exceptions=True)
        for source in sources:
            await source.aclose()


async def _next(source: AsyncGenerator[T, None]) -> tuple[T] | None:
    async for one in source:
        return (one,)
    return None
