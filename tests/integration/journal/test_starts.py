"""What a start goes by is proven first: an altered entry is damage however old it is, an altered snapshot is no cache."""

import asyncio
import subprocess
from functools import partial
from pathlib import Path

import pytest

from capsuled.condition import Condition
from capsuled.engine import Engine
from capsuled.examine import tail_proof
from capsuled.layout import hosted
from capsuled.startup import open_memory, open_side_log
from capsuled.updates.beside import engine_beside, numbered_apart
from capsuled.updates.noted import stands_in
from capsuled.updates.reading_in import read_in
from journal.clock import SystemClock
from journal.entry import LOCAL, SYSTEM
from journal.environment import Environment, hold
from journal.events import CallAccepted, OperatorEnrolled, UpdateBegun
from journal.reader import Reader
from journal.sequencer import Draft
from journal.writer import Journal
from projections.encoding import encode_state
from projections.fold import FOLD_VERSION, fold
from projections.state import Machine

KEY, OTHER = "ab" * 32, "cd" * 32
KID = "K" * 43
ENTRIES = 3_000
"""More than the newest thousand, in which a start has always looked for damage."""


async def _live(directory: Path, snapshot_at: int) -> None:
    """One operator, then a long life; a snapshot at that entry, 0 for none."""
    journal, machine = Journal(Environment(directory), SystemClock()), Machine()

    def append(draft: Draft, count: int) -> None:
        for header, event in journal.append([draft] * count):
            fold(machine, header, event)
            if header.seq == snapshot_at:
                journal.save_snapshot(FOLD_VERSION, header.seq, partial(encode_state, machine.fork()))

    append(Draft(OperatorEnrolled(kid=KID, public_key=KEY, operator="joe", role="reader"), SYSTEM), 1)
    for _ in range(0, ENTRIES, 50):
        append(Draft(CallAccepted("Test.Call", call_id="x" * 30), LOCAL), 50)
    await journal.close()


def _overwrite(directory: Path, database: str) -> None:
    """Another key in every value of `database` that has one, as a flipped page would have it."""
    environment, changed = Environment(directory), 0
    with environment.lmdb.begin(write=True) as txn, txn.cursor(environment.db[database]) as cursor:
        for key, value in [(bytes(key), bytes(value)) for key, value in cursor]:
            if KEY.encode() in value:
                txn.put(key, value.replace(KEY.encode(), OTHER.encode()), db=environment.db[database])
                changed += 1
    environment.close()
    assert changed == 1


def _started(
    directory: Path, slot: str = "", words: list[str] | None = None, read_only: str = ""
) -> tuple[Condition, str, str, int]:
    """(condition, its message, the operator's key, the snapshot gone by) of a start. `words` gets one for each that it
    says on its way."""
    told: list[str] = [] if words is None else words

    async def main() -> tuple[Condition, str, str, int]:
        with hold(directory):
            proof = tail_proof(directory, lambda: told.append("proves"))
            memory = await open_memory(
                directory, SystemClock(), proof, read_only, slot, proceeds=lambda: told.append("folds")
            )
            key = memory.machine.operators[KID].public_key if memory.machine.operators else ""
            if memory.journal is not None:
                await memory.journal.close()
            elif memory.environment is not None:
                memory.environment.close()
        return memory.state.condition, memory.state.message, key, memory.snapshot_seq

    return asyncio.run(main())


@pytest.mark.parametrize("snapshot_at", [0, 1_500])
def test_what_is_whole_starts(tmp_path: Path, snapshot_at: int) -> None:
    asyncio.run(_live(tmp_path / "journal", snapshot_at))
    assert _started(tmp_path / "journal") == (Condition.OK, "", KEY, snapshot_at)


