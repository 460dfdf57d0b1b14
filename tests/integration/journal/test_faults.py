"""The journal against real faults: read-only file system, damage, cut tail, truncation, foreign, second owner."""

import asyncio
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from capsuled.examine import replay_apart, verify_apart
from journal.archive import Archive, export
from journal.clock import SystemClock
from journal.entry import LOCAL
from journal.environment import FRONT_LOG, Environment, hold
from journal.errors import ForeignDirectory, JournalDamaged, JournalLocked, JournalReadOnly
from journal.events import CallAccepted, CallRead
from journal.frontlog import open_front_log
from journal.head import Head, HeadFile, read_head
from journal.reader import Reader
from journal.sequencer import Draft
from journal.space import Space
from journal.verify import TOLD_ENTRIES, verify
from journal.writer import Journal
from tests.support.entries import left_by_a_crash, seqs


def draft(size: int = 100) -> Draft:
    return Draft(CallAccepted("Test.Call", call_id="x" * size), LOCAL)


async def fill(directory: Path, count: int, size: int = 100, batch: int = 50) -> None:
    journal = Journal(Environment(directory), SystemClock())
    for _ in range(0, count, batch):
        journal.append([draft(size)] * batch)
    await journal.durable(journal.seq)
    await journal.close()


def test_a_read_only_file_system_is_named_and_can_still_be_read(small_disk: Path) -> None:
    asyncio.run(fill(small_disk / "journal", 100))
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(JournalReadOnly, match="cannot be written"):
        Environment(small_disk / "journal")
    reader = Reader.open(small_disk / "journal")
    last = reader.last()
    assert last is not None and last.header.seq == 100
    reader.close()
    assert verify(small_disk / "journal").whole


def test_what_a_dead_daemon_left_in_the_front_log_is_read_where_nothing_can_be_written(small_disk: Path) -> None:
    """Proven, exported and folded with its tail, as the command line does with `--dir`."""

    async def work(journal: Journal) -> None:
        journal.append([draft()] * 100)

    left_by_a_crash(small_disk / "journal", small_disk / "left", work)
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    report = asyncio.run(verify_apart(small_disk / "left"))
    assert report.whole and report.checked == report.head_seq == 100
    replayed, machine = asyncio.run(replay_apart(small_disk / "left"))
    assert (replayed.seq, machine.seq, replayed.problem) == (100, 100, "")
    reader = Reader.open(small_disk / "left")
    archive = Archive(io.BytesIO(b"".join(export(reader, reader.journal_id))))
    assert [stored.header.seq for _, stored in archive.entries()] == list(range(1, 101))
    reader.close()


def test_who_reads_beside_a_daemon_sees_all_that_is_durable_and_a_whole_chain(tmp_path: Path) -> None:
    """The log is written over and over meanwhile: what is read of it is never in order, and never of one moment."""

    async def main() -> None:
        environment = Environment(tmp_path / "journal")
        journal = Journal(environment, SystemClock(), front=open_front_log(environment, 64 << 10))
        over = asyncio.Event()

        async def write() -> None:
            while not over.is_set():
                journal.append([draft()] * 7)
                await journal.durable(journal.seq)

        writing = asyncio.create_task(write())
        try:
            for _ in range(4):
                durable = journal.durable_seq
                report = await verify_apart(tmp_path / "journal")
                assert report.whole and report.checked == report.head_seq >= durable
                newest = await asyncio.to_thread(journal.reader.newest, 50)
                assert seqs(newest) == list(range(newest[0].header.seq, newest[0].header.seq + 50))
        finally:
            over.set()
            await writing
            await journal.close()

    asyncio.run(main())


def test_a_second_daemon_is_refused(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "journal")
    with pytest.raises(JournalLocked, match="another capsuled has"):
        Environment(tmp_path / "journal")
    environment.close()
    with hold(tmp_path / "journal"), pytest.raises(JournalLocked):
        Environment(tmp_path / "journal")
    Environment(tmp_path / "journal").close()


