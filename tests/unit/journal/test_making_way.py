"""A disk that is full of snapshots takes entries: all that can be done without make way, and the state is as it was."""

import asyncio
import os
import threading
import time
from pathlib import Path

import pytest

from capsuled.memory import packed, recall, replay_journal
from journal.entry import LOCAL
from journal.environment import Environment
from journal.errors import JournalFull
from journal.events import CallAccepted
from journal.reader import Reader
from journal.sequencer import Draft
from journal.verify import verify
from journal.writer import Journal
from projections.fold import FOLD_VERSION, fold
from projections.state import Machine
from projections.views import state_hash
from tests.support.short_disk import MIB, disk_of, on_short_disk

SNAPSHOT_BYTES = 400_000


class Told:
    """A journal and the state that it folds to."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.machine = Machine()

    async def goes_on(self, entries: int) -> None:
        """In batches, each durable. Raises JournalFull."""
        for _ in range(0, entries, 50):
            drafts = [
                Draft(CallAccepted("Test.Call", call_id=f"{self.journal.seq + one:032}"), LOCAL) for one in range(50)
            ]
            for header, event in self.journal.append(drafts):
                fold(self.machine, header, event)
            await self.journal.durable(self.journal.seq)

    async def keeps(self, content: bytes = b"") -> int:
        """A snapshot of the state, or of what is none; returns its entry."""
        fork, asked, loop = self.machine.fork(), asyncio.Event(), asyncio.get_running_loop()

        def encoded() -> bytes:
            loop.call_soon_threadsafe(asked.set)
            return content or packed(fork)

        self.journal.save_snapshot(FOLD_VERSION, fork.seq, encoded)
        await asyncio.wait_for(asked.wait(), 10)
        return fork.seq


@pytest.fixture(autouse=True)
def _each_snapshot_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal.strides.STRIDE_ENTRIES", 50)
    monkeypatch.setattr("journal.strides.NEAR_STRIDES", 1_000_000)


@pytest.mark.parametrize(
    ("ahead", "reserve"), [(8 * MIB, 4 * MIB), (MIB, MIB)], ids=["before it is full", "when it is"]
)
def test_what_can_be_done_without_makes_way_for_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: int, reserve: int
) -> None:
    disk_of(32 * MIB, monkeypatch)

    async def main() -> int:
        told = Told(on_short_disk(tmp_path, ahead, reserve))
        space, env = told.journal._space, told.journal._env
        while space.extend(env.used_bytes + 3 * SNAPSHOT_BYTES) and not space.reason:
            await told.goes_on(50)
            await told.keeps(os.urandom(SNAPSHOT_BYTES))
        assert len(told.journal.reader.snapshots()) > 20
        newest = await told.keeps()
        await told.goes_on(20_000)
        assert told.journal.shortage() == ""
        assert env.used_bytes <= 32 * MIB, "what is not there was not promised"
        await told.journal.close()
        return newest

    newest = asyncio.run(main())
    reader = Reader.open(tmp_path)
    assert reader.snapshots() == (newest,)
    replayed, _ = replay_journal(reader)
    assert replayed.entries > 20_000 and not replayed.problem
    recalled = recall(reader)
    assert recalled.snapshot_seq == newest and state_hash(recalled.machine) == replayed.state_hash
    reader.close()
    assert verify(tmp_path).whole


def test_who_comes_while_they_make_way_waits_a_moment_and_is_not_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk_of(32 * MIB, monkeypatch)
    begun = threading.Event()

    def slow() -> bytes:
        begun.set()
        time.sleep(0.3)
        return b"state"

    async def main() -> None:
        told = Told(on_short_disk(tmp_path))
        while told.journal._env.used_bytes < 28 * MIB:
            await told.goes_on(50)
            await told.keeps(os.urandom(SNAPSHOT_BYTES))
        assert told.journal.shortage() == ""
        told.journal.save_snapshot(FOLD_VERSION, told.journal.seq, slow)
        await asyncio.to_thread(begun.wait, 10)
        for _ in range(5_000):
            told.journal.append([Draft(CallAccepted("Test.Call"), LOCAL)])
        await told.journal.durable(told.journal.seq)
        await told.journal.close()

    asyncio.run(main())
    assert verify(tmp_path).whole


def test_a_disk_that_is_full_of_entries_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk_of(16 * MIB, monkeypatch)

    async def main() -> int:
        told = Told(on_short_disk(tmp_path))
        await told.goes_on(50)
        newest = await told.keeps()
        for _ in range(2):
            with pytest.raises(JournalFull):
                await told.goes_on(200_000)
        assert not told.journal.failed.done()
        await told.journal.close()
        return newest

    newest = asyncio.run(main())
    environment = Environment(tmp_path)
    assert Reader(environment).snapshots() == (newest,)
    environment.close()


def test_of_each_fold_the_newest_stays(tmp_path: Path) -> None:
    async def main() -> None:
        told = Told(on_short_disk(tmp_path))
        for _ in range(40):
            await told.goes_on(50)
            await told.keeps(b"state")
        assert len(told.journal.reader.snapshots()) >= 39, "the last one is being written"
        await asyncio.to_thread(told.journal._mover.make_way().result, 10)
        assert told.journal.reader.snapshots() == (2_000,)
        assert told.journal._mover.make_way().done(), "there is nothing more to let go of"
        await told.journal.close()

    asyncio.run(main())
