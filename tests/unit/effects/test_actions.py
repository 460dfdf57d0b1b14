"""What lanes share: how many may burden the machine at once, and that a grace burdens nobody."""

import asyncio
import gc
from contextlib import AsyncExitStack
from typing import Any
from weakref import ref

from effects.actions import STARTS_AT_ONCE, Actions
from effects.goals import CleanRun, EnsureVolume, StopRun


def test_stubborn_stops_hold_up_no_start_and_starts_wait_for_each_other() -> None:
    nobody: Any = None
    clean = CleanRun("db", 1, 1, None, 1)

    async def inside() -> None:
        actions = Actions(nobody, nobody, nobody, nobody, nobody, nobody, nobody, nobody)
        async with AsyncExitStack() as held:
            for number in range(4 * STARTS_AT_ONCE):
                await held.enter_async_context(actions.guard(StopRun(f"web-{number}", 1, 1, 60_000, None, 1)))
            for _ in range(STARTS_AT_ONCE):
                await held.enter_async_context(actions.guard(clean))
            late = asyncio.ensure_future(actions.guard(clean).__aenter__())
            await asyncio.sleep(0)
            assert not late.done()
            late.cancel()

    asyncio.run(inside())


def test_a_lock_is_an_objects_as_long_as_somebody_wants_it_and_no_longer() -> None:
    nobody: Any = None

    async def inside() -> None:
        actions = Actions(nobody, nobody, nobody, nobody, nobody, nobody, nobody, nobody)
        goal = EnsureVolume("data", 1, 1 << 20)
        async with actions.guard(goal):
            late = asyncio.ensure_future(actions.guard(goal).__aenter__())
            await asyncio.sleep(0)
            assert not late.done(), "it is the same lock for all"
            late.cancel()
            await asyncio.wait((late,))
            del late
        lock = ref(actions.guard(goal))
        gc.collect()
        assert lock() is None

    asyncio.run(inside())
