"""A call whose containerd dies, and that nobody waits for any more, fails for nobody."""

import asyncio
import gc
from typing import Any

import pytest

from effects.containerd.letting_go import let_go
from effects.errors import RuntimeUnavailable


async def _fails(begun: asyncio.Event) -> None:
    await begun.wait()
    raise RuntimeUnavailable("containerd is gone")


@pytest.mark.parametrize("failed", [False, True])
def test_it_is_ended_and_no_failure_of_it_is_logged(failed: bool) -> None:
    told: list[dict[str, Any]] = []

    async def story() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        begun = asyncio.Event()
        call = asyncio.ensure_future(_fails(begun))
        if failed:
            begun.set()
            await asyncio.wait((call,))
        let_go(call)
        await asyncio.sleep(0)
        assert call.done() and call.cancelled() is not failed
        del call
        gc.collect()

    asyncio.run(story())
    assert told == []
