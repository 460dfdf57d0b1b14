"""What a directory must be to hold a journal, and what is said when it does not."""

import os
from collections.abc import Callable
from pathlib import Path

import lmdb
import pytest

from journal.environment import FIRST_MAP_BYTES, Environment, hold, is_begun
from journal.errors import ForeignDirectory, JournalDamaged, JournalLocked, UnknownFormat
from journal.reader import Reader
from tests.support.entries import live_once


def test_a_new_journal_has_a_name_of_its_own_for_life(tmp_path: Path) -> None:
    one, two = Environment(tmp_path / "one"), Environment(tmp_path / "two")
    assert one.journal_id != two.journal_id and len(one.journal_id) == 16 and one.genesis != two.genesis
    one.close()
    two.close()
    again = Environment(tmp_path / "one", journal_id=b"not asked for it")
    assert (again.journal_id, again.genesis) == (one.journal_id, one.genesis)
    again.close()
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o700


def test_a_journal_of_a_newer_format_is_not_touched(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    with environment.lmdb.begin(write=True) as txn:
        txn.put(b"format", b"7", db=environment.db["meta"])
    environment.close()
    for opened in (lambda: Environment(tmp_path), lambda: Reader.open(tmp_path)):
        with pytest.raises(UnknownFormat, match="has format 7; this release knows up to 4"):
            opened()
    with hold(tmp_path):
        pass  # the failed opens gave the directory free


def test_a_journal_of_the_first_format_gets_a_front_log_and_is_closed_to_who_would_not_read_it(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    with environment.lmdb.begin(write=True) as txn:
        txn.put(b"format", b"1", db=environment.db["meta"])
    assert environment.mark == b"" and environment.tail.view().last == 0
    environment.close()
    live_once(tmp_path)
    reader = Reader.open(tmp_path)
    assert (reader.meta(b"format"), len(reader.meta(b"front") or b"")) == (b"2", 16)
    reader.close()


def test_an_environment_of_somebody_else_is_named_and_left_alone(tmp_path: Path) -> None:
    other = lmdb.open(str(tmp_path), max_dbs=2)
    with other.begin(write=True) as txn:
        txn.put(b"key", b"value")
    other.close()
    before = (tmp_path / "data.mdb").read_bytes()
    with pytest.raises(ForeignDirectory, match="not a journal of Capsule's"):
        Reader.open(tmp_path)
    assert (tmp_path / "data.mdb").read_bytes() == before


def test_one_directory_has_one_owner_at_a_time(tmp_path: Path) -> None:
    with hold(tmp_path / "new"):
        with pytest.raises(JournalLocked):
            Environment(tmp_path / "new")
        assert os.listdir(tmp_path / "new") == ["owner.lock"]
    Environment(tmp_path / "new").close()


def test_the_map_has_room_before_it_is_needed(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    assert environment.map_bytes == FIRST_MAP_BYTES and environment.used_bytes < FIRST_MAP_BYTES // 100
    environment.make_room(FIRST_MAP_BYTES // 2)
    assert environment.map_bytes == FIRST_MAP_BYTES
    environment.make_room(FIRST_MAP_BYTES)
    assert environment.map_bytes == 2 * FIRST_MAP_BYTES
    environment.close()


def check_of_the_file_system_found(directory: Path, name: str = "#13") -> None:
    (directory / "lost+found").mkdir(parents=True)
    (directory / "lost+found" / name).write_bytes(b"somebody's")


def test_what_the_file_systems_check_found_is_its_own_and_the_journal_beside_it_is_opened(tmp_path: Path) -> None:
    Environment(tmp_path).close()
    check_of_the_file_system_found(tmp_path)
    with hold(tmp_path):
        Environment(tmp_path, held=True).close()
    Reader.open(tmp_path).close()
    assert (tmp_path / "lost+found/#13").read_bytes() == b"somebody's"


def test_a_new_file_systems_root_takes_a_new_journal(tmp_path: Path) -> None:
    (tmp_path / "lost+found").mkdir()
    with hold(tmp_path):
        Environment(tmp_path, held=True).close()
    assert is_begun(tmp_path) and os.listdir(tmp_path / "lost+found") == []


def test_where_the_journal_itself_may_have_lost_its_name_no_new_one_is_begun(tmp_path: Path) -> None:
    assert not is_begun(tmp_path)
    check_of_the_file_system_found(tmp_path)
    assert is_begun(tmp_path)
    with hold(tmp_path):
        for opened in (lambda: Environment(tmp_path, held=True), lambda: Reader.open(tmp_path)):
            with pytest.raises(JournalDamaged, match=r"left #13 in lost\+found, which may be it: no new one is begun"):
                opened()
    assert set(os.listdir(tmp_path)) == {"lost+found", "owner.lock"}
    with pytest.raises(JournalDamaged):
        Environment(tmp_path)
    (tmp_path / "lost+found/#13").unlink()
    Environment(tmp_path).close()  # it gave the directory free, and what is told to be done helps


@pytest.mark.parametrize("gone", [(), ("head",), ("front.log",)])
def test_where_data_mdb_is_gone_from_beside_what_only_a_journal_has_no_new_one_is_begun(
    tmp_path: Path, gone: tuple[str, ...]
) -> None:
    directory, aside = tmp_path / "journal", tmp_path / "aside"
    live_once(directory)
    (directory / "data.mdb").rename(aside)
    for name in gone:
        (directory / name).rename(tmp_path / name)
    left = {path.name: path.read_bytes() for path in directory.iterdir()}
    assert is_begun(directory)
    for opened in (Environment, Reader.open):
        with pytest.raises(JournalDamaged, match=r"whose data.mdb is gone: no new one is begun.* Put data.mdb back"):
            opened(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == left
    for name in gone:
        (tmp_path / name).rename(directory / name)
    aside.rename(directory / "data.mdb")
    reader = Reader.open(directory)
    assert not reader.misfit(), "what is told to be done helps"
    reader.close()


def test_a_new_journal_has_its_name_on_the_disk_before_there_is_anything_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a power cut might leave what is refused for ever."""
    synced: list[set[str]] = []
    monkeypatch.setattr("journal.environment.sync_directory", lambda there: synced.append(set(os.listdir(there))))
    live_once(tmp_path)
    live_once(tmp_path)
    assert len(synced) == 1 and "data.mdb" in synced[0] and not synced[0] & {"front.log", "head"}


@pytest.mark.parametrize("made", [Path.touch, lambda path: path.symlink_to(path.parent)])
def test_what_only_has_the_name_of_lost_and_found_is_foreign(tmp_path: Path, made: Callable[[Path], None]) -> None:
    made(tmp_path / "lost+found")
    with pytest.raises(ForeignDirectory, match=r"holds lost\+found"), hold(tmp_path):
        pass
