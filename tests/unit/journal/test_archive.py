"""Export and import: a journal goes through one file unchanged, and a file that was touched is never believed."""

import asyncio
import errno
import io
import os
import tracemalloc
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import lmdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journal import archive
from journal.archive import MAGIC, Archive, BadArchive, Title, export, import_archive
from journal.entry import LOCAL, Stored
from journal.environment import IMPORTED, Environment, hold
from journal.errors import ForeignDirectory, JournalDamaged, JournalFull, JournalLocked
from journal.events import CallRead, JournalCheckpointed, JournalExcised, WorkloadStopRequested
from journal.reader import LAST, Reader
from journal.release import RELEASE
from journal.sequencer import Draft
from journal.snapshot import Snapshot, pack_snapshot
from journal.verify import verify
from journal.writer import Journal
from tests.support.clock import HandClock
from tests.support.entries import Ledger, edited, excised, ledger, live_once, value_of

ENTRIES = ledger(6).entries


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of thirty facts and five reads."""
    directory = tmp_path_factory.mktemp("archive") / "journal"

    async def main() -> None:
        made = Journal(Environment(directory), HandClock())
        for number in range(30):
            made.append([Draft(WorkloadStopRequested(f"web-{number % 3}", number), LOCAL)])
        for _ in range(5):
            made.note(Draft(CallRead("Test.Get"), LOCAL))
        await made.close()

    asyncio.run(main())
    return directory


def exported(directory: Path, upto: int = LAST) -> bytes:
    reader = Reader.open(directory)
    try:
        return b"".join(export(reader, reader.journal_id, upto, part=upto < 30))
    finally:
        reader.close()


def read(content: bytes) -> list[tuple[str, Stored]]:
    return list(Archive(io.BytesIO(content)).entries())


def framed(stream: int, value: bytes) -> bytes:
    return bytes([stream]) + len(value).to_bytes(4, "big") + value


def forged(
    entries: list[Stored],
    *,
    facts: int | None = None,
    head: str | None = None,
    audit: Sequence[Stored] = (),
    bases: Sequence[Snapshot] = (),
    title: Mapping[str, object] = MappingProxyType({}),
) -> bytes:
    """An archive written by hand, from the format in the module's docstring."""
    last_seq, hashes = (entries[-1].header.seq, entries[-1].hash.hex()) if entries else (0, "")
    line = {
        "journal_id": bytes(range(16)).hex(), "release": "0.0.1", "first_seq": 1, "last_seq": last_seq,
        "head_hash": hashes, **title,
    }  # fmt: skip
    closing = {
        "facts": len(entries) if facts is None else facts,
        "audit": len(audit),
        "head_hash": hashes if head is None else head,
    }
    records = b"".join(framed(0, value_of(one)) for one in entries) + b"".join(
        framed(1, value_of(one)) for one in audit
    )
    kept = b"".join(framed(2, base.seq.to_bytes(8, "big") + pack_snapshot(base)) for base in bases)
    body = zlib.compress(kept + records + framed(255, msgspec.json.encode(closing)))
    return MAGIC + msgspec.json.encode(line) + b"\n" + body


def test_an_archive_names_whose_memory_it_is(journal: Path) -> None:
    content = exported(journal)
    title = msgspec.json.decode(content.split(b"\n")[1], type=Title)
    reader = Reader.open(journal)
    last = reader.last()
    assert last is not None
    assert (title.journal_id, title.last_seq, title.head_hash) == (reader.journal_id.hex(), 30, last.hash.hex())
    assert (title.first_seq, title.release) == (1, RELEASE)
    reader.close()


def test_what_is_imported_is_byte_for_byte_what_was_exported(journal: Path, tmp_path: Path) -> None:
    content = exported(journal)
    import_archive(io.BytesIO(content), tmp_path / "copy")
    assert verify(tmp_path / "copy").whole
    assert exported(tmp_path / "copy") == content
    assert [stream for stream, _ in read(content)] == ["facts"] * 30 + ["audit"] * 5


def test_an_export_up_to_an_entry_ends_there_and_is_whole(journal: Path) -> None:
    entries = read(exported(journal, upto=12))
    assert [stored.header.seq for stream, stored in entries if stream == "facts"] == list(range(1, 13))


