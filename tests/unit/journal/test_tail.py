"""The tail of the journal: what the front log holds, seen by every reader as if LMDB held it already."""

import asyncio
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journal.entry import LOCAL, genesis
from journal.environment import FRONT_LOG, Environment
from journal.errors import JournalDamaged
from journal.events import WorkloadStopRequested
from journal.frame import BLOCK_BYTES, Frame, find, pack
from journal.proven import ProvenReader
from journal.reader import Reader
from journal.sequencer import Draft
from journal.space import room_for
from journal.tail import Tail, View, read_tail, title
from journal.verify import verify
from journal.writer import Journal
from tests.support.entries import JOURNAL_ID, ledger, left_by_a_crash, live_once, seqs, value_of

MARK = b"m" * 16
COUNT = 60
CHAIN = ledger(COUNT)


def group(first: int, last: int) -> Frame:
    entries = CHAIN.entries[first - 1 : last]
    values = [value_of(stored) for stored in entries]
    return Frame(first, values, entries[-1].hash, room_for(values))


def log_of(path: Path, *groups: bytes) -> Path:
    path.write_bytes(title(MARK) + b"".join(groups) + bytes(BLOCK_BYTES))
    return path


def groups(*ends: int) -> list[Frame]:
    """Groups that follow one another, each up to one of these."""
    return [group(before + 1, end) for before, end in pairwise((0, *ends))]


@given(st.sets(st.integers(2, COUNT), min_size=2), st.integers(0, COUNT + 3), st.integers(0, COUNT + 3))
def test_a_view_is_the_entries_between(ends: set[int], first: int, last: int) -> None:
    begin, *rest = sorted(ends)
    frames = [group(before + 1, end) for before, end in pairwise((begin, *rest))]
    view = View(tuple(frames))
    entries = {seq: value_of(CHAIN.entries[seq - 1]) for seq in range(begin + 1, max(ends) + 1)}
    assert (view.first, view.last) == (begin + 1, max(ends))
    assert view.between(first, last) == [entries[seq] for seq in range(first, last + 1) if seq in entries]
    assert view.get(first) == entries.get(first)


def test_an_empty_tail_has_nothing() -> None:
    view = Tail().view()
    assert (view.first, view.last, view.get(1), view.between(0, 9)) == (0, 0, None, [])
    assert Tail().newest() is None and Tail().oldest(100) == []


def test_it_grows_at_one_end_and_is_dropped_at_the_other() -> None:
    first, second, third = groups(5, 9, 20)
    tail = Tail([first])
    tail.add(second)
    before = tail.view()
    tail.drop(6)
    assert (tail.view().first, tail.newest()) == (6, second), "a group goes as a whole"
    tail.drop(9)
    tail.add(third)
    assert (before.first, before.last, tail.view().first) == (1, 9, 10), "who reads already keeps what it saw"
    assert Tail([first, second, third]).oldest(1) == [first]
    assert Tail([first, second, third]).oldest(sum(map(len, first.values)) + 1) == [first, second]


def test_it_is_read_in_order_wherever_groups_stand(tmp_path: Path) -> None:
    first, second, third = groups(5, 9, 20)
    path = log_of(tmp_path / "log", pack(MARK, 1, third), pack(MARK, 1, first), pack(MARK, 1, second))
    tail = read_tail(path, MARK, 0)
    assert (tail.view().between(1, 99), tail.begun, tail.problem) == (
        first.values + second.values + third.values,
        10,
        "",
    )
    assert tail.misfit(0, genesis(JOURNAL_ID)) == "" and tail.cut(20) == ""
    assert read_tail(path, MARK, 9).view().first == 10
    assert read_tail(path, MARK, 20).view().first == 0


def test_a_torn_group_at_the_end_is_dropped(tmp_path: Path) -> None:
    first, second, third = groups(5, 9, 20)
    torn = bytearray(pack(MARK, 1, third))
    torn[1024:1536] = bytes(512)
    assert [one.frame for one in find(bytes(torn), MARK, 0)] == [None]
    tail = read_tail(log_of(tmp_path / "log", pack(MARK, 1, first), pack(MARK, 1, second), bytes(torn)), MARK, 0)
    assert (tail.view().last, tail.misfit(0, genesis(JOURNAL_ID))) == (9, "")


def test_what_is_left_of_an_earlier_torn_group_does_no_harm(tmp_path: Path) -> None:
    """It was never acknowledged, so other entries got its numbers."""
    first, second, third = groups(5, 9, 20)
    torn = pack(MARK, 1, group(6, 30))[:BLOCK_BYTES]
    assert [(one.first, one.frame) for one in find(torn, MARK, 0)] == [(6, None)]
    tail = read_tail(
        log_of(tmp_path / "log", pack(MARK, 1, first), pack(MARK, 1, second), pack(MARK, 1, third), torn), MARK, 0
    )
    assert (tail.view().last, tail.misfit(0, genesis(JOURNAL_ID))) == (20, "")