def test_a_foreign_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_text("mine")
    with pytest.raises(ForeignDirectory, match=r"photo\.jpg"):
        Environment(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["photo.jpg"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ForeignDirectory, match="holds no journal"):
        Reader.open(tmp_path / "empty")


def test_a_damaged_body_is_found_by_its_entry(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "journal", 2_000))
    data = tmp_path / "journal" / "data.mdb"
    content = bytearray(data.read_bytes())
    at = content.find(b"x" * 90, len(content) // 2)
    content[at] ^= 1
    data.write_bytes(bytes(content))
    report = asyncio.run(verify_apart(tmp_path / "journal"))
    assert "is not the one its header was written for" in report.findings[0].problem


def test_damaged_pages_are_a_finding_and_never_the_end_of_the_asker(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "journal", 2_000))
    data = tmp_path / "journal" / "data.mdb"
    whole = data.read_bytes()
    pages = len(whole) // 4096
    for page in range(2, pages, max(1, pages // 8)):
        content = bytearray(whole)
        content[page * 4096 : page * 4096 + 4096] = os.urandom(4096)
        data.write_bytes(bytes(content))
        report = asyncio.run(verify_apart(tmp_path / "journal"))
        # A page that no entry lives in may be damaged without harm; then everything was checked.
        assert report.findings or report.checked == 2_000


def test_a_truncated_file_is_a_finding(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "journal", 5_000))
    data = tmp_path / "journal" / "data.mdb"
    os.truncate(data, data.stat().st_size // 16)
    assert asyncio.run(verify_apart(tmp_path / "journal")).findings


def test_zeroed_meta_pages_are_named(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "journal", 100))
    with (tmp_path / "journal" / "data.mdb").open("r+b") as file:
        file.write(bytes(2 * 4096))
    with pytest.raises(JournalDamaged, match="cannot open the journal"):
        Environment(tmp_path / "journal")


def test_a_cut_tail_is_found_by_the_head_that_was_kept(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    asyncio.run(fill(directory, 100))
    older = {name: (directory / name).read_bytes() for name in ("data.mdb", FRONT_LOG)}
    asyncio.run(fill(directory, 50))
    head = read_head(directory / "head")
    assert head is not None and head.seq == 150
    (directory / "data.mdb").write_bytes(older["data.mdb"])
    report = verify(directory)
    assert report.whole and report.head_seq == 150, "the front log still holds what an older copy lacks"
    (directory / FRONT_LOG).write_bytes(older[FRONT_LOG])
    report = verify(directory)
    assert "the tail is cut: entry 150 was written" in report.findings[0].problem


def test_a_head_that_a_daemon_writes_while_its_journal_is_proven_is_no_cut_tail(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    asyncio.run(fill(directory, 2 * TOLD_ENTRIES))
    file = HeadFile(directory / "head")
    heard: list[int] = []

    def goes_on(first: int, seq: int) -> None:
        heard.append(seq)
        file.write(Head(3 * TOLD_ENTRIES, bytes(32)))

    report = verify(directory, proven=goes_on)
    assert heard and report.whole, report.findings
    assert "the tail is cut" in verify(directory).findings[0].problem
    file.close()


def test_a_rewritten_history_is_found_by_a_head_kept_elsewhere(tmp_path: Path) -> None:
    asyncio.run(fill(tmp_path / "one", 100))
    asyncio.run(fill(tmp_path / "two", 100))
    kept = read_head(tmp_path / "one" / "head")
    assert kept is not None
    report = verify(tmp_path / "two", head=kept)
    assert "history was rewritten" in report.findings[0].problem


def test_the_map_grows_under_readers_of_this_and_another_process(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(Environment(tmp_path / "journal"), SystemClock())
        before = journal._env.map_bytes
        other = subprocess.Popen(
            [sys.executable, "-c", _READS, str(tmp_path / "journal")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(90):
            journal.append([draft(900_000)] * 4)
            await journal.durable(journal.seq)
            assert journal.reader.last() is not None
        assert journal._env.map_bytes > before
        out, _ = await asyncio.to_thread(other.communicate)
        assert other.returncode == 0 and int(out) >= 300
        await journal.close()

    asyncio.run(main())


_READS = """
import sys, time
from pathlib import Path
from journal.errors import JournalError
from journal.reader import Reader
deadline = time.monotonic() + 50
reader = None
while time.monotonic() < deadline:
    try:
        reader = reader or Reader.open(Path(sys.argv[1]))
        last = reader.last()
    except JournalError:
        continue
    if last is not None and last.header.seq >= 300:
        break
print(last.header.seq)
"""


def test_a_client_that_goes_does_not_strand_the_batch(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(Environment(tmp_path / "journal"), SystemClock())
        journal.append([draft()])
        gone = asyncio.ensure_future(journal.durable(1))
        journal.append([draft()])
        stays = asyncio.ensure_future(journal.durable(2))
        await asyncio.sleep(0)
        gone.cancel()
        await stays
        await journal.close()

    asyncio.run(main())


def test_reads_are_flushed_into_a_stream_of_their_own(tmp_path: Path) -> None:
    async def main() -> None:
        journal = Journal(Environment(tmp_path / "journal"), SystemClock())
        for _ in range(10):
            journal.note(Draft(CallRead("Test.Get", "web"), LOCAL))
        journal.append([draft()])
        await journal.close()

    asyncio.run(main())
    reader = Reader.open(tmp_path / "journal")
    assert (reader.count("audit"), reader.count("facts")) == (10, 1)
    reader.close()
    assert verify(tmp_path / "journal").whole


def test_indexes_agree_with_the_entries_wherever_the_follower_stands(tmp_path: Path) -> None:
    async def main() -> list[int]:
        journal = Journal(Environment(tmp_path / "journal"), SystemClock())
        for number in range(6_000):
            names = ("even",) if number % 2 == 0 else ("odd",)
            journal.append([Draft(CallAccepted("Test.Call", names), LOCAL)])
        await journal.durable(journal.seq)
        found = [stored.header.seq for stored in journal.reader.of_object("even")]
        await journal.close()
        return found

    assert asyncio.run(main()) == list(range(1, 6_001, 2))
    reader = Reader.open(tmp_path / "journal")
    assert reader.cursor() == 6_000
    assert [stored.header.seq for stored in reader.of_object("odd")] == list(range(2, 6_001, 2))
    assert reader.types() == {"call.accepted": 6_000}
    reader.close()


def test_space_is_owned_ahead_of_need(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_bytes(b"")
    space = Space(file, ahead_bytes=1 << 20, reserve_bytes=1 << 20)
    assert space.extend(0) and file.stat().st_blocks * 512 >= 2 << 20 and file.stat().st_size == 0
    space.close()
