"""In which order layers come from a registry."""

import asyncio

from effects.images.fetch import LAYERS_AT_ONCE, SHARED_BYTES, Way


def entered(sizes: list[int], until: int) -> list[list[int]]:
    """Which layers are on their way, again and again as the oldest of them arrives, `until` so many have."""

    async def main() -> list[list[int]]:
        way, under_way, seen = Way(), list[int](), list[list[int]]()
        ends = [asyncio.Event() for _ in sizes]

        async def bring(number: int) -> None:
            async with way.taken(sizes[number]):
                under_way.append(number)
                await ends[number].wait()
                under_way.remove(number)

        tasks = [asyncio.ensure_future(bring(number)) for number in range(len(sizes))]
        for end in ends[:until]:
            for _ in range(20):
                await asyncio.sleep(0)
            seen.append(list(under_way))
            end.set()
        for end in ends:
            end.set()
        await asyncio.gather(*tasks)
        return seen

    return asyncio.run(main())


def test_a_large_layer_goes_ahead_of_those_above_it() -> None:
    large = SHARED_BYTES + 1
    assert entered([large, large, large], until=3) == [[0], [1], [2]]


def test_small_layers_come_several_at_a_time_in_their_order() -> None:
    assert LAYERS_AT_ONCE == 3
    assert entered([10, 10, 10, 10, 10], until=3) == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
