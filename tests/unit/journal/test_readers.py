"""Readers that were killed: what LMDB keeps for them is taken back, and who finds no place is told to ask again."""

import asyncio
from pathlib import Path

import pytest

from capsulectl.errors import Failure
from capsulectl.journal import verify as prove_here
from capsuled.examine import replay_apart
from journal.apart import verify_apart
from journal.entry import LOCAL
from journal.environment import READERS_MOST, Environment
from journal.errors import JournalBusy, JournalFull
from journal.events import WorkloadStopRequested
from journal.reader import Reader
from journal.sequencer import Draft
from journal.space import Space
from journal.verify import verify
from journal.writer import Journal
from tests.support.clock import HandClock
from tests.support.reading import reading
from tests.support.short_disk import MIB, disk_of, on_short_disk

STOP = Draft(WorkloadStopRequested("web", 3), LOCAL)


async def kept(journal: Journal, size: int) -> None:
    """Two transactions: a snapshot of so many bytes, and what was appended before it."""
    seq = journal.append([STOP])[0][0].seq
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    def encoded() -> bytes:
        loop.call_soon_threadsafe(done.set)
        return b"s" * size

    journal.save_snapshot(1, seq, encoded)
    await asyncio.wait_for(done.wait(), 10)
    await journal.durable(seq)


def test_a_reader_that_was_killed_keeps_no_page_from_being_used_again(tmp_path: Path) -> None:
    async def main() -> int:
        journal = Journal(Environment(tmp_path), HandClock())
        for _ in range(20):
            await kept(journal, 10_000)
        with reading(tmp_path):
            pass
        before = journal._env.used_bytes
        for _ in range(60):
            await kept(journal, 10_000)
        grown = journal._env.used_bytes - before
        await journal.close()
        return grown

    assert asyncio.run(main()) < 300_000


@pytest.mark.parametrize("restarted", [False, True])
def test_a_journal_that_is_full_of_what_a_reader_kept_takes_entries_again_once_it_is_gone(
    tmp_path: Path, restarted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_of(32 * MIB, monkeypatch)

    async def filled(journal: Journal) -> None:
        with reading(tmp_path):
            for _ in range(200):
                if journal.shortage():
                    break
                await kept(journal, 400_000)
                await kept(journal, 100)
            for _ in range(3):  # what has been moved since takes less than it claimed, and there is an end to that
                with pytest.raises(JournalFull):
                    for _ in range(20_000):
                        journal.append([STOP])
                await journal.durable(journal.seq)

    async def main() -> None:
        journal = on_short_disk(tmp_path)
        await filled(journal)
        if restarted:
            await journal.close()
            journal = on_short_disk(tmp_path)
        for _ in range(300):
            journal.append([STOP])
            await kept(journal, 100)
        assert journal.shortage() == ""
        assert journal._env.used_bytes <= 32 * MIB, "what is not there was not promised"
        await journal.close()

    asyncio.run(main())
    assert verify(tmp_path).whole


def test_what_wants_pages_in_a_row_is_not_promised_those_between(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Environment, "held_bytes", 0)

    class Full(Space):
        full = False

        def extend(self, used_bytes: int) -> bool:
            return not self.full and super().extend(used_bytes)

    async def main() -> None:
        environment = Environment(tmp_path)
        space = Full(tmp_path / "data.mdb")
        journal = Journal(environment, HandClock(), space=space)
        space.full = True
        journal.append([STOP])
        with pytest.raises(JournalFull):
            journal.append([Draft(WorkloadStopRequested("w" * 5_000, 3), LOCAL)])
        await journal.close()

    asyncio.run(main())


def test_the_dead_make_room_for_who_reads_here(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    with reading(tmp_path, READERS_MOST), pytest.raises(JournalBusy, match="ask again"):
        Reader(environment).first_seq()
    assert Reader(environment).first_seq() == 0
    environment.close()


def test_who_finds_no_place_is_told_so_and_not_that_the_journal_is_damaged(tmp_path: Path) -> None:
    Environment(tmp_path).close()
    with reading(tmp_path, READERS_MOST):
        for prove in (verify, verify_apart):
            with pytest.raises(JournalBusy, match=r"Nothing is wrong with it: ask again"):
                prove(tmp_path)
        with pytest.raises(JournalBusy):
            asyncio.run(replay_apart(tmp_path))
        with pytest.raises(Failure, match="ask again"):
            prove_here(dir=str(tmp_path))
    assert verify_apart(tmp_path).whole
