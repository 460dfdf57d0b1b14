"""Leases on containerd's content: how long what is half made is kept, and that no clock which can be set decides it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from containerdapi import leases_pb2
from effects.errors import RuntimeUnavailable
from effects.images.building import digest
from effects.images.content import ContentStore
from effects.images.idle_ledger import LEDGER
from effects.images.leases import KEPT_S, Lease, Leases
from tests.support.runtime import Runtime, runtime

pytestmark = pytest.mark.real


async def labels(made: Runtime) -> dict[str, dict[str, str]]:
    """Every lease that containerd knows, and what stands on it."""
    answer = await made.connection.leases.List(leases_pb2.ListRequest(), metadata=made.connection.metadata)
    return {lease.id: dict(lease.labels) for lease in answer.leases}


async def put(made: Runtime, lease: Lease, content: bytes) -> None:
    async def source(offset: int) -> AsyncGenerator[bytes, None]:
        yield content[offset:]

    await ContentStore(made.connection).put(digest(content), len(content), source, lease)


async def eventually(made: Runtime, lease: str, there: bool) -> None:
    """Returns once the lease is there, or is not."""
    while (lease in await labels(made)) != there:  # noqa: ASYNC110 -- containerd tells nobody of leases
        await asyncio.sleep(0.01)


def test_containerd_is_told_of_no_end_by_the_wall_clock() -> None:
    async def main() -> None:
        async with runtime() as made, Leases(made.connection).taken() as lease:
            assert await labels(made) == {lease.id: {}}

    asyncio.run(main())


def test_lives_of_the_daemon_that_are_shorter_than_a_day_count_together_until_what_was_left_goes() -> None:
    async def main() -> None:
        now_s, hour = 0.0, KEPT_S / 24

        def clock() -> float:
            return now_s

        async with runtime() as made:
            with pytest.raises(RuntimeUnavailable):
                async with Leases(made.connection).taken() as left:
                    await put(made, left, b"half an image")
                    raise RuntimeUnavailable("it went")
            seen = list[bool]()
            for boot in range(5):
                now_s = 1_000.0 * boot  # another boot's clock knows nothing of this one's
                leases = Leases(made.connection, clock)
                for _ in range(8):
                    now_s += hour
                    await leases.look()
                    seen.append(left.id in await labels(made))
            assert seen == [True] * 24 + [False] * 16, "a day after it was first found"
            assert await labels(made) == {}

    asyncio.run(main())


def test_the_day_is_over_also_where_no_other_try_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        now_s = 0.0
        monkeypatch.setattr("effects.images.leases.LOOK_S", 0.01)
        async with asyncio.timeout(30), runtime() as made:
            leases = Leases(made.connection, lambda: now_s)
            with pytest.raises(RuntimeUnavailable):
                async with leases.taken() as left:
                    raise RuntimeUnavailable("it went")
            running = asyncio.ensure_future(leases.run())
            await eventually(made, LEDGER, True)
            now_s = float(KEPT_S)
            await eventually(made, left.id, False)
            await eventually(made, LEDGER, False)
            running.cancel()

    asyncio.run(main())


def test_what_was_left_goes_a_day_after_another_try_found_it_there() -> None:
    async def main() -> None:
        now_s = 0.0
        async with runtime() as made:
            leases = Leases(made.connection, lambda: now_s)
            with pytest.raises(RuntimeUnavailable):
                async with leases.taken() as left:
                    await put(made, left, b"half an image")
                    raise RuntimeUnavailable("it went")
            for now_s, there in ((7 * KEPT_S, True), (7.9 * KEPT_S, True), (8 * KEPT_S, False)):
                async with leases.taken() as other:
                    await put(made, other, b"another image")
                assert (left.id in await labels(made)) == there, now_s

    asyncio.run(main())
