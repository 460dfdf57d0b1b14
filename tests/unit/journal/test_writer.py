"""The writer, by what can be read afterwards: entries as they were drafted, chained by bytes that any reader can prove."""

import asyncio
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import lmdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal.entry import LOCAL, SYSTEM, Actor, Header, encode_header
from journal.environment import FRONT_LOG, Environment
from journal.errors import JournalFailed, JournalFull
from journal.events import CallRead, Event, WorkloadStopRequested
from journal.frontlog import FrontLog, open_front_log
from journal.head import Head, read_head
from journal.mover import AUDIT_KEPT
from journal.reader import Reader
from journal.sequencer import THIS_BATCH, Draft
from journal.snapshot import Snapshot
from journal.space import Space
from journal.verify import check_entries, verify
from journal.writer import Journal
from tests.support.chance import events
from tests.support.clock import HandClock
from tests.support.entries import seqs

Work = Callable[[Journal], Awaitable[None]]
STOP = WorkloadStopRequested("web", 3)


def written(directory: Path, work: Work, clock: HandClock | None = None) -> Reader:
    """What stands in a journal after `work` and a clean close."""

    async def main() -> None:
        journal = Journal(Environment(directory), clock or HandClock(), slot="slot_a")
        try:
            await work(journal)
        finally:
            await journal.close()

    asyncio.run(main())
    return Reader.open(directory)