def test_a_torn_group_does_not_come_back(tmp_path: Path) -> None:
    """A write over it that was torn as well brought the bytes that it lacked. It was never acknowledged, and others have
    its numbers."""
    first, second, third = groups(5, 9, 20)
    log = [pack(MARK, 1, first), pack(MARK, 2, second), pack(MARK, 2, third)]
    for other in (group(6, 9), group(6, 30), group(7, 9), group(9, 12)):
        tail = read_tail(log_of(tmp_path / "log", *log, pack(MARK, 1, other)), MARK, 0)
        assert tail.view().between(1, 99) == first.values + second.values + third.values
        assert (tail.misfit(0, genesis(JOURNAL_ID)), tail.generation) == ("", 2)
    tail = read_tail(log_of(tmp_path / "log", *log), MARK, 20)
    assert (tail.view().last, tail.begun, tail.generation) == (0, 0, 2), "the next life knows, though all was moved"


def test_a_broken_group_with_others_behind_it_is_damage(tmp_path: Path) -> None:
    first, second, third = (pack(MARK, 1, one) for one in groups(5, 9, 20))
    torn = second[:600] + b"?" + second[601:]
    tail = read_tail(log_of(tmp_path / "log", first, torn, third), MARK, 0)
    assert tail.misfit(0, genesis(JOURNAL_ID)) == "entry 6 is missing: the front log goes on with entry 10"
    third = third[:600] + b"?" + third[601:]
    tail = read_tail(log_of(tmp_path / "log", first, torn, third), MARK, 0)
    assert tail.misfit(0, genesis(JOURNAL_ID)) == tail.cut(5)
    assert tail.cut(5) == "the tail is cut: entry 9 was written and the journal now ends at 5"


def test_a_group_of_another_past_does_not_fit(tmp_path: Path) -> None:
    first, second = groups(5, 9)
    tail = Tail([second])
    assert tail.misfit(5, first.head) == ""
    assert tail.misfit(5, bytes(32)) == "entry 6 is missing: the front log goes on with entry 6"


def test_a_log_of_another_journal_is_named(tmp_path: Path) -> None:
    path = log_of(tmp_path / "log", pack(MARK, 1, group(1, 5)))
    assert "is not this journal's" in read_tail(path, b"o" * 16, 0).problem
    assert "cannot be read: No such file" in read_tail(tmp_path / "none", MARK, 0).problem


# --- as readers see it -----------------------------------------------------------------------------------------------


async def _three_lives(journal: Journal) -> None:
    for name in ("web", "db", "web"):
        journal.append([Draft(WorkloadStopRequested(name, 1), LOCAL)] * 3)
        await journal.durable(journal.seq)


@pytest.fixture
def crashed(tmp_path: Path) -> Path:
    """Nine entries in the front log, behind sixty in LMDB."""
    from tests.support.entries import keep

    keep(tmp_path / "alive", CHAIN.entries)
    live_once(tmp_path / "alive")
    left_by_a_crash(tmp_path / "alive", tmp_path / "left", _three_lives)
    return tmp_path / "left"


def test_readers_see_what_only_the_log_holds(crashed: Path) -> None:
    reader = Reader.open(crashed)
    with reader._env.lmdb.begin() as txn:
        assert txn.stat(reader._env.db["facts"])["entries"] == COUNT
    total = COUNT + 9
    last = reader.last()
    assert last is not None and last.header.seq == total == reader.count("facts")
    assert seqs(reader.entries()) == list(range(1, total + 1))
    assert seqs(reader.entries(COUNT - 1, COUNT + 2)) == list(range(COUNT - 1, COUNT + 3))
    assert seqs(reader.entries(COUNT + 4)) == list(range(COUNT + 4, total + 1))
    assert seqs(reader.entries(total + 1)) == []
    assert seqs(reader.newest(4)) == list(range(total - 3, total + 1))
    assert seqs(reader.newest(12)) == list(range(total - 11, total + 1))
    assert seqs(reader.newest(3, before=COUNT + 1)) == [COUNT - 1, COUNT, COUNT + 1]
    assert seqs(reader.newest(3, before=COUNT)) == [COUNT - 2, COUNT - 1, COUNT]
    assert seqs(reader.entries_back()) == list(range(total, 0, -1))
    assert [one.header.seq if (one := reader.get(seq)) else 0 for seq in (COUNT, COUNT + 1, total, total + 1)] == [
        COUNT, COUNT + 1, total, 0,
    ]  # fmt: skip
    assert seqs(reader.of_object("web")) == [61, 62, 63, 67, 68, 69]
    assert seqs(reader.newest_of_object("db")) == [66, 65, 64]
    assert reader.types() == {"call.accepted": COUNT, "workload.stop_requested": 9}
    assert (reader.first_seq(), reader.first_seq("audit"), reader.misfit()) == (1, 0, "")
    reader.close()


