"""A base says what it was folded from: a release that cannot read that is frozen there, though the entry itself is gone."""

import io
import re
from pathlib import Path

import pytest

from capsulectl.errors import Failure
from capsulectl.folding import Folding
from capsuled.beginning import needed
from capsuled.memory import recall, replay_journal
from capsuled.updates import level
from journal import archive
from journal.entry import MalformedEntry, Stored
from journal.environment import Environment
from journal.events import CallRead, JournalCheckpointed, VolumeRemoved, WorkloadStopRequested
from journal.reader import BASE_KEY, Reader
from journal.retention import go_on, set_base
from journal.snapshot import Snapshot, pack_snapshot
from projections.encoding import encode_base, encode_state, needs_of
from projections.state import Machine
from tests.support.entries import JOURNAL_ID, Ledger, keep

STRANGE = "workload.teleported"


def cut_by_a_newer_release(directory: Path, strange: bool, content: bytes | None = None) -> Stored:
    """Entries up to the third are cut; what the state was folded from there stands in the base, or `content`."""
    made = Ledger()
    made.add(WorkloadStopRequested("web", 1))
    if strange:
        made.forge(STRANGE, {"name": "web"}, version=3)
    else:
        made.add(VolumeRemoved("data", 1))
    for name in ("a", "b", "c"):
        made.add(CallRead(name))
    keep(directory, made.entries)
    environment = Environment(directory)
    third = made.entries[2]
    base = encode_base(Machine(seq=3), needed(Reader(environment), 3)) if content is None else content
    set_base(environment, Snapshot(3, third.hash, base), cut=True, excised=())
    go_on(environment)
    environment.close()
    return third


def test_what_a_base_was_folded_from_is_needed_after_it_is_cut(tmp_path: Path) -> None:
    cut_by_a_newer_release(tmp_path, strange=True)
    reader = Reader.open(tmp_path)
    assert reader.first_seq() == 4 and reader.needs() == {}
    assert needed(reader) == (("workload.stop_requested", 1), (STRANGE, 3))
    assert level.standing(reader)[:2] == needed(reader)
    told = rf"behind entry 3, was folded from a {STRANGE} \(version 3\)"
    recalled = recall(reader)
    assert recalled.machine.seq == 3 and re.search(told, recalled.frozen_by)
    with pytest.raises(Failure, match=told):
        Folding(archive.Archive(io.BytesIO(b"".join(archive.export(reader, JOURNAL_ID))))).all_of_it()
    replayed, machine = replay_journal(reader)
    assert replayed.problem == recalled.frozen_by and machine.seq == 3
    reader.close()


def test_a_base_of_what_is_known_goes_on(tmp_path: Path) -> None:
    cut_by_a_newer_release(tmp_path, strange=False)
    reader = Reader.open(tmp_path)
    recalled = recall(reader)
    assert (recalled.machine.seq, recalled.frozen_by) == (5, "")
    assert needed(reader) == (("volume.removed", 1), ("workload.stop_requested", 1))
    reader.close()


def test_an_earlier_base_said_nothing_of_it_and_a_later_form_of_the_state_is_not_looked_at() -> None:
    assert needs_of(encode_state(Machine(seq=3))) == ()
    assert needs_of(b"\x82\xa5needs\x91\x92\xa1x\x02\xa9workloads\xc3") == (("x", 2),)


def test_a_base_says_nothing_of_what_came_behind_it(tmp_path: Path) -> None:
    made = Ledger()
    made.add(WorkloadStopRequested("web", 1))
    made.forge(STRANGE, {"name": "web"})
    keep(tmp_path, made.entries)
    reader = Reader.open(tmp_path)
    assert needed(reader, 1) == (("workload.stop_requested", 1),)
    assert needed(reader) == (("workload.stop_requested", 1), (STRANGE, 1))
    reader.close()


def test_an_archive_that_has_lost_what_it_begins_with_tells_nothing_before_the_base_that_it_has(tmp_path: Path) -> None:
    """As it was left by a release that knew of one base alone."""
    third = cut_by_a_newer_release(tmp_path, strange=False)
    environment = Environment(tmp_path)
    reader = Reader(environment)
    fifth = reader.get(5)
    assert fifth is not None and third.header.seq == 3
    base = Snapshot(5, fifth.hash, encode_base(Machine(seq=5), needed(reader, 5)))
    with environment.lmdb.begin(write=True) as txn:
        txn.put(BASE_KEY, (5).to_bytes(8, "big") + pack_snapshot(base), db=environment.db["meta"])
    environment.close()
    behind = Ledger(first_seq=6, first_prev=fifth.hash)
    behind.add(JournalCheckpointed(5, 1, "ab", fifth.hash.hex()))
    keep(tmp_path, behind.entries)
    reader = Reader.open(tmp_path)
    content = b"".join(archive.export(reader, JOURNAL_ID))
    reader.close()

    def told(to: int) -> int:
        return Folding(archive.Archive(io.BytesIO(content)), to).all_of_it().seq

    assert (told(0), told(5)) == (6, 5)
    with pytest.raises(
        Failure, match="the state that this entry stands on is not kept: nothing can be told before entry 5"
    ):
        told(4)
    with pytest.raises(Failure, match=r"the archive begins at entry 4$"):
        told(2)


@pytest.mark.parametrize(
    "content", [b"\x78\x01another coding", b"\x81\xa5needs\x03", b"\x82\xa5needs\x91\x92\xa1x\x02\xa9workloads\xc3"]
)
def test_a_base_of_which_the_state_cannot_be_known_is_damage_and_what_stands_in_the_entries_is_needed(
    tmp_path: Path, content: bytes
) -> None:
    """Not frozen: a frozen daemon knows its state, the keys that sign updates among it."""
    cut_by_a_newer_release(tmp_path, strange=True, content=content)
    reader = Reader.open(tmp_path)
    with pytest.raises(MalformedEntry, match="the state that history begins with cannot be read"):
        recall(reader)
    assert set(level.standing(reader)) >= set(level.forms())
    reader.close()


def test_beside_a_damaged_base_what_stands_in_the_entries_is_needed(tmp_path: Path) -> None:
    cut_by_a_newer_release(tmp_path, strange=True)
    environment = Environment(tmp_path)
    with environment.lmdb.begin(write=True) as txn:
        txn.put(BASE_KEY, b"no base", db=environment.db["meta"])
    reader = Reader(environment)
    with pytest.raises(MalformedEntry):
        recall(reader)
    assert level.standing(reader) == level.forms()
    environment.close()
