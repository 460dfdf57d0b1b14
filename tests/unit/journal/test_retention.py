"""What is cut is gone and what is removed is said no more, while the chain proves what is left, and who says so."""

import asyncio
import io
import shutil
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from journal import retention
from journal.apart import verify_apart
from journal.archive import Archive, export, import_archive
from journal.entry import LOCAL, MalformedEntry
from journal.environment import Environment
from journal.errors import HistoryCut
from journal.events import JournalCheckpointed, JournalExcised, WorkloadStopRequested
from journal.reader import CUT_KEY, FORMER_PREFIX, Reader
from journal.sequencer import THIS_BATCH, Draft
from journal.snapshot import Snapshot, pack_snapshot
from journal.space import Space
from journal.verify import Report, verify
from journal.writer import Journal
from tests.support.clock import HandClock

SECRET = "correct-horse-battery"
COUNT = 40


async def filled(directory: Path) -> Journal:
    journal = Journal(Environment(directory), HandClock())
    for number in range(1, COUNT + 1):
        name = SECRET if number in (7, 8) else f"web-{number % 3}"
        journal.append([Draft(WorkloadStopRequested(name, number), LOCAL, call=THIS_BATCH)])
    await journal.durable(journal.seq)
    return journal


def base_at(journal: Journal, seq: int) -> Snapshot:
    stored = journal.reader.get(seq)
    assert stored is not None
    return Snapshot(seq, stored.hash, b"the state after it")


async def truncated(journal: Journal, upto: int) -> None:
    base = base_at(journal, upto)
    journal.append([Draft(JournalCheckpointed(upto, 2, "ab", base.head.hex(), "usb"), LOCAL)])
    await journal.durable(journal.seq)
    await journal.retain(base, cut=True)


async def excised(journal: Journal, *seqs: int) -> None:
    base = base_at(journal, journal.seq)
    said = JournalExcised(seqs, "a slip"), JournalCheckpointed(base.seq, 2, "ab", base.head.hex())
    journal.append([Draft(event, LOCAL) for event in said])
    await journal.durable(journal.seq)
    await journal.retain(base, cut=False, excised=seqs)


def telling(directory: Path, story: Callable[[Journal], Awaitable[None]]) -> None:
    async def told() -> None:
        journal = await filled(directory)
        try:
            await asyncio.wait_for(story(journal), 20)
        finally:
            await journal.close()

    asyncio.run(told())


def seqs(directory: Path, name: str = "") -> list[int]:
    reader = Reader.open(directory)
    found = [one.header.seq for one in (reader.of_object(name) if name else reader.entries())]
    reader.close()
    return found


def test_what_is_cut_is_gone_with_its_places_in_the_indexes_and_the_rest_is_proven(tmp_path: Path) -> None:
    telling(tmp_path, lambda journal: truncated(journal, 30))
    assert seqs(tmp_path) == list(range(31, COUNT + 2)) and seqs(tmp_path, SECRET) == []
    assert seqs(tmp_path, "web-1") == [31, 34, 37, 40]
    report = verify(tmp_path)
    assert report.whole and (report.first_seq, report.head_seq) == (31, COUNT + 1)
    environment = Environment(tmp_path, readonly=True)
    reader = Reader(environment)
    for index in ("by_object", "by_type", "by_call"):
        assert all(int.from_bytes(key[-8:], "big") > 30 for key, _ in reader._scan(index, b"", b"\xff" * 500))
    base = reader.base()
    assert base is not None and (base.seq, base.content) == (30, b"the state after it")
    environment.close()


def test_entries_go_on_behind_what_was_cut(tmp_path: Path) -> None:
    telling(tmp_path, lambda journal: truncated(journal, COUNT))

    async def again() -> None:
        journal = Journal(Environment(tmp_path), HandClock())
        assert journal.seq == COUNT + 1
        journal.append([Draft(WorkloadStopRequested("next", 1), LOCAL)])
        await journal.close()

    asyncio.run(again())
    assert seqs(tmp_path) == [COUNT + 1, COUNT + 2] and verify(tmp_path).whole