def test_what_both_hold_is_seen_once(tmp_path: Path) -> None:
    """A snapshot has entries moved, while the follower has not come to them: a later look finds them in the log, too."""

    moved = threading.Event()

    def unfit() -> bytes:
        moved.set()
        raise ValueError("this one is not kept, so nothing else is written")

    async def work(journal: Journal) -> None:
        await _three_lives(journal)
        journal.save_snapshot(1, 6, unfit)
        await asyncio.to_thread(moved.wait)
        await _three_lives(journal)

    left_by_a_crash(tmp_path / "alive", tmp_path / "left", work)
    environment = Environment(tmp_path / "left", readonly=True)
    reader = Reader(environment)
    with environment.lmdb.begin() as txn:
        assert txn.stat(environment.db["facts"])["entries"] == 9
    assert (environment.tail.view().first, environment.tail.view().last) == (1, 18)
    for first in range(1, 20):
        assert seqs(reader.entries(first)) == list(range(first, 19))
        assert seqs(reader.entries(first, 12)) == list(range(first, 13))
        assert seqs(reader.newest(first)) == list(range(max(1, 19 - first), 19))
        assert seqs(reader.newest(4, before=first)) == list(range(max(1, min(first, 18) - 3), min(first, 18) + 1))
    assert reader.count("facts") == 18 and reader.types() == {"workload.stop_requested": 18}
    environment.close()
    assert verify(tmp_path / "left").checked == 18


def test_looking_changes_nothing_and_proves_the_tail_too(crashed: Path) -> None:
    before = {path.name: path.read_bytes() for path in crashed.iterdir() if path.name != "lock.mdb"}
    report = verify(crashed)
    assert report.whole and report.checked == report.head_seq == COUNT + 9
    assert {path.name: path.read_bytes() for path in crashed.iterdir() if path.name != "lock.mdb"} == before


def test_the_next_life_goes_on_behind_the_tail_and_has_moved_it(crashed: Path) -> None:
    left_by_a_crash(crashed, crashed.with_name("again"), _three_lives)
    for directory, in_lmdb in ((crashed.with_name("again"), COUNT + 9), (crashed, COUNT + 18)):
        environment = Environment(directory, readonly=True)
        with environment.lmdb.begin() as txn:
            assert txn.stat(environment.db["facts"])["entries"] == in_lmdb
        assert seqs(Reader(environment).entries()) == list(range(1, COUNT + 19))
        environment.close()
        assert verify(directory).whole


def test_a_proven_reader_keeps_to_what_is_proven_in_the_tail_too(crashed: Path) -> None:
    reader = ProvenReader(Environment(crashed, readonly=True), COUNT + 4)
    last = reader.last()
    assert last is not None and last.header.seq == COUNT + 4
    assert seqs(reader.entries(COUNT)) == list(range(COUNT, COUNT + 5)) == seqs(reader.newest(5))
    assert reader.get(COUNT + 5) is None
    reader.close()


def _alter(path: Path, first: int) -> None:
    """Flip a byte in the group that begins with entry `first`."""
    content = path.read_bytes()
    mark = content[16:32]
    at = next(
        at for at in range(BLOCK_BYTES, len(content), BLOCK_BYTES)
        if content[at : at + 16] == mark and int.from_bytes(content[at + 24 : at + 32], "big") == first
    )  # fmt: skip
    with path.open("r+b") as file:
        file.seek(at + 500)
        byte = file.read(1)
        file.seek(at + 500)
        file.write(bytes([byte[0] ^ 1]))


def test_the_last_group_may_be_torn_and_no_other(crashed: Path) -> None:
    _alter(crashed / FRONT_LOG, 67)
    assert verify(crashed).head_seq == COUNT + 6 and verify(crashed).whole
    _alter(crashed / FRONT_LOG, 61)
    report = verify(crashed)
    assert report.head_seq == COUNT
    assert report.findings[0].problem == "entry 61 is missing or out of order: entry 64 stands in its place"
    with pytest.raises(JournalDamaged, match="entry 61 is missing: the front log goes on with entry 64"):
        live_once(crashed)


def test_a_beginning_that_was_never_moved_and_is_altered_is_missed(tmp_path: Path) -> None:
    left_by_a_crash(tmp_path / "alive", tmp_path / "left", _three_lives)
    log = tmp_path / "left" / FRONT_LOG
    assert verify(tmp_path / "left").whole and verify(tmp_path / "left").checked == 9
    _alter(log, 1)
    report = verify(tmp_path / "left")
    assert report.findings[0].problem == "entry 1 is missing or out of order: entry 4 stands in its place"
    with pytest.raises(JournalDamaged, match="entry 1 is missing: the front log goes on with entry 4"):
        live_once(tmp_path / "left")


def test_a_log_that_is_gone_or_altered_where_it_begins_is_damage(crashed: Path) -> None:
    log = crashed / FRONT_LOG
    whole = log.read_bytes()
    log.write_bytes(b"?" + whole[1:])
    assert "is not this journal's" in verify(crashed).findings[0].problem
    log.unlink()
    assert "cannot be read: No such file" in verify(crashed).findings[0].problem
    assert verify(crashed).head_seq == COUNT, "what LMDB holds is proven all the same"
    with pytest.raises(JournalDamaged, match="cannot be read: No such file"):
        Environment(crashed)
    assert not log.exists()
