"""Reading: by place, by object, type and call, wherever the follower stands, and in a form that outlives releases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from journal.entry import Stored
from journal.environment import Environment
from journal.errors import ForeignDirectory
from journal.events import CallAccepted, WorkloadStopRequested
from journal.reader import CHUNK, LAST, Reader, index_prefix, objects_in, objects_of
from journal.snapshot import Snapshot, pack_snapshot
from tests.support.entries import JOURNAL_ID, Ledger, edited, keep, ledger, live_once, seqs

COUNT = CHUNK * 2 + 10


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of COUNT entries on three objects in turn; the follower knows all but the last 100."""
    directory = tmp_path_factory.mktemp("reader") / "journal"
    entries = ledger(COUNT).entries
    keep(directory, entries[:-100])
    live_once(directory)
    keep(directory, entries[-100:])
    return directory


@pytest.fixture
def reader(long: Path) -> Iterator[Reader]:
    made = Reader.open(long)
    yield made
    made.close()


def of(directory: Path, entries: Ledger) -> Reader:
    keep(directory, entries.entries)
    return Reader.open(directory)


def test_entries_come_in_order_over_every_chunk(reader: Reader) -> None:
    assert seqs(reader.entries()) == list(range(1, COUNT + 1))


@pytest.mark.parametrize("first", [1, 2, CHUNK, CHUNK + 1, COUNT, COUNT + 1])
@pytest.mark.parametrize("length", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_a_span_is_just_that(reader: Reader, first: int, length: int) -> None:
    last = first + length
    assert seqs(reader.entries(first, last)) == list(range(first, min(last, COUNT) + 1))


@pytest.mark.parametrize(
    ("count", "before", "expected"),
    [
        (3, None, [COUNT - 2, COUNT - 1, COUNT]),
        (3, COUNT, [COUNT - 2, COUNT - 1, COUNT]),
        (3, COUNT + 5, [COUNT - 2, COUNT - 1, COUNT]),
        (3, 10, [8, 9, 10]),
        (3, 2, [1, 2]),
        (3, 0, []),
        (0, 10, []),
    ],
)
def test_the_newest_are_counted_from_the_end(
    reader: Reader, count: int, before: int | None, expected: list[int]
) -> None:
    found = reader.newest(count) if before is None else reader.newest(count, before=before)
    assert seqs(found) == expected


def test_one_entry_can_be_had_by_its_number(reader: Reader) -> None:
    stored, last = reader.get(5), reader.last()
    assert stored is not None and stored.header.seq == 5
    assert last is not None and last.header.seq == COUNT
    assert reader.get(COUNT + 1) is None and reader.first_seq() == 1
    assert reader.journal_id == JOURNAL_ID


def test_an_object_is_found_in_the_index_and_behind_it(reader: Reader) -> None:
    cursor = reader.cursor()
    assert cursor == COUNT - 100
    assert seqs(reader.of_object("object-1")) == list(range(1, COUNT + 1, 3))
    assert seqs(reader.of_object("object-1", first=cursor - 5)) == [
        seq for seq in range(cursor - 5, COUNT + 1) if seq % 3 == 1
    ]
    assert seqs(reader.of_object("object-1", last=cursor + 4)) == [seq for seq in range(1, cursor + 5) if seq % 3 == 1]
    assert seqs(reader.of_object("object-1", first=cursor + 1)) == [
        seq for seq in range(cursor + 1, COUNT + 1) if seq % 3 == 1
    ]
    for last in (COUNT, cursor + 4, cursor, cursor - 5, 1, 0):
        assert seqs(reader.newest_of_object("object-1", last)) == seqs(reader.of_object("object-1", last=last))[::-1]
    assert seqs(reader.newest_of_object("object")) == []
    assert seqs(reader.of_object("nothing")) == seqs(reader.of_object("object")) == []


def test_a_type_and_a_call_are_found_in_the_index_and_behind_it(tmp_path: Path) -> None:
    made = Ledger()
    for number in range(4):
        made.add(CallAccepted("Stop", ("web",)), call=2 * number + 1)
        made.add(WorkloadStopRequested("web", 1), cause=2 * number + 1, call=2 * number + 1)
    keep(tmp_path / "journal", made.entries[:4])
    live_once(tmp_path / "journal")
    keep(tmp_path / "journal", made.entries[4:])
    reader = Reader.open(tmp_path / "journal")
    assert reader.cursor() == 4
    assert seqs(reader.of_type("call.accepted")) == [1, 3, 5, 7]
    assert seqs(reader.of_type("workload.stop_requested", first=3, last=6)) == [4, 6]
    assert seqs(reader.of_type("call")) == []
    assert [seqs(reader.of_call(seq)) for seq in (1, 3, 5, 7, 2)] == [[1, 2], [3, 4], [5, 6], [7, 8], []]
    assert reader.types() == {"call.accepted": 4, "workload.stop_requested": 4}
    reader.close()


def test_an_empty_journal_answers_everything(tmp_path: Path) -> None:
    reader = of(tmp_path / "journal", Ledger())
    assert (reader.last(), reader.first_seq(), reader.cursor(), reader.get(1)) == (None, 0, 0, None)
    assert seqs(reader.entries()) == seqs(reader.newest(5)) == seqs(reader.of_object("web")) == []
    assert reader.types() == {} and reader.snapshots() == () and reader.snapshot(1) is None
    reader.close()


def test_history_begins_where_it_was_cut(tmp_path: Path) -> None:
    made = ledger(9)
    keep(tmp_path / "journal", made.entries[4:])
    reader = Reader.open(tmp_path / "journal")
    assert reader.first_seq() == 5 and seqs(reader.entries()) == [5, 6, 7, 8, 9]
    reader.close()


def test_a_directory_without_a_journal_is_named(tmp_path: Path) -> None:
    with pytest.raises(ForeignDirectory, match="holds no journal"):
        Reader.open(tmp_path)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({}, ()),
        ({"name": "web"}, ("web",)),
        ({"object": "web", "objects": ["db", "web"], "items": [{"name": "job"}]}, ("web", "db", "job")),
        ({"refs": ["a:1"], "images": [{"pin": {"ref": "b:1", "index_digest": "x"}}, {}]}, ("a:1", "b:1")),
        ({"refs": 7, "images": [{"pin": {"ref": 8}}, {"pin": "x"}, "c:1"]}, ()),
        ({"name": ""}, ()),
        ({"name": 5, "object": None, "objects": "web", "items": 7}, ()),
        ({"objects": [1, None, "db"], "items": ["web", {}, {"name": 3}, {"name": "job"}]}, ("db", "job")),
    ],
)
def test_what_an_entry_speaks_of_is_read_from_any_body(body: dict[str, object], names: tuple[str, ...]) -> None:
    assert objects_of(body) == names
    assert objects_in(Ledger().forge("weather.noticed", body)) == names


