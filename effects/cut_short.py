"""Work that is given up once something else is told: a grace that nobody wants to wait for any more."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def done_unless(told: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Whether the work came to its end; it is cancelled when `told` is set before. Raises what it raises."""
    doing, hearing = asyncio.ensure_future(work), asyncio.ensure_future(told.wait())
    try:
        await asyncio.wait((doing, hearing), return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            return False
        doing.result()
        return True
    finally:
        doing.cancel()
        hearing.cancel()
        await asyncio.gather(doing, hearing, return_exceptions=True)
