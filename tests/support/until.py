"""Waiting in a test for what another task, a thread or a process does when it sees fit."""

import asyncio
import time
from collections.abc import Callable


async def until(condition: Callable[[], object], within_s: float = 10) -> None:
    """Returns once `condition()` holds; `within_s` is for what never comes."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 -- what is waited for rings no bell
            await asyncio.sleep(0.001)


def wait_until(condition: Callable[[], object], what: str, within_s: float = 30) -> None:
    """The same where no loop runs, or it shall stand still; `what` is told of what never comes."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)