def test_a_newer_releases_strange_words_hinder_neither_follower_nor_reader(tmp_path: Path) -> None:
    made = Ledger()
    made.forge("weather.noticed", {"name": 5, "items": [1, 2]}, "may")
    made.forge("weather.noticed", b"\x93\x01\x02\x03", "may")
    made.forge("x" * 600, {"name": "web"}, "may")
    keep(tmp_path / "journal", made.entries)
    live_once(tmp_path / "journal")
    reader = Reader.open(tmp_path / "journal")
    assert reader.cursor() == 3
    assert seqs(reader.of_object("web")) == seqs(reader.of_type("x" * 600)) == [3]
    reader.close()


def test_names_that_begin_alike_are_told_apart(tmp_path: Path) -> None:
    names = ("a", "a\0bcdefgh", "ab", "x" * 500, "x" * 501)
    made = Ledger()
    for name in names:
        made.add(WorkloadStopRequested(name, 1))
    keep(tmp_path / "journal", made.entries)
    live_once(tmp_path / "journal")
    reader = Reader.open(tmp_path / "journal")
    assert [seqs(reader.of_object(name)) for name in names] == [[1], [2], [3], [4], [5]]
    assert index_prefix(names[3]) == index_prefix(names[4])
    reader.close()


def snapshots_at(directory: Path, *places: int) -> list[Stored]:
    """A journal of 40 entries with snapshots of the fold versions 1 and 2 at these; its entries."""
    entries = ledger(40).entries
    keep(directory, entries)
    environment = Environment(directory)
    with environment.lmdb.begin(write=True) as txn:
        for place in places:
            for version in (1, 2):
                snapshot = Snapshot(place, entries[place - 1].hash, f"{version}:{place}".encode())
                key = version.to_bytes(4, "big") + place.to_bytes(8, "big")
                txn.put(key, pack_snapshot(snapshot), db=environment.db["snapshots"])
    environment.close()
    return entries