@settings(max_examples=12)
@given(st.lists(events(), min_size=4, max_size=24))
def test_what_is_stored_is_what_was_drafted_and_reads_like_any_encoding(drawn: list[Event]) -> None:
    actors = (SYSTEM, LOCAL, Actor("operator", "kid", "ada é", "admin"), Actor("effect"))
    clock = HandClock()
    expected: list[tuple[Header, Event]] = []

    async def work(journal: Journal) -> None:
        for start, size in ((0, 1), (1, 2), (3, 30)):
            clock.mono += 10 ** (size // 2)
            clock.wall -= 1_000  # the wall clock may run backwards; the chain does not care
            batch = [
                Draft(
                    event, actors[place % 4], cause=(0, THIS_BATCH, start)[place % 3], call=(0, THIS_BATCH)[place % 2]
                )
                for place, event in enumerate(drawn[start : start + size])
            ]
            expected.extend(journal.append(batch))
        await journal.durable(journal.seq)

    with TemporaryDirectory() as scratch:
        reader = written(Path(scratch) / "journal", work, clock)
        entries = list(reader.entries())
        assert check_entries(entries, 1, reader.genesis).whole
        reader.close()
    assert len(entries) == len(expected) == len(drawn)
    for stored, (header, event) in zip(entries, expected, strict=True):
        blank = msgspec.structs.replace(stored.header, body_hash=header.body_hash, prev=header.prev)
        assert blank == header and blank.slot == "slot_a"
        # Put together from parts or encoded whole: msgpack's reader sees the same fourteen values.
        assert msgspec.msgpack.decode(stored.header_bytes) == msgspec.msgpack.decode(encode_header(stored.header))
        assert msgspec.msgpack.decode(stored.body, type=type(event)) == event
    assert len({stored.salt for stored in entries}) == len(entries)


def test_numbers_go_on_where_an_earlier_life_ended(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        journal.append([Draft(STOP, LOCAL)] * 3)
        await journal.durable(journal.seq)

    written(tmp_path / "journal", work).close()
    reader = written(tmp_path / "journal", work)
    assert seqs(reader.entries()) == [1, 2, 3, 4, 5, 6]
    reader.close()
    assert verify(tmp_path / "journal").whole


def test_an_append_is_numbered_at_once_and_durable_when_it_says_so(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        (placed,) = journal.append([Draft(STOP, LOCAL)])
        assert placed[0].seq == journal.seq == journal.head.seq == 1
        await journal.durable(1)
        assert journal.durable_seq == 1
        last = journal.reader.last()
        assert last is not None and last.hash == journal.head.hash

    written(tmp_path / "journal", work).close()


def test_a_full_disk_refuses_before_a_number_is_given(tmp_path: Path) -> None:
    class NoSpace(Space):
        full = False

        def extend(self, used_bytes: int) -> bool:
            self.reason = "No space left on device"
            return not self.full and super().extend(used_bytes)

    async def main() -> None:
        environment = Environment(tmp_path / "journal")
        space = NoSpace(tmp_path / "journal" / "data.mdb")
        journal = Journal(environment, HandClock(), space=space)
        journal.append([Draft(STOP, LOCAL)])
        space.full = True
        with pytest.raises(JournalFull, match="stop and delete still work"):
            journal.append([Draft(STOP, LOCAL)])
        assert journal.seq == 1
        journal.append([Draft(STOP, LOCAL)], reserved=True)
        journal.note(Draft(CallRead("Test.Get"), LOCAL))  # reads go on, unremembered
        await journal.durable(2)
        await journal.close()

    asyncio.run(main())
    reader = Reader.open(tmp_path / "journal")
    assert (seqs(reader.entries()), reader.count("audit")) == ([1, 2], 0)
    reader.close()


def test_observations_leave_half_of_the_reserve_and_a_refusal_says_what_still_works(tmp_path: Path) -> None:
    class Bounded(Space):
        left = 1 << 40

        def extend(self, used_bytes: int) -> bool:
            self.reason = "No space left on device"
            return False

        def has_reserve(self, used_bytes: int) -> bool:
            return used_bytes <= self.left

    def takes(journal: Journal, **depth: bool) -> str:
        try:
            journal.append([Draft(STOP, LOCAL)], **depth)
        except JournalFull as full:
            return str(full)
        return ""

    async def main() -> None:
        environment = Environment(tmp_path / "journal")
        space = Bounded(tmp_path / "journal" / "data.mdb")
        journal = Journal(environment, HandClock(), space=space)
        used = environment.used_bytes
        for left, observed, vital in ((space.reserve_bytes - 1, True, True), (space.vital_bytes - 1, False, True)):
            space.left = used + left
            assert "truncate`; stop and delete still work" in takes(journal)
            assert (takes(journal, reserved=True) == "") is observed
            assert (takes(journal, vital=True) == "") is vital
        space.left = 0
        for depth in ({}, {"reserved": True}, {"vital": True}):
            assert "Its reserve is used up, too: free space there" in takes(journal, **depth)
        await journal.durable(journal.seq)
        await journal.close()

    asyncio.run(main())


F = TypeVar("F", bound=FrontLog)


class Breaking(FrontLog):
    """A log on a disk that can be broken."""

    broken = False

    def write(self, content: bytes, last: int) -> None:
        if self.broken:
            raise OSError(5, "Input/output error")
        super().write(content, last)


def front_of(environment: Environment, kind: type[F]) -> F:
    open_front_log(environment).close()
    return kind(environment.directory / FRONT_LOG, environment.mark, 1)


def test_a_write_that_fails_is_acknowledged_to_nobody_and_nothing_follows_it(tmp_path: Path) -> None:
    async def main() -> None:
        environment = Environment(tmp_path / "journal")
        front = front_of(environment, Breaking)
        journal = Journal(environment, HandClock(), front=front)
        journal.append([Draft(STOP, LOCAL)])
        await journal.durable(1)
        front.broken = True
        journal.append([Draft(STOP, LOCAL)])
        waiting = [asyncio.ensure_future(journal.durable(2)) for _ in range(3)]
        for one in waiting:
            with pytest.raises(JournalFailed):
                await one
        with pytest.raises(JournalFailed):
            journal.append([Draft(STOP, LOCAL)])
        with pytest.raises(JournalFailed):
            await journal.durable(2)
        await journal.durable(1)  # what was durable stays so
        with pytest.raises(JournalFailed, match="Input/output error"):
            journal.failed.result()
        await journal.close()

    asyncio.run(main())
    assert verify(tmp_path / "journal").checked == 1


def test_the_audit_stream_is_a_ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal.mover.AUDIT_KEPT", 10)

    async def work(journal: Journal) -> None:
        for _ in range(25):
            journal.note(Draft(CallRead("Test.Get", "web"), LOCAL))

    written(tmp_path / "journal", work).close()
    reader = written(tmp_path / "journal", work)
    assert seqs(reader.entries(stream="audit")) == list(range(41, 51))
    assert reader.first_seq("audit") == 41 and reader.count("facts") == 0
    reader.close()
    assert verify(tmp_path / "journal").whole and AUDIT_KEPT > 10_000


def test_a_name_of_any_length_cannot_end_the_writer(tmp_path: Path) -> None:
    names = ("x" * 5_000, "é" * 300, "with\0nul", "x" * 400, "")

    async def work(journal: Journal) -> None:
        journal.append([Draft(WorkloadStopRequested(name, 1), LOCAL) for name in names])
        await journal.durable(journal.seq)

    reader = written(tmp_path / "journal", work)
    assert reader.cursor() == len(names), "the follower has gone through all of them"
    assert [seqs(reader.of_object(name)) for name in names[:4]] == [[1], [2], [3], [4]]
    reader.close()


def test_the_newest_few_snapshots_of_the_newest_fold_are_kept_and_of_the_others_one_a_stride(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("journal.strides.STRIDE_ENTRIES", 40)

    async def work(journal: Journal) -> None:
        journal.append([Draft(STOP, LOCAL)] * 50)
        journal.save_snapshot(1, 5, lambda: b"of an older fold")
        for seq in range(10, 60, 10):
            journal.save_snapshot(2, seq, lambda seq=seq: f"at {seq}".encode())  # type: ignore[misc]

    reader = written(tmp_path / "journal", work)
    assert sorted(reader.snapshots()) == [5, 10, 30, 40, 50]
    newest, last = reader.snapshot(2), reader.last()
    assert last is not None and newest == Snapshot(50, last.hash, b"at 50")
    reader.close()


def test_the_newest_snapshot_of_the_two_folds_before_stays_for_who_goes_back_to_one(tmp_path: Path) -> None:
    async def work(journal: Journal) -> None:
        journal.append([Draft(STOP, LOCAL)] * 50)
        # By seq and not by version, which is a checksum: 9 and 2 are the latest that were here before 4.
        for version, seq in ((7, 5), (7, 6), (9, 10), (9, 11), (2, 20), (2, 21), (4, 30)):
            journal.save_snapshot(version, seq, lambda: b"state")

    reader = written(tmp_path / "journal", work)
    found = {version: reader.snapshot(version) for version in (7, 9, 2, 4)}
    assert {version: one and one.seq for version, one in found.items()} == {7: None, 9: 11, 2: 21, 4: 30}
    assert len(reader.snapshots()) == 3
    reader.close()


def test_what_is_larger_than_the_map_gets_room_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("journal.environment.FIRST_MAP_BYTES", 4 << 20)
    content = os.urandom(11 << 20)

    async def work(journal: Journal) -> None:
        for _ in range(25_000):
            journal.note(Draft(CallRead("Test.Get", "web" * 40), LOCAL))
        journal._flush_audit()
        journal.append([Draft(STOP, LOCAL)])
        journal.save_snapshot(1, 1, lambda: content)
        journal.append([Draft(STOP, LOCAL)])
        await journal.durable(2)

    reader = written(tmp_path / "journal", work)
    kept = reader.snapshot(1)
    assert kept is not None and kept.content == content and reader.count("audit") == 25_000
    reader.close()


def test_a_snapshot_that_cannot_be_kept_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unfit() -> bytes:
        raise lmdb.MapFullError("mdb_put")

    async def work(journal: Journal) -> None:
        journal.append([Draft(STOP, LOCAL)])
        journal.save_snapshot(1, 1, unfit)
        journal.append([Draft(STOP, LOCAL)])
        await journal.durable(2)
        assert not journal.failed.done()

    reader = written(tmp_path / "journal", work)
    assert (seqs(reader.entries()), reader.snapshots()) == ([1, 2], ())
    assert "the snapshot at entry 1 could not be kept" in caplog.text
    reader.close()


@pytest.mark.parametrize("last", ["nothing", "reads", "snapshot"])
def test_the_head_file_names_the_last_entry_after_a_close(tmp_path: Path, last: str) -> None:
    class Slow(FrontLog):
        """A write lasts until it may end."""

        begun, may_end = threading.Event(), threading.Event()

        def write(self, content: bytes, last: int) -> None:
            self.begun.set()
            assert self.may_end.wait(10)
            super().write(content, last)

    async def main() -> Head:
        environment = Environment(tmp_path / "journal")
        journal = Journal(environment, HandClock(), front=front_of(environment, Slow))
        journal.append([Draft(STOP, LOCAL)])
        await asyncio.to_thread(Slow.begun.wait)
        if last == "reads":
            journal.note(Draft(CallRead("Test.Get"), LOCAL))
        if last == "snapshot":
            journal.save_snapshot(1, 1, lambda: b"state")
        head = journal.head
        Slow.may_end.set()
        await journal.close()
        return head

    head = asyncio.run(main())
    assert (head.seq, read_head(tmp_path / "journal" / "head")) == (1, head)
