"""Work that no cancellation ends: a thread goes on whoever awaits it, and must find what it works on still there."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def to_its_end(work: Awaitable[T]) -> T:
    """What `work` comes to, which no cancellation ends: who is cancelled, once or again, waits for it, and may then let
    go of what it works on."""
    working = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        while not working.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((working,))
        raise


async def taken(work: Awaitable[T], give_back: Callable[[T], object]) -> T:
    """What `work` comes to, which no cancellation ends. Who is cancelled meanwhile never sees it: it is given back."""
    working = asyncio.ensure_future(work)
    try:
        return await to_its_end(working)
    except asyncio.CancelledError:
        if not working.cancelled() and working.exception() is None:
            give_back(working.result())
        raise