@pytest.mark.parametrize(
    "title",
    [
        *({"last_seq": seq} for seq in (0, len(ENTRIES) - 1, len(ENTRIES) + 1)),
        *({"first_seq": seq} for seq in (0, 2)),
        {"head_hash": "ab" * 32},
        {"journal_id": "ab" * 16},
    ],
)
def test_a_title_that_is_not_its_entries_is_no_archives(title: dict[str, object], tmp_path: Path) -> None:
    """Whoever takes it over tells of it, and goes on behind the last entry that it names."""
    with pytest.raises(BadArchive):
        read(forged(ENTRIES, title=title))
    with pytest.raises(BadArchive):
        import_archive(io.BytesIO(forged(ENTRIES, title=title)), tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("block", [archive._BLOCK, 0], ids=["in one go", "by itself"])
def test_an_archive_is_all_there_is_of_its_file(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    content = forged(ENTRIES)
    monkeypatch.setattr(archive, "_BLOCK", block or len(content.split(b"\n", 2)[2]))
    assert len(read(content)) == len(ENTRIES)
    with pytest.raises(BadArchive, match="goes on behind its end"):
        read(content + b"\0")


def test_an_empty_journal_can_be_taken_along(tmp_path: Path) -> None:
    Environment(tmp_path / "empty").close()
    content = exported(tmp_path / "empty")
    assert read(content) == []
    import_archive(io.BytesIO(content), tmp_path / "copy")
    assert verify(tmp_path / "copy").whole


def test_the_format_is_what_it_says_it_is() -> None:
    entries = ledger(3).entries
    assert [stored for _, stored in read(forged(entries))] == entries


def lacking(entries: list[Stored], **fields: Any) -> tuple[str, ...]:
    """What an archive of these lacks without saying why."""
    made = Archive(io.BytesIO(forged(entries, **fields)))
    assert [stored for _, stored in made.entries()] == entries
    return made.unsaid


def test_history_begins_with_its_first_entry_where_no_checkpoint_says_otherwise() -> None:
    entries = ledger(5).entries[2:]
    lost = "history begins at entry 3, and no checkpoint says that what was before may be gone"
    assert lacking(entries, title={"first_seq": 3}) == (lost,)
    with pytest.raises(BadArchive, match="begins at entry 3, and its title says 1"):
        read(forged(entries))


def test_a_content_that_is_gone_was_removed_by_an_entry_behind_it_or_that_is_told() -> None:
    made = ledger(3)
    without = [*made.entries[:1], excised(made.entries[1]), *made.entries[2:]]
    assert lacking(without) == ("the body of entry 2 was removed, and no journal.excised entry says so",)
    assert lacking([*without, made.add(JournalExcised((2,), "a typing error"))]) == ()


def test_an_archive_says_whether_more_follows_where_it_was_taken(journal: Path) -> None:
    def part(content: bytes) -> bool | None:
        return Archive(io.BytesIO(content)).title.part

    assert (part(exported(journal, upto=12)), part(exported(journal, upto=30))) == (True, False)
    assert part(forged(ledger(3).entries)) is None, "one of a release before"


def test_what_the_fold_begins_with_has_an_entry_that_says_so() -> None:
    made = ledger(3)
    base = Snapshot(3, made.entries[-1].hash, b"a state that somebody made up")
    assert lacking(made.entries, bases=[base]) == (
        "the fold begins behind entry 3, and no journal.checkpointed says so",
    )
    made.add(JournalCheckpointed(3, 1, "ab", base.head.hex()))
    assert lacking(made.entries, bases=[base]) == ()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no journal archive"),
        (b"PK\x03\x04 something else entirely", "no journal archive"),
        (MAGIC, "title is cut"),
        (MAGIC + b"{}\n", "title cannot be read"),
        (MAGIC + b"\xff\xff\n", "title cannot be read"),
        (forged(ledger(2).entries, title={"journal_id": "not hex"}), "title cannot be read"),
        (forged(ledger(2).entries)[:-20], "cut"),
        (forged(ledger(2).entries, facts=3), "counts other entries"),
        (forged(ledger(2).entries, head="00" * 32), "head is not the one it names"),
        (forged([*ENTRIES[:2], edited(ENTRIES[2], at=1)], head=ENTRIES[2].hash.hex()), "head is not"),
        (forged([ledger(3).entries[0], ledger(3).entries[2]]), "missing or out of order"),
        (forged(ledger(2).entries, title={"journal_id": "00" * 16}), "does not follow"),
        (forged(ledger(1).entries, audit=[ledger(3).entries[2], ledger(3).entries[1]]), "missing or out of order"),
        (MAGIC + forged([]).split(b"\n")[1] + b"\n" + zlib.compress(framed(7, b"")), "inside a record"),
        (MAGIC + forged([]).split(b"\n")[1] + b"\n" + zlib.compress(framed(0, b"no entry")), "cannot be read"),
        (MAGIC + forged([]).split(b"\n")[1] + b"\n" + zlib.compress(framed(255, b"{")), "closing record"),
        (MAGIC + forged([]).split(b"\n")[1] + b"\n" + b"no zlib", "altered"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_archive_is_said(content: bytes, words: str) -> None:
    with pytest.raises(BadArchive, match=words):
        read(content)


def packed(records: bytes) -> bytes:
    """An archive of these records, which need not be any."""
    return MAGIC + forged([]).split(b"\n")[1] + b"\n" + zlib.compress(records)


def test_a_record_that_is_larger_than_any_entry_is_refused_by_its_length() -> None:
    with pytest.raises(BadArchive, match="inside a record"):
        read(packed(framed(0, bytes(archive.ENTRY_BYTES_MOST + 1))))


def test_what_is_packed_very_small_takes_no_memory_before_it_is_looked_at() -> None:
    content = packed(framed(7, bytes(60 << 20)))
    assert len(content) < 64 << 10
    tracemalloc.start()
    try:
        with pytest.raises(BadArchive, match="inside a record"):
            read(content)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_large_entries_are_written_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = Ledger(), []
    for _ in range(20):
        made.forge("weather.noticed", {"sky": "grey" * 10_000}, "may")
    real = Environment.make_room

    def room(self: Environment, ahead_bytes: int) -> None:
        asked.append(ahead_bytes)
        real(self, ahead_bytes)

    monkeypatch.setattr(archive, "BATCH_BYTES", 100_000)
    monkeypatch.setattr(Environment, "make_room", room)
    import_archive(io.BytesIO(forged(made.entries)), tmp_path / "copy")
    assert len(asked) == 7, "three at a time"
    reader = Reader.open(tmp_path / "copy")
    assert list(reader.entries()) == made.entries
    reader.close()


WHOLE = forged(ENTRIES)


@settings(max_examples=300)
@given(at=st.integers(0, len(WHOLE) - 1), mask=st.integers(1, 255))
def test_no_altered_byte_brings_another_history(at: int, mask: int) -> None:
    altered = bytearray(WHOLE)
    altered[at] ^= mask
    try:
        assert [stored for _, stored in read(bytes(altered))] == ENTRIES
    except BadArchive:
        pass


@settings(max_examples=100)
@given(st.integers(0, len(WHOLE) - 1))
def test_no_cut_archive_is_taken_for_whole(end: int) -> None:
    with pytest.raises(BadArchive):
        read(WHOLE[:end])


def test_a_bad_archive_leaves_nothing_behind(tmp_path: Path) -> None:
    content = bytearray(forged(ledger(50).entries))
    content[-30] ^= 1
    with pytest.raises(BadArchive):
        import_archive(io.BytesIO(bytes(content)), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    (tmp_path / "there").mkdir()
    with pytest.raises(BadArchive):
        import_archive(io.BytesIO(bytes(content)), tmp_path / "there")
    assert list((tmp_path / "there").iterdir()) == []


CUT_SHORT = "mdb_txn_commit: Input/output error"
"""What LMDB says of a write that a full disk took a part of, and of a fault."""


@pytest.mark.parametrize("step", ["__init__", "make_room"])
@pytest.mark.parametrize(
    ("error", "left_bytes", "expected"),
    [
        (lmdb.DiskError("mdb_txn_commit: No space left on device"), 1 << 30, JournalFull),
        (lmdb.Error("mdb_txn_commit: Disk quota exceeded"), 1 << 30, JournalFull),
        (lmdb.Error(CUT_SHORT), 0, JournalFull),
        (lmdb.Error(CUT_SHORT), 1 << 30, lmdb.Error),
        (OSError(errno.ENOSPC, "No space left on device"), 1 << 30, JournalFull),
    ],
)
def test_a_disk_without_room_is_said_and_nothing_is_left_there(
    tmp_path: Path,
    step: str,
    error: Exception,
    left_bytes: int,
    expected: type[Exception],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(self: Environment, *arguments: object, **named: object) -> None:
        if step == "__init__":
            data = Path(str(arguments[0])) / "data.mdb"
            data.parent.mkdir(parents=True)
            data.touch()
            raise JournalDamaged("it cannot be opened") from error
        raise error

    disk = SimpleNamespace(f_bavail=left_bytes, f_frsize=1)
    with monkeypatch.context() as patched:
        patched.setattr(Environment, step, fails)
        patched.setattr(os, "statvfs", lambda _: disk)
        with pytest.raises((expected, JournalDamaged)) as told:
            import_archive(io.BytesIO(forged(ENTRIES)), tmp_path / "new")
    if expected is JournalFull:
        assert "no room" in str(told.value) and not (tmp_path / "new").exists()
    else:
        assert not isinstance(told.value, JournalFull)


def test_a_journal_is_never_imported_over(journal: Path, tmp_path: Path) -> None:
    content = exported(journal)
    import_archive(io.BytesIO(content), tmp_path / "copy")
    before = (tmp_path / "copy" / "data.mdb").read_bytes()
    with pytest.raises(ForeignDirectory, match="holds a journal already"):
        import_archive(io.BytesIO(content), tmp_path / "copy")
    assert (tmp_path / "copy" / "data.mdb").read_bytes() == before
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("mine")
    with pytest.raises(ForeignDirectory):
        import_archive(io.BytesIO(content), tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


@pytest.mark.parametrize("left", [("front.log",), ("head",), ("front.log", "head")])
def test_nothing_is_imported_beside_what_is_left_of_another_journal(tmp_path: Path, left: tuple[str, ...]) -> None:
    for name in left:
        (tmp_path / name).write_text("another's")
    with pytest.raises(ForeignDirectory, match=f"holds {' and '.join(left)} of a journal whose data.mdb is gone"):
        import_archive(io.BytesIO(forged(ENTRIES)), tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == dict.fromkeys(left, "another's")
    for name in left:
        (tmp_path / name).unlink()
    import_archive(io.BytesIO(forged(ENTRIES)), tmp_path)
    assert verify(tmp_path).whole, "what is told to be done helps"


@pytest.mark.parametrize("there", [False, True])
def test_an_import_that_is_killed_is_no_journal_and_the_next_one_clears_it(tmp_path: Path, there: bool) -> None:
    content, new = forged(ledger(50).entries), tmp_path / "new"
    if there:
        new.mkdir()
    child = os.fork()
    if not child:
        steps = 0

        def killed(self: Environment, ahead_bytes: int) -> None:
            nonlocal steps
            steps += 1
            if steps == 3:
                os._exit(9)
            make_room(self, ahead_bytes)

        make_room, archive._BATCH, Environment.make_room = Environment.make_room, 20, killed  # type: ignore[method-assign]
        try:
            import_archive(io.BytesIO(content), new)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    with pytest.raises(ForeignDirectory, match="holds no journal"):
        Reader.open(new)
    import_archive(io.BytesIO(content), new)
    assert verify(new).checked == 50
    assert sorted(path.name for path in new.iterdir()) == ["data.mdb", "lock.mdb", "owner.lock"]


def test_what_a_killed_import_left_goes_when_a_journal_is_begun_there(tmp_path: Path) -> None:
    (tmp_path / IMPORTED).mkdir()
    (tmp_path / IMPORTED / "data.mdb").write_bytes(b"a part")
    live_once(tmp_path)
    assert not (tmp_path / IMPORTED).exists() and verify(tmp_path).whole


def test_nothing_is_imported_where_a_daemon_begins(tmp_path: Path) -> None:
    with hold(tmp_path), pytest.raises(JournalLocked):
        import_archive(io.BytesIO(forged(ENTRIES)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["owner.lock"]


def test_entries_of_a_newer_release_are_taken_along(tmp_path: Path) -> None:
    made = Ledger()
    made.forge("workload.teleported", {"name": "web"})
    made.forge("weather.noticed", {"sky": "grey"}, "may")
    content = forged(made.entries)
    import_archive(io.BytesIO(content), tmp_path / "copy")
    reader = Reader.open(tmp_path / "copy")
    assert list(reader.entries()) == made.entries
    reader.close()
