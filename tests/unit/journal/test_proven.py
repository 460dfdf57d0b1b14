"""A reader that keeps to what was proven: nothing behind it is touched, and no index is believed."""

from pathlib import Path

from journal.environment import Environment
from journal.proven import ProvenReader
from tests.support.entries import keep, ledger, live_once, seqs

COUNT, PROVEN = 60, 40


def reader(directory: Path) -> ProvenReader:
    keep(directory, ledger(COUNT).entries)
    live_once(directory)
    return ProvenReader(Environment(directory, readonly=True), PROVEN)


def test_nothing_behind_what_was_proven_is_shown(tmp_path: Path) -> None:
    made = reader(tmp_path / "journal")
    last = made.last()
    assert last is not None and last.header.seq == PROVEN
    assert made.get(PROVEN) is not None and made.get(PROVEN + 1) is None
    assert seqs(made.entries()) == list(range(1, PROVEN + 1))
    assert seqs(made.entries(30, 50)) == list(range(30, PROVEN + 1))
    assert seqs(made.newest(5)) == list(range(PROVEN - 4, PROVEN + 1))
    assert seqs(made.newest(5, before=20)) == list(range(16, 21))
    assert list(made.entries(stream="audit")) == [] and made.last("audit") is None and made.newest(3, "audit") == []
    made.close()


def test_what_indexes_would_find_is_found_by_looking(tmp_path: Path) -> None:
    made = reader(tmp_path / "journal")
    entries = list(made.entries())
    tag = entries[-1].header.type
    of_type = [stored.header.seq for stored in entries if stored.header.type == tag]
    assert made.cursor() == 0
    assert seqs(made.of_type(tag)) == of_type and seqs(made.newest_of_type(tag)) == of_type[::-1]
    assert sum(made.types().values()) == made.count("facts") == PROVEN
    assert made.snapshots() == () and made.snapshot(1) is None and made.count("audit") == 0
    made.close()