def content(reader: Reader, version: int, upto: int = LAST) -> bytes | None:
    found = reader.snapshot(version, upto)
    return None if found is None else found.content


def test_the_snapshot_is_the_newest_of_its_version_at_or_before_a_place(tmp_path: Path) -> None:
    snapshots_at(tmp_path / "journal", 10, 20, 30)
    reader = Reader.open(tmp_path / "journal")
    assert content(reader, 1) == b"1:30" and content(reader, 2) == b"2:30"
    assert content(reader, 1, upto=30) == b"1:30"
    assert content(reader, 1, upto=29) == b"1:20"
    assert content(reader, 2, upto=10) == b"2:10"
    assert content(reader, 2, upto=9) is None, "those of another version are none"
    assert content(reader, 1, upto=9) is None and content(reader, 3) is None
    assert sorted(reader.snapshots()) == [10, 10, 20, 20, 30, 30]
    reader.close()


@pytest.mark.parametrize("at", [0, 31, 32, 63, 64, -1])
def test_an_altered_snapshot_is_none_and_the_one_before_it_counts(tmp_path: Path, at: int) -> None:
    snapshots_at(tmp_path / "journal", 20, 30)
    environment = Environment(tmp_path / "journal")
    key = (1).to_bytes(4, "big") + (30).to_bytes(8, "big")
    with environment.lmdb.begin(write=True) as txn:
        kept = txn.get(key, db=environment.db["snapshots"])
        assert kept is not None
        value = bytearray(kept)
        value[at] ^= 1
        txn.put(key, bytes(value), db=environment.db["snapshots"])
    environment.close()
    reader = Reader.open(tmp_path / "journal")
    assert content(reader, 1) == b"1:20" and content(reader, 2) == b"2:30"
    reader.close()


def test_a_snapshot_of_another_past_is_none(tmp_path: Path) -> None:
    entries = snapshots_at(tmp_path / "journal", 20, 30)
    keep(tmp_path / "journal", [edited(entries[29], at=1)])
    reader = Reader.open(tmp_path / "journal")
    assert content(reader, 1) == b"1:20", "entry 30 is not the one that the newer stood on"
    reader.close()


def test_a_snapshot_as_earlier_releases_kept_it_is_none(tmp_path: Path) -> None:
    snapshots_at(tmp_path / "journal")
    environment = Environment(tmp_path / "journal")
    with environment.lmdb.begin(write=True) as txn:
        for bare in (b"", b"short", b"x" * 500):
            key = (1).to_bytes(4, "big") + (10 + len(bare) % 7).to_bytes(8, "big")
            txn.put(key, bare, db=environment.db["snapshots"])
    environment.close()
    reader = Reader.open(tmp_path / "journal")
    assert reader.snapshot(1) is None and len(reader.snapshots()) == 3
    reader.close()
