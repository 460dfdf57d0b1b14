"""The ring of reads while it is looked at: what goes at its front meanwhile is no gap, and any other is one."""

import asyncio
import io
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from journal.archive import Archive, export
from journal.entry import LOCAL, Stored
from journal.environment import Environment
from journal.errors import HistoryCut
from journal.events import CallRead
from journal.reader import LAST, Reader
from journal.sequencer import Draft
from journal.verify import verify
from journal.writer import Journal
from tests.support.clock import HandClock
from tests.support.until import until

KEPT = 100


async def read(journal: Journal, count: int) -> None:
    """So many reads are remembered, the last of them for certain."""
    last = journal._audit.seq + count
    for _ in range(count):
        journal.note(Draft(CallRead("Test.Get", "web"), LOCAL))
    journal._flush_audit()
    await until(lambda: (newest := journal.reader.last("audit")) is not None and newest.header.seq == last)


def telling(directory: Path, story: Callable[[Journal], Awaitable[None]]) -> None:
    async def told() -> None:
        journal = Journal(Environment(directory), HandClock())
        await read(journal, 3 * KEPT)
        await story(journal)
        await journal.close()

    asyncio.run(told())


@pytest.fixture(autouse=True)
def small_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal.mover.AUDIT_KEPT", KEPT)


class Slow(Reader):
    """Somebody else is at work between its looks."""

    meanwhile: Callable[[], None] = staticmethod(lambda: None)

    def entries(self, first: int = 1, last: int = LAST, stream: str = "facts") -> Iterator[Stored]:
        for number, stored in enumerate(super().entries(first, last, stream)):
            if stream == "audit" and number == 5:
                type(self).meanwhile()
            yield stored


def proven(
    directory: Path, journal: Journal, meanwhile: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """What a proof finds that runs beside the daemon, here in one process."""
    monkeypatch.setattr(Reader, "open", lambda _: Slow(journal._env))
    monkeypatch.setattr(Reader, "close", lambda _: None)
    monkeypatch.setattr(Slow, "meanwhile", staticmethod(meanwhile))
    return [one.problem for one in verify(directory).findings]


@pytest.mark.parametrize("count", [40, 3 * KEPT])
def test_a_proof_goes_on_behind_what_the_ring_let_go_of_meanwhile(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(journal: Journal) -> None:
        loop = asyncio.get_running_loop()

        def more() -> None:
            asyncio.run_coroutine_threadsafe(read(journal, count), loop).result(10)

        assert await asyncio.to_thread(proven, tmp_path, journal, more, monkeypatch) == []

    telling(tmp_path, story)


def test_the_front_may_go_before_the_first_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(journal: Journal) -> None:
        first_seq = Reader.first_seq
        late = [True]

        def before(self: Reader, stream: str = "facts") -> int:
            early = stream == "audit" and late and late.pop()
            return first_seq(self, stream) - (10 if early else 0)

        monkeypatch.setattr(Reader, "first_seq", before)
        assert await asyncio.to_thread(proven, tmp_path, journal, lambda: None, monkeypatch) == []

    telling(tmp_path, story)


def test_a_gap_in_the_middle_is_found_also_while_the_front_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(journal: Journal) -> None:
        loop = asyncio.get_running_loop()

        def more() -> None:
            asyncio.run_coroutine_threadsafe(read(journal, 10), loop).result(10)

        with journal._env.lmdb.begin(write=True) as txn:
            txn.delete((250).to_bytes(8, "big"), db=journal._env.db["audit"])
        (problem,) = await asyncio.to_thread(proven, tmp_path, journal, more, monkeypatch)
        assert "entry 250 is missing" in problem

    telling(tmp_path, story)


def test_an_export_says_that_reads_went_meanwhile_instead_of_lacking_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journal.archive._SOME", 4)
    monkeypatch.setattr("journal.archive.LEVEL", 0)

    async def story(journal: Journal) -> None:
        reader = journal.reader
        blocks = export(reader, reader.journal_id)
        next(blocks)
        while not next(blocks):
            pass
        await read(journal, 60)
        with pytest.raises(HistoryCut, match="export it again"):
            list(blocks)
        again = io.BytesIO(b"".join(export(reader, reader.journal_id)))
        assert len(list(Archive(again).entries())) == KEPT

    telling(tmp_path, story)


def test_an_export_is_whole_though_the_front_went_behind_it(tmp_path: Path) -> None:
    async def story(journal: Journal) -> None:
        blocks = export(journal.reader, journal.reader.journal_id)
        content = next(blocks)
        await read(journal, 10)
        content += b"".join(blocks)
        assert len(list(Archive(io.BytesIO(content)).entries())) == KEPT

    telling(tmp_path, story)
