"""The journal on a disk that is full: what is refused, what makes way, and what still finds room."""

import asyncio
import os
from pathlib import Path

import pytest

from journal.clock import SystemClock
from journal.entry import LOCAL
from journal.environment import Environment
from journal.errors import JournalFull
from journal.events import DaemonStarted, JournalCheckpointed
from journal.sequencer import Draft
from journal.sidelog import SECTORS, Emergency, SideLog, SideLogFull
from journal.snapshot import Snapshot
from journal.space import Space
from journal.verify import verify
from journal.writer import Journal
from tests.integration.journal.test_faults import draft
from tests.support.reading import reading


async def refused(journal: Journal, size: int, words: str, reserved: bool = False) -> None:
    """Append until it takes no more, and says so with these `words`."""
    with pytest.raises(JournalFull, match=words):
        while True:
            journal.append([draft(size)] * 10, reserved=reserved)
            await journal.durable(journal.seq)


def take_all(disk: Path) -> None:
    """Leave no byte of it to the journal."""
    with (disk / "ballast").open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"\0" * (1 << 20))
            file.flush()


def test_a_full_disk_is_refused_before_anything_is_promised_and_the_reserve_still_writes(small_disk: Path) -> None:
    async def main() -> None:
        journal = Journal(Environment(small_disk / "journal"), SystemClock())
        await journal.durable(0)
        side_log = SideLog(small_disk / "side.log")
        take_all(small_disk)
        await refused(journal, 4_000, "gives the journal no more space")
        written = journal.seq
        for _ in range(100):
            journal.append([draft()], reserved=True)
        await journal.durable(journal.seq)
        side_log.append(Emergency("stop", "web", 7, 1))
        with pytest.raises(SideLogFull, match="No space left on device"):
            side_log.make_room(SECTORS)
        assert not journal.failed.done()
        (small_disk / "ballast").unlink()
        journal.append([draft()])
        await journal.durable(journal.seq)
        assert journal.seq == written + 101
        await journal.close()
        report = verify(small_disk / "journal")
        assert report.whole and report.checked == written + 101
        side_log.make_room(SECTORS)
        assert side_log.records() == (Emergency("stop", "web", 7, 1),)
        side_log.close()

    asyncio.run(main())


def test_a_disk_full_of_what_a_dead_reader_kept_takes_entries_while_there_are_pages(small_disk: Path) -> None:
    async def full(journal: Journal, state_bytes: int) -> int:
        """Entries up to this one were written before it was full."""
        for _ in range(100_000):
            try:
                journal.append([draft()] * 20)
            except JournalFull:
                return journal.seq
            journal.save_snapshot(1, journal.seq, lambda: b"s" * state_bytes)
            await journal.durable(journal.seq)
        raise AssertionError("it is never full")

    async def main() -> None:
        directory = small_disk / "journal"
        environment = Environment(directory)
        space = Space(directory / "data.mdb", 1 << 20, 1 << 20)
        journal = Journal(environment, SystemClock(), space=space)
        with reading(directory):
            before = await full(journal, 200_000)
        written = await full(journal, 100)
        assert written - before > 5_000
        journal.append([draft()], vital=True)
        await journal.durable(journal.seq)
        assert not journal.failed.done()
        await journal.close()
        assert verify(directory).checked == written + 1

    asyncio.run(main())


def test_a_disk_full_of_snapshots_takes_entries_in_their_place(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journal.strides.STRIDE_ENTRIES", 50)
    monkeypatch.setattr("journal.writer.WAY_S", 60.0)  # a disk that others use, too, takes its time

    async def main() -> None:
        directory = small_disk / "journal"
        journal = Journal(Environment(directory), SystemClock())
        kept, loop = asyncio.Event(), asyncio.get_running_loop()

        def encoded() -> bytes:
            loop.call_soon_threadsafe(kept.set)
            return os.urandom(500_000)

        while not journal._space.reason:
            journal.append([draft()] * 50)
            journal.save_snapshot(1, journal.seq, encoded)
            await kept.wait()
            kept.clear()
        for _ in range(160):
            journal.append([draft()] * 250)
            await journal.durable(journal.seq)
        assert not journal.failed.done()
        assert len(journal.reader.snapshots()) == 1
        written = journal.seq
        await journal.close()
        assert verify(directory).checked == written

    asyncio.run(main())


def test_observations_leave_what_history_needs_to_begin_later_and_a_life_to_begin(small_disk: Path) -> None:
    directory, state = small_disk / "journal", b"x" * 3_000_000

    async def main() -> None:
        journal = Journal(Environment(directory), SystemClock())
        journal.keep_room_for(len(state))
        for _ in range(30):
            journal.append([draft(4_000)] * 40)
            await journal.durable(journal.seq)
        take_all(small_disk)
        await refused(journal, 1_000, "stop and delete still work")
        before = journal.seq
        for _ in range(3):  # lives in which something flaps
            await refused(journal, 1_000, "stop and delete still work", reserved=True)
            assert journal.seq > before, "the first one has all of their part"
            await journal.close()
            journal = Journal(Environment(directory), SystemClock())
            journal.keep_room_for(len(state))
            journal.append([Draft(DaemonStarted("os", "power-lost"), LOCAL)], vital=True)
            await journal.durable(journal.seq)
        upto = journal.seq - 20
        stored = journal.reader.get(upto)
        assert stored is not None
        journal.append([Draft(JournalCheckpointed(upto, 2, "ab", stored.hash.hex(), "usb"), LOCAL)], vital=True)
        await journal.durable(journal.seq)
        await journal.retain(Snapshot(upto, stored.hash, state), cut=True)
        journal.append([draft()], reserved=True)
        journal.append([draft()])
        await journal.durable(journal.seq)
        await journal.close()
        assert verify(directory).whole

    asyncio.run(main())


def test_with_a_full_disk_history_can_begin_later_and_that_gives_the_journal_room(small_disk: Path) -> None:
    directory = small_disk / "journal"

    async def main() -> None:
        journal = Journal(Environment(directory), SystemClock())
        take_all(small_disk)
        await refused(journal, 4_000, "gives the journal no more space")
        upto = journal.seq - 20
        stored = journal.reader.get(upto)
        assert stored is not None
        journal.append([Draft(JournalCheckpointed(upto, 2, "ab", stored.hash.hex(), "usb"), LOCAL)], reserved=True)
        await journal.durable(journal.seq)
        await journal.retain(Snapshot(upto, stored.hash, b"x" * 100_000), cut=True)
        assert journal.reader.first_seq() == upto + 1
        for _ in range(100):
            journal.append([draft()], reserved=True)
        await journal.durable(journal.seq)
        assert not journal.failed.done()
        await journal.close()
        again = Journal(Environment(directory), SystemClock())
        for _ in range(20):
            again.append([draft(4_000)] * 10)
        await again.durable(again.seq)
        await again.close()
        assert verify(directory).whole

    asyncio.run(main())
