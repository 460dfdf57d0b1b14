"""The front log under a whole journal: small enough to be written over many times, too small, gone, in the way."""

import asyncio
import errno
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from journal.entry import LOCAL
from journal.environment import FRONT_LOG, Environment
from journal.errors import JournalFailed, JournalReadOnly
from journal.events import CallAccepted, CallRead, WorkloadStopRequested
from journal.frame import BLOCK_BYTES
from journal.frontlog import LOG_BYTES, FrontLog, open_front_log
from journal.mover import Mover
from journal.reader import Reader
from journal.sequencer import Draft
from journal.verify import verify
from journal.writer import Journal
from tests.support.clock import HandClock
from tests.support.entries import left_by_a_crash, live_once, seqs
from tests.support.until import until

STOP = WorkloadStopRequested("web", 3)
SMALL_BYTES = 9 * BLOCK_BYTES


def run(directory: Path, size: int, work: Callable[[Journal], Awaitable[None]]) -> None:
    """A journal with a log of this size, closed in the end."""

    async def main() -> None:
        environment = Environment(directory)
        journal = Journal(environment, HandClock(), front=open_front_log(environment, size))
        try:
            await work(journal)
        finally:
            await journal.close()

    asyncio.run(main())


def in_lmdb(directory: Path) -> int:
    """How many facts LMDB itself holds."""
    environment = Environment(directory, readonly=True)
    with environment.lmdb.begin() as txn:
        count = int(txn.stat(environment.db["facts"])["entries"])
    environment.close()
    return count


