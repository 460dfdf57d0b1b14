"""Costly questions: a few at a time, asked once for all who wait, and given up when nobody waits any more."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from capsuled.rpc import Refused
from capsuled.turns import QUESTIONS_MOST, Turns


class Work:
    """Counts how often it was begun, how many are at it, and how many were given up; ends when it is let."""

    def __init__(self) -> None:
        self.begun = self.at_once = self.most = self.given_up = 0
        self.let = asyncio.Event()

    async def __call__(self) -> int:
        self.begun += 1
        number = self.begun
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.let.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.at_once -= 1
        return number


def running(story: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def test() -> None:
        asyncio.run(story())  # type: ignore[arg-type]

    test.__name__ = story.__name__
    return test


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@running
async def test_different_questions_are_worked_on_a_few_at_a_time() -> None:
    turns, work = Turns(2), Work()
    asked = [asyncio.create_task(turns.ask(number, work)) for number in range(16)]
    await settled()
    assert (work.begun, work.at_once) == (2, 2)
    work.let.set()
    assert sorted(await asyncio.gather(*asked)) == list(range(1, 17)) and work.most == 2


@running
async def test_who_waits_for_the_same_shares_an_answer_that_was_begun_after_it_was_asked() -> None:
    turns, work = Turns(2), Work()
    asked = []
    for _ in range(16):
        asked.append(asyncio.create_task(turns.ask("same", work)))
        await settled()
    assert work.begun == 2, "the first two took the places, the others wait for one answer"
    work.let.set()
    assert await asyncio.gather(*asked) == [1, 2] + [3] * 14


@running
async def test_who_goes_takes_the_answer_from_nobody_and_the_last_takes_the_work_along() -> None:
    turns, work = Turns(1), Work()
    first = asyncio.create_task(turns.ask("first", work))
    await settled()
    others = [asyncio.create_task(turns.ask("other", work)) for _ in range(3)]
    await settled()
    others[0].cancel()
    first.cancel()
    await settled()
    assert (work.begun, work.given_up) == (2, 1), "its place is another's now"
    others[1].cancel()
    await settled()
    assert work.given_up == 1
    work.let.set()
    assert await others[2] == 2
    waiting = Work()
    held = asyncio.create_task(turns.ask("held", waiting))
    await settled()
    late = asyncio.create_task(turns.ask("late", waiting))
    await settled()
    late.cancel()
    await settled()
    waiting.let.set()
    await held
    await settled()
    assert waiting.begun == 1, "nobody waits for it any more, so it is never begun"


@running
async def test_what_goes_wrong_is_told_to_all_who_waited_and_the_place_is_free_again() -> None:
    turns, work = Turns(1), Work()
    first = asyncio.create_task(turns.ask("first", work))
    await settled()

    async def broken() -> int:
        raise ValueError("it cannot be read")

    asked = [asyncio.create_task(turns.ask("broken", broken)) for _ in range(3)]
    await settled()
    work.let.set()
    await first
    for one in asked:
        with pytest.raises(ValueError, match="cannot be read"):
            await one
    assert await turns.ask("next", work) == 2


@running
async def test_nobody_stands_behind_more_than_a_few_questions_of_another() -> None:
    turns, work = Turns(2), Work()
    asked = []
    for number in range(2 + QUESTIONS_MOST):
        asked.append(asyncio.create_task(turns.ask(number, work, "reader")))
        await settled()
    with pytest.raises(Refused, match="wait for their turn already"):
        await turns.ask("one more", work, "reader")
    shared = asyncio.create_task(turns.ask(2, work, "reader"))
    others = asyncio.create_task(turns.ask("one more", work, "admin"))
    await settled()
    work.let.set()
    await asyncio.gather(*asked, shared, others)
    assert work.begun == 3 + QUESTIONS_MOST
    assert await turns.ask("one more", work, "reader") == 4 + QUESTIONS_MOST