def test_an_entry_altered_far_back_is_damage(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    asyncio.run(_live(directory, 0))
    _overwrite(directory, "facts")
    condition, message, key, _ = _started(directory)
    assert condition is Condition.DAMAGED and key == "", "nothing behind the altered entry is proven"
    assert "the body of entry 1 (operator.enrolled) is not the one its header was written for" in message


@pytest.mark.parametrize("read_only", ["", "it ended 5 times in a row"])
def test_a_journal_that_lost_its_name_is_damage_and_no_new_one_is_begun(tmp_path: Path, read_only: str) -> None:
    """As where the file system's check found it and nobody's name for it. In rescue, too."""
    directory = tmp_path / "journal"
    asyncio.run(_live(directory, 0))
    (directory / "lost+found").mkdir()
    (directory / "data.mdb").rename(directory / "lost+found/#13")
    condition, message, key, _ = _started(directory, read_only=read_only)
    assert condition is Condition.DAMAGED and key == "" and not (directory / "data.mdb").exists()
    assert "left #13 in lost+found, which may be it: no new one is begun" in message and "What runs goes on" in message
    (directory / "lost+found/#13").rename(directory / "data.mdb")
    assert _started(directory)[:3] == (Condition.OK, "", KEY), "what is told to be done helps"


@pytest.mark.parametrize("read_only", ["", "it ended 5 times in a row"])
def test_a_journal_without_its_store_is_damage_and_what_is_left_of_it_stays_as_it_is(
    tmp_path: Path, read_only: str
) -> None:
    directory, aside = tmp_path / "journal", tmp_path / "aside"
    asyncio.run(_live(directory, 0))
    front = (directory / "front.log").read_bytes()
    (directory / "data.mdb").rename(aside)
    condition, message, key, _ = _started(directory, read_only=read_only)
    assert condition is Condition.DAMAGED and key == "" and not (directory / "data.mdb").exists()
    assert "whose data.mdb is gone: no new one is begun" in message and "What runs goes on" in message
    assert (directory / "front.log").read_bytes() == front
    aside.rename(directory / "data.mdb")
    assert _started(directory)[:3] == (Condition.OK, "", KEY), "what is told to be done helps"


def test_where_nobody_has_a_shell_damage_is_mended_from_another_system(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    asyncio.run(_live(directory, 0))
    _overwrite(directory, "facts")
    hosted_says, os_says = _started(directory)[1], _started(directory, "slot_a")[1]
    assert f"`capsulectl journal verify --dir {directory}`" in hosted_says and "another system" not in hosted_says
    assert "journal export FILE" in os_says and "from another system" in os_says and "--dir" not in os_says


def test_an_altered_snapshot_is_left_and_the_entries_are_folded(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    asyncio.run(_live(directory, 1_500))
    _overwrite(directory, "snapshots")
    assert _started(directory) == (Condition.OK, "", KEY, 0)


def test_an_altered_snapshot_does_not_hide_what_is_altered_before_it(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    asyncio.run(_live(directory, 1_500))
    _overwrite(directory, "snapshots")
    _overwrite(directory, "facts")
    assert _started(directory)[0] is Condition.DAMAGED


def test_between_the_snapshot_and_the_newest_thousand_everything_is_proven(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    asyncio.run(_live(directory, 1_500))
    environment = Environment(directory)
    place = (1_600).to_bytes(8, "big")
    with environment.lmdb.begin(write=True) as txn:
        value = txn.get(place, db=environment.db["facts"])
        assert value is not None
        txn.put(place, bytes(value).replace(b"x" * 30, b"y" * 30), db=environment.db["facts"])
    environment.close()
    condition, message, _, _ = _started(directory)
    assert condition is Condition.DAMAGED and "the body of entry 1600" in message


def test_what_lies_before_a_whole_snapshot_is_found_when_it_is_asked_for(tmp_path: Path) -> None:
    """A start does not read it: the snapshot was folded from it when it was whole."""
    from capsuled.examine import verify_apart

    directory = tmp_path / "journal"
    asyncio.run(_live(directory, 1_500))
    _overwrite(directory, "facts")
    assert _started(directory) == (Condition.OK, "", KEY, 1_500)
    assert asyncio.run(verify_apart(directory)).findings[0].seq == 1
    reader = Reader.open(directory)
    assert reader.snapshot(FOLD_VERSION) is not None
    reader.close()


def test_a_start_says_as_it_proves_and_folds_that_it_comes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What PID 1 hears of a daemon that has everything to fold, as after an update."""
    monkeypatch.setattr("capsuled.memory.STRIDE_ENTRIES", 500)
    directory, words = tmp_path / "journal", list[str]()
    asyncio.run(_live(directory, 0))
    assert _started(directory, words=words)[0] is Condition.OK
    assert words[0] == "proves" and words[-ENTRIES // 500 :] == ["folds"] * (ENTRIES // 500)
    words.clear()
    _overwrite(directory, "facts")
    assert _started(directory, words=words)[0] is Condition.DAMAGED
    assert words[-1] == "folds", "what is still proven of a damaged one takes as long"


def test_what_was_noted_while_the_journals_disk_was_missing_is_found_when_it_is_there_again(tmp_path: Path) -> None:
    layout = hosted(tmp_path)
    layout.journal.mkdir()
    pushed = UpdateBegun("slot_b", "0.0.3", "ccc", 3, "slot_a", "0.0.1", "aaa")

    async def noted() -> int:
        memory = await open_memory(layout.journal, clock := SystemClock(), _proof(), "its disk cannot be used")
        side_log = open_side_log(layout.side_log)
        assert memory.reader is None and side_log is not None
        known, nothing = numbered_apart(memory.machine, clock), stands_in(None)
        engine = engine_beside(known, (), side_log, nothing, memory.why, clock, "slot_a", frozenset())
        number = engine.record((pushed,))
        side_log.close()
        return number

    async def told(number: int) -> None:
        memory = await open_memory(layout.journal, SystemClock(), _proof())
        side_log = open_side_log(layout.side_log)
        assert memory.journal is not None and memory.reader is not None and side_log is not None
        engine = Engine(memory.journal, memory.machine, SystemClock(), frozenset())
        read = await read_in(engine, side_log, stands_in(memory.reader))
        side_log.forget(read.told)
        assert engine.machine.updates[number].version == "0.0.3" and side_log.count() == 0
        assert number > memory.journal.seq, "an update of the journal's own has another number"
        side_log.close()
        await memory.journal.close()

    number = asyncio.run(noted())
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", layout.journal], check=True)
    try:
        asyncio.run(told(number))
    finally:
        subprocess.run(["umount", layout.journal], check=True)


async def _proof() -> None:
    """There is nothing to prove."""
