"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from effects.merging import merged


async def said(*words: str, ends: list[str] | None = None, fails: bool = False) -> AsyncGenerator[str, None]:
    try:
        for word in words:
            await asyncio.sleep(0)
            yield word
        if fails:
            raise OSError("so")
        if ends is not None:
            await asyncio.Event().wait()
    finally:
        if ends is not None:
            ends.append(words[0])


def test_all_is_told_of_each_in_its_order_until_all_have_ended() -> None:
    async def main() -> list[str]:
        return [one async for one in merged(said("a", "b", "c"), said("1"), said())]

    found = asyncio.run(main())
    assert [one for one in found if one.isalpha()] == ["a", "b", "c"] and found.count("1") == 1 and len(found) == 4


def test_who_goes_no_further_ends_them_all() -> None:
    async def main() -> list[str]:
        ends: list[str] = []
        both = merged(said("a", ends=ends), said("1", ends=ends))
        assert await anext(both) in ("a", "1")
        await both.aclose()
        assert len(asyncio.all_tasks()) == 1
        return ends

    assert sorted(asyncio.run(main())) == ["1", "a"]


def test_one_that_fails_ends_the_others() -> None:
    async def main() -> list[str]:
        ends: list[str] = []
        with pytest.raises(OSError, match="so"):
            async for _ in merged(said("a", ends=ends), said("1", fails=True)):
                pass
        return ends

    assert asyncio.run(main()) == ["a"]
