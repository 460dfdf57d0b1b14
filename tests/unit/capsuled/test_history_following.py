"""History that goes on: entries and reads as they come, each told once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from capsule.v1 import history_pb2 as pb
from capsuled.engine import Engine
from capsuled.services.history import HistoryService
from journal.entry import LOCAL
from journal.environment import Environment
from journal.errors import JournalFailed
from journal.events import CallAccepted, CallRead
from journal.sequencer import Draft
from journal.writer import Journal
from projections.state import Machine
from tests.support.clock import HandClock

Seen = tuple[str, str]
WITHIN_S = 10


class Daemon:
    """What a daemon has of its journal."""

    def __init__(self, directory: Path) -> None:
        clock = HandClock()
        self.environment = Environment(directory)
        self.journal = Journal(self.environment, clock)
        self.engine = Engine(self.journal, Machine(), clock, frozenset())
        self.service = self.of(self.journal)

    def of(self, journal: Journal | None) -> HistoryService:
        after = None if journal is None else journal.read_after
        return HistoryService(self.environment, self.journal.reader, self.engine, read_after=after)

    def calls(self, name: str) -> None:
        self.engine.commit([Draft(CallAccepted("Test.Call", (name,)), LOCAL)])

    def reads(self, *names: str) -> None:
        for name in names:
            self.journal.note(Draft(CallRead("Test.Get", name), LOCAL))
        self.journal._flush_audit()


@asynccontextmanager
async def daemon(directory: Path) -> AsyncIterator[Daemon]:
    made = Daemon(directory)
    try:
        yield made
    finally:
        await made.journal.close()


class Follower:
    """Goes on with history, one entry after another."""

    def __init__(self, service: HistoryService, **asked: Any) -> None:
        self._answers = service.List(pb.HistoryListRequest(follow=True, **asked), None)

    async def next(self, count: int = 1) -> list[Seen]:
        async with asyncio.timeout(WITHIN_S):
            return [seen(await anext(self._answers)) for _ in range(count)]

    async def close(self) -> None:
        await self._answers.aclose()  # type: ignore[attr-defined]


def seen(entry: pb.HistoryEntry) -> Seen:
    return entry.stream, entry.objects[0]


def test_reads_go_on_beside_what_happens(tmp_path: Path) -> None:
    async def main() -> None:
        async with daemon(tmp_path / "journal") as made:
            made.calls("one")
            made.reads("two")
            await made.journal.read_after(0)
            follower = Follower(made.service, audit=True)
            assert await follower.next(2) == [("facts", "one"), ("audit", "two")]
            made.reads("three", "four")
            assert await follower.next(2) == [("audit", "three"), ("audit", "four")]
            made.calls("five")
            assert await follower.next() == [("facts", "five")]
            made.reads("six")
            made.calls("seven")
            assert sorted(await follower.next(2)) == [("audit", "six"), ("facts", "seven")]
            await follower.close()
            assert len(asyncio.all_tasks()) == 1, "nobody waits on for whom nobody asks"

    asyncio.run(main())


def test_of_reads_only_those_that_were_asked_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with daemon(tmp_path / "journal") as made:
            of_web, plainly = Follower(made.service, audit=True, name="web"), Follower(made.service)
            waiting = [asyncio.ensure_future(one.next()) for one in (of_web, plainly)]
            made.reads("db")
            made.reads("web")
            assert await waiting[0] == [("audit", "web")]
            made.calls("db")
            assert await waiting[1] == [("facts", "db")], "who did not ask for reads is told of none"
            await of_web.close()
            await plainly.close()

    asyncio.run(main())


def test_where_no_reads_are_kept_entries_go_on_alone(tmp_path: Path) -> None:
    async def main() -> None:
        async with daemon(tmp_path / "journal") as made:
            made.reads("one")
            await made.journal.read_after(0)
            follower = Follower(made.of(None), audit=True)
            assert await follower.next() == [("audit", "one")]
            made.calls("two")
            assert await follower.next() == [("facts", "two")]
            await follower.close()

    asyncio.run(main())


def test_a_journal_that_fails_ends_what_goes_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with daemon(tmp_path / "journal") as made:
            follower = Follower(made.service, audit=True)
            waiting = asyncio.ensure_future(follower.next())
            reading = asyncio.ensure_future(made.journal.read_after(0))
            await asyncio.sleep(0)
            made.journal._tell(OSError(5, "Input/output error"))
            for one in (waiting, reading):
                with pytest.raises(JournalFailed):
                    await one

    asyncio.run(main())