def test_what_was_removed_is_in_no_file_once_the_daemon_has_ended(tmp_path: Path) -> None:
    telling(tmp_path, lambda journal: excised(journal, 7, 8))
    assert seqs(tmp_path) == list(range(1, COUNT + 3)) and seqs(tmp_path, SECRET) == []
    report = verify(tmp_path)
    assert report.whole and report.excised == 2
    files = [path for path in tmp_path.iterdir() if path.is_file()]
    assert [path.name for path in files if SECRET.encode() in path.read_bytes()] == []
    assert "front.log" not in [path.name for path in files], "it had the entry as it came, and is made anew"
    reader = Reader.open(tmp_path)
    gone, kept = reader.get(7), reader.get(9)
    assert gone is not None and gone.excised and kept is not None and not kept.excised
    reader.close()


@pytest.mark.parametrize("point", ["_unmark", "settle", "sync_directory"])
def test_an_end_that_the_power_cut_fell_into_leaves_it_to_the_next_one(
    tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, left = tmp_path / "old", tmp_path / "left"

    def cut(*arguments: Any, **named: Any) -> None:
        shutil.copytree(old, left)
        raise OSError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(retention, point, cut)
        telling(old, lambda journal: excised(journal, 7, 8))

    async def again() -> None:
        await Journal(Environment(left), HandClock()).close()

    asyncio.run(again())
    assert verify(left).whole and seqs(left) == list(range(1, COUNT + 3))
    assert [path.name for path in left.iterdir() if SECRET.encode() in path.read_bytes()] == []
    assert not (left / retention.COMPACTED).exists()


@pytest.mark.parametrize("how", [truncated, excised])
def test_an_archive_of_it_makes_the_same_journal_elsewhere(tmp_path: Path, how: Callable[..., Awaitable[None]]) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    telling(old, lambda journal: how(journal, 8))
    reader = Reader.open(old)
    content = b"".join(export(reader, reader.journal_id))
    reader.close()
    assert content.startswith(b"capsule-archive 2\n")
    archive = Archive(io.BytesIO(content))
    list(archive.entries())
    assert archive.base is not None and archive.base.content == b"the state after it"
    import_archive(io.BytesIO(content), new)
    assert seqs(new) == seqs(old) and verify(new).whole
    opened = Reader.open(new)
    assert opened.base() == archive.base
    opened.close()


class Reserve(Space):
    """Of a disk that gives no more: room for `steps` steps of a cut."""

    steps = -1

    def extend(self, used_bytes: int) -> bool:
        return self.steps < 0 and super().extend(used_bytes)

    def has_reserve(self, used_bytes: int) -> bool:
        self.steps -= 1
        return self.steps >= 0


def test_a_cut_goes_on_in_the_reserve_as_long_as_that_has_room_and_ends_with_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FEW_ENTRIES", 3)
    telling(tmp_path, lambda journal: truncated(journal, 5))

    async def full() -> None:
        environment = Environment(tmp_path)
        space = Reserve(tmp_path / "data.mdb")
        journal = Journal(environment, HandClock(), space=space)
        base = base_at(journal, 30)
        journal.append([Draft(JournalCheckpointed(30, 2, "ab", base.head.hex(), "usb"), LOCAL)])
        await journal.durable(journal.seq)
        space.steps = 4
        with pytest.raises(OSError, match="no more space"):
            await journal.retain(base, cut=False, excised=(31,))
        space.steps = 4
        with pytest.raises(OSError, match="no more space"):
            await journal.retain(base, cut=True)
        space.steps = -1
        await journal.close()

    asyncio.run(full())
    assert seqs(tmp_path)[0] == 15 and verify(tmp_path).whole, "three steps of three"

    async def again() -> None:
        await Journal(Environment(tmp_path), HandClock()).close()

    asyncio.run(again())
    assert seqs(tmp_path)[0] == 31 and verify(tmp_path).whole


def test_a_cut_that_a_crash_fell_into_is_finished_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop_after_the_first(environment: Environment) -> None:
        retention._cut(environment, 5)
        with environment.lmdb.begin(write=True) as txn:
            txn.put(CUT_KEY, (30).to_bytes(8, "big"), db=environment.db["meta"])

    monkeypatch.setattr(retention, "BATCH_ENTRIES", 3)
    with monkeypatch.context() as patched:
        patched.setattr(retention, "go_on", stop_after_the_first)
        telling(tmp_path, lambda journal: truncated(journal, 30))
    assert seqs(tmp_path)[0] == 4 and verify(tmp_path).whole, "what is left over is named by the checkpoint"
    reader = Reader.open(tmp_path)
    assert reader.first_seq() == 31, "what is to be cut is no history any more"
    archive = Archive(io.BytesIO(b"".join(export(reader, reader.journal_id))))
    assert [stored.header.seq for _, stored in archive.entries()] == list(range(31, COUNT + 2))
    reader.close()

    async def again() -> None:
        await Journal(Environment(tmp_path), HandClock()).close()

    asyncio.run(again())
    assert seqs(tmp_path) == list(range(31, COUNT + 2))


def test_an_export_under_which_history_is_cut_says_so_instead_of_being_none(tmp_path: Path) -> None:
    async def story(journal: Journal) -> None:
        blocks = export(journal.reader, journal.reader.journal_id)
        next(blocks)
        await truncated(journal, 30)
        with pytest.raises(HistoryCut, match="export it again"):
            list(blocks)

    telling(tmp_path, story)


def test_who_waits_for_it_may_go_and_the_journal_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, gone = threading.Event(), threading.Event()
    real = retention.set_base

    def late(*arguments: Any, **named: Any) -> None:
        begun.set()
        gone.wait(10)
        real(*arguments, **named)

    async def story(journal: Journal) -> None:
        cutting = asyncio.create_task(truncated(journal, 30))
        await asyncio.to_thread(begun.wait, 10)
        cutting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cutting
        gone.set()
        await truncated(journal, 35)

    with monkeypatch.context() as patched:
        patched.setattr(retention, "set_base", late)
        telling(tmp_path, story)
    assert seqs(tmp_path) == list(range(36, COUNT + 3))


def test_what_is_missing_without_a_checkpoint_is_found(tmp_path: Path) -> None:
    telling(tmp_path, lambda journal: truncated(journal, 30))
    environment = Environment(tmp_path)
    with environment.lmdb.begin(write=True) as txn:
        txn.delete(b"base", db=environment.db["meta"])
    environment.close()
    assert "no checkpoint says" in verify(tmp_path).findings[0].problem


@pytest.mark.parametrize("what", ["content", "entry", "unsaid"])
def test_another_base_than_the_checkpoints_is_found(tmp_path: Path, what: str) -> None:
    telling(tmp_path, lambda journal: truncated(journal, 30))
    environment = Environment(tmp_path)
    reader = Reader(environment)
    base = reader.base()
    assert base is not None
    with environment.lmdb.begin(write=True) as txn:
        value = txn.get(b"base", db=environment.db["meta"])
    assert value is not None
    if what == "content":
        with environment.lmdb.begin(write=True) as txn:
            txn.put(b"base", value[:-1] + b"?", db=environment.db["meta"])
    elif what == "entry":
        retention.set_base(environment, Snapshot(30, bytes(32), b"x"), cut=True, excised=())
    else:
        retention.set_base(environment, Snapshot(33, reader.get(33).hash, b"x"), cut=True, excised=())  # type: ignore[union-attr]
    if what == "content":
        with pytest.raises(MalformedEntry):
            reader.base()
    environment.close()
    assert not verify(tmp_path).whole


@pytest.mark.parametrize("seq", [20, 25])
def test_a_former_base_that_stands_on_no_entry_or_that_no_checkpoint_tells_of_is_found(
    tmp_path: Path, seq: int
) -> None:
    async def story(journal: Journal) -> None:
        await excised(journal, 7)
        journal.append([Draft(WorkloadStopRequested("slip", 1), LOCAL)])
        await journal.durable(journal.seq)
        await excised(journal, COUNT + 3)

    telling(tmp_path, story)
    assert verify(tmp_path).whole
    environment = Environment(tmp_path)
    stored = Reader(environment).get(seq)
    assert stored is not None
    strange = Snapshot(seq, stored.hash if seq == 25 else bytes(32), b"x")
    with environment.lmdb.begin(write=True) as txn:
        assert txn.get(b"format", db=environment.db["meta"]) == b"4", "who knows of no former one would leave it there"
        place = seq.to_bytes(8, "big")
        txn.put(FORMER_PREFIX + place, place + pack_snapshot(strange), db=environment.db["meta"])
    environment.close()
    found = verify(tmp_path).findings[0].problem
    assert ("no journal.checkpointed says so" if seq == 25 else "does not stand on entry 20") in found


def test_a_release_that_knows_no_base_does_not_open_it(tmp_path: Path) -> None:
    telling(tmp_path, lambda journal: truncated(journal, 30))
    environment = Environment(tmp_path, readonly=True)
    with environment.lmdb.begin() as txn:
        assert txn.get(b"format", db=environment.db["meta"]) == b"3"
    environment.close()


_HOLDS = """
import sys
from pathlib import Path
from journal.reader import Reader
reader = Reader.open(Path(sys.argv[1]))
print(reader.last().header.seq, flush=True)
sys.stdin.read()
"""


@contextmanager
def held_open(directory: Path) -> Iterator[None]:
    """As `journal verify --dir` and `export --dir` have it open for a while."""
    command = [sys.executable, "-c", _HOLDS, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and int(child.stdout.readline()) == COUNT
        try:
            yield
        finally:
            child.kill()


@pytest.mark.parametrize("moves", [0, 1])
@pytest.mark.parametrize("made", ["before", "meanwhile"])
def test_a_start_behind_a_cut_goes_by_the_new_store_whoever_has_the_former_one_open(
    tmp_path: Path, moves: int, made: str
) -> None:
    """LMDB takes the one or the other of a store's first pages, by whether a number is odd that its lock counts on.
    Who opened the former store as the lock was gone has made that of the new one."""
    there = tmp_path / "journal"

    async def cut(journal: Journal) -> None:
        await truncated(journal, 30)
        for _ in range(moves):
            journal.append([Draft(WorkloadStopRequested("web-0", 1), LOCAL)])
            await journal.durable(journal.seq)
            await asyncio.wrap_future(journal._mover.move_all())

    async def live(begun: Awaitable[Journal], story: Callable[[Journal], Awaitable[None]]) -> None:
        journal = await begun
        await story(journal)
        await journal.close()

    async def begun() -> Journal:
        return Journal(Environment(there), HandClock())

    asyncio.run(live(filled(there), lambda journal: journal.durable(COUNT)))
    lock, kept = there / "lock.mdb", tmp_path / "kept"
    if made == "meanwhile":
        lock.unlink()
    with held_open(there):
        kept.hardlink_to(lock)
        asyncio.run(live(begun(), cut))
        kept.replace(lock)
        assert verify_apart(there).findings == ()
        environment = Environment(there)
        last = Reader(environment).last()
        assert not environment.mark and last is not None and last.header.seq == COUNT + 1 + moves
        environment.close()
    assert verify(there).whole


_PROVES = """
import sys
from pathlib import Path
import msgspec
from journal.verify import Report, verify
told = []
def proven(first, seq):
    if not told:
        told.append(seq)
        print(seq, flush=True)
        sys.stdin.readline()
print(msgspec.json.encode(verify(Path(sys.argv[1]), proven=proven)).decode())
"""


@pytest.mark.parametrize("cut", [True, False])
def test_a_proof_under_which_history_is_cut_proves_what_is_left(tmp_path: Path, cut: bool) -> None:
    """Damage that was there before is found all the same."""

    async def story() -> str:
        journal = await filled(tmp_path)
        for number in range(20):
            journal.append([Draft(WorkloadStopRequested(f"web-{one}", number), LOCAL) for one in range(100)])
        await journal.durable(journal.seq)
        await asyncio.wrap_future(journal._mover.move_all())
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROVES, str(tmp_path)), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert child.stdout is not None and await child.stdout.readline() == b"256\n"
        if cut:
            await truncated(journal, 1_700)
        else:
            alter(journal, 1_500)
        told, _ = await child.communicate(b"\n")
        await journal.close()
        return told.decode()

    report = msgspec.json.decode(asyncio.run(asyncio.wait_for(story(), 20)), type=Report)
    assert (report.first_seq, report.whole) == ((1_701, True) if cut else (1, False)), report.findings


def alter(journal: Journal, seq: int) -> None:
    key, environment = seq.to_bytes(8, "big"), journal._env
    with environment.lmdb.begin(write=True) as txn:
        value = bytes(txn.get(key, db=environment.db["facts"]) or b"")
        txn.put(key, value[:-1] + b"?", db=environment.db["facts"])
