"""A coroutine that is begun at once and awaited later is to its task what it would be if it were awaited at once."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from capsuled.begun import Begun


def on_a_loop(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(10):
            await story()

    asyncio.run(main())


def test_it_runs_to_its_first_wait_at_once_and_on_when_it_is_awaited() -> None:
    async def story() -> None:
        said: list[str] = []
        gate, second = asyncio.Event(), asyncio.Event()

        async def work() -> int:
            said.append("begun")
            await gate.wait()
            said.append("on")
            await second.wait()
            return 7

        begun = Begun(work())
        assert said == ["begun"]
        gate.set()
        await asyncio.sleep(0)
        assert said == ["begun"], "nobody awaits it yet"
        asyncio.get_running_loop().call_soon(second.set)
        assert await begun == 7 and said == ["begun", "on"]

    on_a_loop(story)


def test_one_that_waits_for_nothing_has_its_value() -> None:
    async def story() -> None:
        async def work() -> str:
            return "done"

        assert await Begun(work()) == "done"

    on_a_loop(story)


def test_what_it_waits_for_may_fail_and_it_may_fail_itself() -> None:
    async def story() -> None:
        future = asyncio.get_running_loop().create_future()

        async def work() -> None:
            with pytest.raises(KeyError):
                await future
            raise ValueError("its own")

        begun = Begun(work())
        future.set_exception(KeyError("what it waits for"))
        with pytest.raises(ValueError, match="its own"):
            await begun

    on_a_loop(story)


def test_a_task_that_is_cancelled_cancels_it_and_what_is_closed_is_tidied_up() -> None:
    async def story() -> None:
        ends: list[str] = []

        async def work(name: str) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                ends.append(name)

        async def wait() -> None:
            await Begun(work("awaited"))

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        Begun(work("closed")).close()
        assert ends == ["awaited", "closed"]

    on_a_loop(story)
