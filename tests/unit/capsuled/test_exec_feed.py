"""A terminal's size: waited for where the client named none, and no longer than it says nothing at all."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from capsule.v1 import workload_pb2 as pb
from capsuled import exec_feed
from capsuled.exec_feed import Feed
from effects.runs.exec_protocol import Window

SIZE = pb.WorkloadExecClientMessage(resize=pb.WorkloadExecResize(cols=91, rows=29))
ENTERED = pb.WorkloadExecClientMessage(stdin=b"ls\n")


def sized(*messages: pb.WorkloadExecClientMessage, ends: bool = False, window: Window | None = None) -> Window | None:
    """What it takes for the size when these come while it waits."""

    async def main() -> Window | None:
        asked = asyncio.Event()

        async def requests() -> AsyncIterator[pb.WorkloadExecClientMessage]:
            await asked.wait()
            for one in messages:
                yield one
            if not ends:
                await asyncio.Event().wait()

        feed = Feed(requests(), window)
        size = asyncio.ensure_future(feed.size())
        await asyncio.sleep(0)
        asked.set()
        try:
            return await size
        finally:
            await feed.close()

    return asyncio.run(asyncio.wait_for(main(), 20))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for the clock fails."""
    monkeypatch.setattr(exec_feed, "SIZE_S", 60)


@pytest.mark.usefixtures("patient")
def test_a_size_behind_the_config_is_waited_for() -> None:
    assert sized(SIZE) == Window(91, 29)


@pytest.mark.usefixtures("patient")
def test_who_says_something_else_first_has_none_and_is_not_waited_for() -> None:
    assert sized(ENTERED, SIZE) is None
    assert sized(ends=True) is None


@pytest.mark.usefixtures("patient")
def test_a_size_in_the_config_is_it_at_once() -> None:
    assert sized(window=Window(80, 24)) == Window(80, 24)


def test_who_says_nothing_is_waited_for_a_moment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exec_feed, "SIZE_S", 0.01)
    assert sized() is None
