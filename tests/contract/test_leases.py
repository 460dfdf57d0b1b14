"""Leases on containerd's content: how long what is half made is kept, and that no clock which can be set decides it."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from containerdapi import leases_pb2
from effects.errors import RuntimeUnavailable
from effects.images.building import digest
from effects.images.content import ContentStore
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


def test_containerd_is_told_of_no_end_by_the_wall_clock() -> None:
    async def main() -> None:
        async with runtime() as made, Leases(made.connection).taken() as lease:
            assert await labels(made) == {lease.id: {}}

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
