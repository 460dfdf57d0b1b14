"""The chain: editing, dropping, inserting, reordering and cutting are each found, and by the entry they begin at."""

from collections.abc import Callable

import pytest

from journal.codec import BrokenChain, decode, read_proven
from journal.entry import Stored, genesis
from journal.events import CallAccepted, JournalExcised
from journal.verify import Report, check_entries
from tests.support.entries import JOURNAL_ID, Ledger, edited, excised, ledger, relinked, value_of, with_body


def proven(entries: list[Stored], first: int = 1, prev: bytes | None = genesis(JOURNAL_ID)) -> Report:
    return check_entries(entries, first, prev)


def test_a_whole_chain_is_proven_to_its_head() -> None:
    entries = ledger(5).entries
    report = proven(entries)
    assert report.whole and (report.checked, report.first_seq, report.head_seq) == (5, 1, 5)
    assert report.head_hash == entries[-1].hash.hex()


def test_an_empty_journal_is_whole() -> None:
    assert proven([]).whole


def _edit_header(entries: list[Stored]) -> list[Stored]:
    return [*entries[:2], edited(entries[2], at=1), *entries[3:]]


def _edit_actor(entries: list[Stored]) -> list[Stored]:
    return [*entries[:2], edited(entries[2], cause=1), *entries[3:]]


def _drop(entries: list[Stored]) -> list[Stored]:
    return entries[:2] + entries[3:]


def _drop_first(entries: list[Stored]) -> list[Stored]:
    return entries[1:]


def _insert(entries: list[Stored]) -> list[Stored]:
    return [*entries[:3], edited(entries[2], seq=4), *entries[3:]]


def _double(entries: list[Stored]) -> list[Stored]:
    return [*entries[:3], *entries[2:]]


def _reorder(entries: list[Stored]) -> list[Stored]:
    return [entries[0], entries[1], entries[3], entries[2], entries[4]]


def _renumber_dropped(entries: list[Stored]) -> list[Stored]:
    return [*entries[:2], *(edited(stored, seq=stored.header.seq - 1) for stored in entries[3:])]


def _edit_body(entries: list[Stored]) -> list[Stored]:
    return [*entries[:2], with_body(entries[2], entries[2].body + b"\x00"), *entries[3:]]


def _other_journal(entries: list[Stored]) -> list[Stored]:
    other = Ledger(journal_id=b"another one's id")
    for _ in entries:
        other.add(CallAccepted("Test.Call"))
    return other.entries


@pytest.mark.parametrize(
    ("change", "seq", "words"),
    [
        (_edit_header, 4, "does not follow"),  # the edited header itself still reads; the next one no longer follows it
        (_edit_actor, 4, "does not follow"),
        (_drop, 3, "entry 4 stands in its place"),
        (_drop_first, 1, "entry 2 stands in its place"),
        (_insert, 4, "does not follow"),
        (_double, 4, "entry 3 stands in its place"),
        (_reorder, 3, "entry 4 stands in its place"),
        (_renumber_dropped, 3, "does not follow"),
        (_edit_body, 3, "is not the one its header was written for"),
        (_other_journal, 1, "does not follow"),
    ],
)
def test_what_was_tampered_with_is_found(change: Callable[[list[Stored]], list[Stored]], seq: int, words: str) -> None:
    report = proven(change(ledger(5).entries))
    (finding,) = report.findings
    assert (finding.seq, words in finding.problem) == (seq, True), finding

    with pytest.raises(BrokenChain, match=words):
        list(read_proven(map(value_of, change(ledger(5).entries)), 1, genesis(JOURNAL_ID)))


def test_a_whole_chain_is_read_as_it_stands_excised_bodies_too() -> None:
    made = ledger(4)
    entries = [made.entries[0], excised(made.entries[1]), *made.entries[2:]]
    read = list(read_proven(map(value_of, entries), 1, genesis(JOURNAL_ID)))
    assert read == [(stored.header, decode(stored)) for stored in entries]
    assert [event is None for _, event in read] == [False, True, False, False]


def test_a_cut_tail_leaves_a_chain_that_fits_and_another_head() -> None:
    entries = ledger(5).entries
    report = proven(entries[:3])
    # The chain alone cannot know; that is why heads are kept elsewhere (test_head_file, test_faults).
    assert report.whole and report.head_seq == 3 and report.head_hash != entries[-1].hash.hex()


def test_a_history_rewritten_from_some_point_on_has_another_head() -> None:
    entries = ledger(5).entries
    forged = [*entries[:2], *relinked(entries[3:], entries[1].hash)]
    forged = [*entries[:2], *relinked([edited(one, seq=3 + n) for n, one in enumerate(forged[2:])], entries[1].hash)]
    report = proven(forged)
    assert report.whole and report.head_hash != entries[-1].hash.hex()


def test_a_ring_begins_where_it_begins() -> None:
    entries = ledger(5).entries
    report = proven(entries[2:], first=3, prev=None)
    assert report.whole and report.first_seq == 3


def test_an_excised_body_that_an_entry_announces_is_whole_and_counted() -> None:
    made = ledger(4)
    made.add(JournalExcised((2, 3), reason="a name"))
    entries = [made.entries[0], excised(made.entries[1]), excised(made.entries[2]), *made.entries[3:]]
    report = proven(entries)
    assert report.whole and report.excised == 2


def test_a_body_that_went_without_a_word_is_found() -> None:
    made = ledger(4)
    made.add(JournalExcised((2,), reason="a name"))
    entries = [made.entries[0], excised(made.entries[1]), excised(made.entries[2]), *made.entries[3:]]
    (finding,) = proven(entries).findings
    assert finding.seq == 3 and "journal.excised" in finding.problem


def test_an_entry_of_a_newer_release_is_counted_and_proven_like_any_other() -> None:
    made = ledger(2)
    made.forge("workload.teleported", {"name": "web"})
    made.forge("weather.noticed", {"sky": "grey"}, "may")
    report = proven(made.entries)
    assert report.whole and report.unreadable == 1


def test_a_body_that_its_own_type_cannot_hold_is_a_finding() -> None:
    made = ledger(1)
    made.forge("workload.stop_requested", {"type": "workload.stop_requested", "name": 5})
    (finding,) = proven(made.entries).findings
    assert "cannot be read" in finding.problem
