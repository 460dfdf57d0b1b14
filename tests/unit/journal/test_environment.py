"""What a directory must be to hold a journal, and what is said when it does not."""

import os
from pathlib import Path

import lmdb
import pytest

from journal.environment import FIRST_MAP_BYTES, Environment, hold
from journal.errors import ForeignDirectory, JournalLocked, UnknownFormat
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
        with pytest.raises(UnknownFormat, match="has format 7; this release knows up to 3"):
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