def test_it_is_made_once_and_neither_its_size_nor_its_blocks_change(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        log = tmp_path / FRONT_LOG
        before = log.stat()
        assert before.st_size == LOG_BYTES <= before.st_blocks * 512 and before.st_mode & 0o777 == 0o600
        for _ in range(50):
            journal.append([Draft(STOP, LOCAL)] * 20)
            await journal.durable(journal.seq)
        after = log.stat()
        assert (after.st_ino, after.st_size, after.st_blocks) == (before.st_ino, before.st_size, before.st_blocks)
        assert journal.writes == 50

    run(tmp_path, LOG_BYTES, work)
    content = (tmp_path / FRONT_LOG).read_bytes()
    live_once(tmp_path)
    assert (tmp_path / FRONT_LOG).read_bytes() == content, "an opening writes nothing into it"


def test_a_clean_close_leaves_everything_in_lmdb(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        journal.append([Draft(STOP, LOCAL)] * 7)

    run(tmp_path, LOG_BYTES, work)
    assert in_lmdb(tmp_path) == 7
    reader = Reader.open(tmp_path)
    assert reader.cursor() == 7 and reader._env.tail.view().last == 0
    reader.close()


def test_a_quiet_machine_moves_nothing_for_every_call(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        before = journal._env.commits
        for _ in range(20):
            journal.append([Draft(STOP, LOCAL)])
            await journal.durable(journal.seq)
            await asyncio.sleep(0.03)  # a lull each time
        assert journal._env.commits == before
        assert [stored.header.seq for stored in journal.reader.newest(3)] == [18, 19, 20]

    run(tmp_path, LOG_BYTES, work)


def test_what_stands_in_it_for_long_is_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal.mover.MOVE_S", 0.05)

    async def work(journal: Journal) -> None:
        journal.append([Draft(STOP, LOCAL)])
        await journal.durable(1)
        await until(lambda: journal._env.tail.newest() is None)

    run(tmp_path, LOG_BYTES, work)


def test_a_read_takes_the_entries_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal.writer.AUDIT_FLUSH_S", 0.01)

    async def work(journal: Journal) -> None:
        journal.append([Draft(STOP, LOCAL)])
        await journal.durable(1)
        before = journal._env.commits
        journal.note(Draft(CallRead("Test.Get"), LOCAL))
        await until(lambda: journal._env.tail.newest() is None)
        assert journal._env.commits == before + 1 and journal.reader.count("audit") == 1

    run(tmp_path, LOG_BYTES, work)


@pytest.mark.parametrize("size", [2 * BLOCK_BYTES, SMALL_BYTES, 40 * BLOCK_BYTES])
def test_it_goes_round_and_round_and_nothing_is_lost(tmp_path: Path, size: int) -> None:
    """Also groups that it cannot take at all."""

    async def work(journal: Journal) -> None:
        for number in range(1, 120):
            text = "x" * (number * 97 % 60_000 if number % 11 == 0 else number * 97 % 900)
            journal.append([Draft(CallAccepted("Test.Call", call_id=text), LOCAL)] * (number % 9 + 1))
            if number % 3 == 0:
                await journal.durable(journal.seq)
        await journal.durable(journal.seq)
        assert seqs(journal.reader.entries()) == list(range(1, journal.seq + 1))

    left_by = tmp_path / "left"

    async def crashing(journal: Journal) -> None:
        await work(journal)
        await journal.durable(journal.seq)

    run(tmp_path / "journal", size, work)
    left_by_a_crash(tmp_path / "journal", left_by, crashing)
    for directory in (left_by, tmp_path / "journal"):
        report = verify(directory)
        assert report.whole and report.checked == 2 * sum(number % 9 + 1 for number in range(1, 120))


def test_what_was_promised_of_the_disk_is_given_back_when_it_is_used(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        for _ in range(30):
            journal.append([Draft(CallAccepted("Test.Call", call_id="x" * 5_000), LOCAL)] * 3)
            assert journal._claimed_bytes > 0  # the mover, on its own thread, may be done with it a moment later
            await journal.durable(journal.seq)
        journal.save_snapshot(1, journal.seq, lambda: b"state")
        # The mover commits on its own thread, and tells of it a moment later.
        await until(lambda: not journal._claimed_bytes and journal._used_bytes == journal._env.used_bytes)

    run(tmp_path, SMALL_BYTES, work)


def test_without_room_for_it_the_journal_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, offset: int, length: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async def main() -> None:
        Journal(Environment(tmp_path), HandClock())

    monkeypatch.setattr("os.posix_fallocate", full)
    with pytest.raises(JournalReadOnly, match=r"front log .* of 16 MiB cannot be made: No space left on device\. Free"):
        asyncio.run(main())
    assert not (tmp_path / FRONT_LOG).exists()
    monkeypatch.undo()
    live_once(tmp_path)
    assert (tmp_path / FRONT_LOG).stat().st_size == LOG_BYTES


def test_one_that_was_not_finished_is_made_anew(tmp_path: Path) -> None:
    Environment(tmp_path).close()
    (tmp_path / FRONT_LOG).write_bytes(b"half")
    live_once(tmp_path)
    assert (tmp_path / FRONT_LOG).stat().st_size == LOG_BYTES and verify(tmp_path).whole


def test_who_waits_for_room_is_told_when_there_will_be_none(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    front = open_front_log(environment, SMALL_BYTES)
    front.write(bytes(6 * BLOCK_BYTES), 1)
    assert not front.has_room(3 * BLOCK_BYTES)
    told: list[str] = []

    def write() -> None:
        try:
            front.write(bytes(3 * BLOCK_BYTES), 2)
        except OSError as error:
            told.append(str(error))

    waiting = threading.Thread(target=write)
    waiting.start()
    front.abandon()
    waiting.join(10)
    assert told == ["entries can no longer be moved from the front log into LMDB"]
    front.close()
    environment.close()


@pytest.mark.parametrize("size", [SMALL_BYTES, 2 * BLOCK_BYTES])
def test_when_nothing_can_be_moved_any_more_the_journal_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Whether the writer waits for room just then, or has a group moved that the log cannot take."""

    def broken(mover: Mover, *arguments: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def work(journal: Journal) -> None:
        monkeypatch.setattr(Mover, "_put", broken)
        with pytest.raises(JournalFailed):
            for _ in range(100):
                journal.append([Draft(STOP, LOCAL)] * 30)
                await journal.durable(journal.seq)
        with pytest.raises(JournalFailed, match="Input/output error"):
            journal.failed.result()
        durable.append(journal.durable_seq)

    durable: list[int] = []
    run(tmp_path, size, work)
    monkeypatch.undo()
    reader = Reader.open(tmp_path)
    last = reader.last()
    assert (0 if last is None else last.header.seq) >= durable[0]
    reader.close()
    assert verify(tmp_path).whole


def test_a_log_belongs_to_its_journal(tmp_path: Path) -> None:
    for name in ("one", "two"):
        live_once(tmp_path / name)
    one, two = Environment(tmp_path / "one"), Environment(tmp_path / "two")
    assert one.mark != two.mark and len(one.mark) == 16
    one.close()
    two.close()
    (tmp_path / "one" / FRONT_LOG).replace(tmp_path / "two" / FRONT_LOG)
    assert "is not this journal's" in verify(tmp_path / "two").findings[0].problem


def test_a_write_that_is_cut_short_is_no_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = Environment(tmp_path)
    front: FrontLog = open_front_log(environment, SMALL_BYTES)
    monkeypatch.setattr("os.pwritev", lambda *arguments: 100)
    with pytest.raises(OSError, match="took 100 of 4096 bytes"):
        front.write(bytes(BLOCK_BYTES), 1)
    front.close()
    environment.close()
