"""Trying again what a network spoiled: with back-off, and only as long as nothing at all comes through."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from effects.errors import RegistryUnreachable

FIRST_DELAY_S = 0.5
CAP_DELAY_S = 8.0
WISH_CAP_S = 60.0

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


async def retried(
    action: Callable[[], Awaitable[T]],
    tries: int,
    moved: Callable[[], int] = lambda: 0,
    sleep: Sleep = asyncio.sleep,
) -> T:
    """`action`, as often as `tries` in vain: a try that has `moved` something (a count that grows) was not in vain.
    Raises RegistryUnreachable of the last try, and whatever else `action` raises at once."""
    vain, before = 0, moved()
    while True:
        try:
            return await action()
        except RegistryUnreachable as error:
            vain, before = (vain + 1 if moved() == before else 1), moved()
            if vain >= tries:
                raise
            delay = min(FIRST_DELAY_S * 2 ** (vain - 1), CAP_DELAY_S)
            await sleep(max(delay, min(error.retry_after_s, WISH_CAP_S)))
