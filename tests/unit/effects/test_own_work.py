"""A look waits until the driver's own work has rested, and never for ever."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from effects.network.own_work import OwnWork
from tests.simulation.time import VirtualLoop

REST_S, LATE_S = 0.05, 0.4


def seconds(story: Callable[[OwnWork, asyncio.AbstractEventLoop], Awaitable[float]]) -> float:
    """How long the story's wait took."""

    async def main() -> float:
        return await story(OwnWork(REST_S, LATE_S), asyncio.get_running_loop())

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main())


async def waited(work: OwnWork, loop: asyncio.AbstractEventLoop) -> float:
    begun = loop.time()
    await work.rested()
    return loop.time() - begun


def test_where_nothing_was_done_or_all_has_rested_nobody_waits() -> None:
    async def story(work: OwnWork, loop: asyncio.AbstractEventLoop) -> float:
        fresh = await waited(work, loop)
        with work:
            pass
        await asyncio.sleep(REST_S)
        return fresh + await waited(work, loop)

    assert seconds(story) == 0


def test_what_has_just_ended_rests_first() -> None:
    async def story(work: OwnWork, loop: asyncio.AbstractEventLoop) -> float:
        with work:
            pass
        return await waited(work, loop)

    assert seconds(story) == pytest.approx(REST_S)


def test_work_that_goes_on_is_waited_for_and_then_for_its_rest_however_it_ended() -> None:
    async def story(work: OwnWork, loop: asyncio.AbstractEventLoop) -> float:
        async def at_work() -> None:
            with work:
                await asyncio.sleep(2 * REST_S)
                raise ValueError

        task = asyncio.create_task(at_work())
        await asyncio.sleep(0)
        taken = await waited(work, loop)
        assert isinstance(task.exception(), ValueError)
        return taken

    assert seconds(story) == pytest.approx(3 * REST_S)


def test_work_that_never_ends_puts_a_look_off_only_for_so_long() -> None:
    async def story(work: OwnWork, loop: asyncio.AbstractEventLoop) -> float:
        with work:
            return await waited(work, loop)

    assert seconds(story) == pytest.approx(LATE_S)
