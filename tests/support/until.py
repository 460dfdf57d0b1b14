"""Waiting in a test for what another task or a thread does when it sees fit."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], within_s: float = 10) -> None:
    """Returns once `condition()` holds; `within_s` is for what never comes."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 -- what is waited for rings no bell
            await asyncio.sleep(0.001)
