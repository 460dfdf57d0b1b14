"""Processes killed for want of memory: told once they are counted, and no end of another waits for that."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from containerdapi import events_pb2, taskevents_pb2
from effects.containers import suffering
from effects.containers.suffering import Suffering
from effects.runs.protocol import Resync
from tests.support.scripted_containerd import driver_on

HUNDRED = 100
"""Announcements, of which version 1 of cgroups makes some forty a second."""


def told(topic: str, message: Message) -> Any:
    return events_pb2.Envelope(topic=topic, event=AnyMessage(value=message.SerializeToString()))


def test_no_end_waits_for_a_look_at_one_that_suffers(tmp_path: Path) -> None:
    async def news(*args: Any, **options: Any) -> AsyncIterator[Any]:
        for _ in range(HUNDRED):
            yield told("/tasks/oom", taskevents_pb2.TaskOOM(container_id="worker.1.1"))
        yield told("/containers/delete", taskevents_pb2.ContainerDelete(id="victim.2.1"))
        await asyncio.Event().wait()

    async def main() -> None:
        nothing = SimpleNamespace()
        driver = driver_on(tmp_path, nothing, nothing, events=SimpleNamespace(Subscribe=news))
        stream = aiter(driver.exits())
        assert isinstance(await anext(stream), Resync)
        async with asyncio.timeout(suffering.LOOKS * suffering.LOOK_S):
            assert isinstance(await anext(stream), Resync), "another hand took the victim's record"

    asyncio.run(main())


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suffering, "LOOK_S", 0.001)
    monkeypatch.setattr(suffering, "AGAIN_S", 0.01)


@pytest.mark.usefixtures("at_once")
def test_what_is_announced_is_told_when_it_is_counted_and_once_however_often_it_is_announced() -> None:
    kills: Counter[str] = Counter()

    async def see(cid: str) -> tuple[str, int]:
        return cid, kills[cid]

    async def main() -> None:
        looks = Suffering(kills.__getitem__, see)
        reports = looks.reports()
        for _ in range(HUNDRED):
            looks.announced("web")
        first = asyncio.ensure_future(anext(reports))
        await asyncio.sleep(0.005)
        assert not first.done(), "version 1 of cgroups announces what is still to be done"
        kills["web"] = 3
        assert await first == ("web", 3)
        kills["web"] = 4  # one that was on its way: announced already
        assert await anext(reports) == ("web", 4)
        kills["db"] = 1
        looks.announced("db")
        looks.announced("web")
        assert await anext(reports) == ("db", 1), "of the other there is nothing new"
        await reports.aclose()
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("memory of")]

    asyncio.run(main())


@pytest.mark.usefixtures("at_once")
def test_a_look_that_fails_is_told_of_and_the_next_word_begins_another() -> None:
    kills: Counter[str] = Counter(web=1)

    async def see(cid: str) -> tuple[str, int]:
        if kills[cid] == 1:
            raise ValueError(f"{cid} has no such label")
        return cid, kills[cid]

    async def main() -> None:
        looks = Suffering(kills.__getitem__, see)
        looks.announced("web")
        with pytest.raises(ValueError, match="web has no such label"):
            async with asyncio.timeout(2):
                await anext(looks.reports())
        kills["web"] = 2
        looks.announced("web")
        async with asyncio.timeout(2):
            assert await anext(looks.reports()) == ("web", 2)

    asyncio.run(main())


@pytest.mark.usefixtures("at_once")
def test_one_that_is_forgotten_leaves_the_look_that_began_since() -> None:
    kills: Counter[str] = Counter(web=1)
    began = asyncio.Event()

    async def see(cid: str) -> tuple[str, int]:
        began.set()
        await asyncio.sleep(0.01)
        return cid, kills[cid]

    async def main() -> None:
        looks = Suffering(kills.__getitem__, see)
        looks.announced("web")
        await began.wait()
        looks.forget("web")
        for _ in range(3):
            looks.announced("web")
            await asyncio.sleep(0)
            assert len([one for one in asyncio.all_tasks() if one.get_name() == "memory of web"]) == 1
        async with asyncio.timeout(2):
            assert await anext(looks.reports()) == ("web", 1)

    asyncio.run(main())


@pytest.mark.usefixtures("at_once")
def test_nobody_looks_at_one_that_is_gone() -> None:
    looked: Counter[str] = Counter()

    def kills(cid: str) -> int:
        looked[cid] += 1
        return 0

    async def see(cid: str) -> str:
        return cid

    async def main() -> None:
        looks = Suffering(kills, see)
        looks.announced("web")
        looks.forget("web")
        await asyncio.sleep(0.01)
        assert not looked

    asyncio.run(main())
