"""What lanes share: how many may burden the machine at once, and that a grace burdens nobody."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

from effects.actions import STARTS_AT_ONCE, Actions
from effects.goals import CleanRun, StopRun


def test_stubborn_stops_hold_up_no_start_and_starts_wait_for_each_other() -> None:
    nobody: Any = None
    clean = CleanRun("db", 1, 1, None, 1)

    async def inside() -> None:
        actions = Actions(nobody, nobody, nobody, nobody, nobody, nobody, nobody)
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
