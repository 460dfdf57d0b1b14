"""Work that blocks, beside the event loop. What its OSError means, whoever has it done knows: of a volume's file it is
another condition than of an image's."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from effects.errors import DriverError

T = TypeVar("T")


async def on_thread(
    work: Callable[[], T], translate: Callable[[OSError], DriverError], pool: ThreadPoolExecutor | None = None
) -> T:
    """What the work returns, done on a thread; one of the `pool`'s if it takes long. Raises the condition that its
    OSError is."""
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
    except OSError as error:
        raise translate(error) from error
