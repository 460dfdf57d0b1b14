"""Drafts get their numbers: dense, in order, and what refers to its own batch refers to its first entry."""

from collections.abc import Sequence

import pytest

from journal.entry import EFFECT, LOCAL, SYSTEM, Header
from journal.events import CallAccepted, CallRead, DaemonStopped, Event, WorkloadStopRequested
from journal.sequencer import THIS_BATCH, Draft, Salts, Stamp, number

STAMP = Stamp(at=5, boot="boot-1", mono=6, release="0.0.1", slot="slot_a")
STOP = WorkloadStopRequested("web", 3)


def headers(drafts: Sequence[Draft], first_seq: int) -> list[Header]:
    return [header for header, _ in number(drafts, first_seq, STAMP)]


def test_numbers_are_dense_and_begin_where_they_are_told() -> None:
    assert [header.seq for header in headers([Draft(STOP, LOCAL)] * 3, 41)] == [41, 42, 43]
    assert number([], 41, STAMP) == []


def test_a_batch_has_one_stamp_and_each_entry_its_own_event() -> None:
    events: list[Event] = [CallAccepted("Test.Call"), STOP, CallRead("Test.Get")]
    placed = number([Draft(event, LOCAL) for event in events], 1, STAMP)
    assert [event for _, event in placed] == events
    assert {(one.at, one.boot, one.mono, one.release, one.slot) for one, _ in placed} == {
        (5, "boot-1", 6, "0.0.1", "slot_a")
    }
    assert [(one.type, one.version, one.effect_on_state) for one, _ in placed] == [
        ("call.accepted", 1, "must"),
        ("workload.stop_requested", 1, "must"),
        ("call.read", 1, "may"),
    ]


def test_a_calls_entries_are_tied_to_the_first_of_the_batch() -> None:
    drafts = [Draft(CallAccepted("Stop"), LOCAL, call=THIS_BATCH), Draft(STOP, LOCAL, THIS_BATCH, THIS_BATCH)]
    assert [(one.cause, one.call) for one in headers(drafts, 8)] == [(0, 8), (8, 8)]


def test_nothing_is_its_own_cause() -> None:
    (header,) = headers([Draft(STOP, LOCAL, cause=THIS_BATCH)], 8)
    assert header.cause == 0


def test_a_cause_of_earlier_days_is_kept() -> None:
    drafts = [Draft(STOP, EFFECT, cause=3), Draft(DaemonStopped("asked to"), SYSTEM, cause=0, call=2)]
    assert [(one.cause, one.call, one.actor) for one in headers(drafts, 8)] == [(3, 0, EFFECT), (0, 2, SYSTEM)]


def test_no_salt_is_given_twice() -> None:
    calls: list[int] = []

    def source(size: int) -> bytes:
        calls.append(size)
        return bytes([len(calls)]) * 8 + b"".join(n.to_bytes(8, "big") for n in range(size // 8 - 1))

    salts = Salts(source)
    drawn = [salts.next() for _ in range(1_000)]
    assert {len(salt) for salt in drawn} == {16}
    assert Salts().next() != Salts().next()
    assert len(calls) < 10, "salts are drawn in bulk"


@pytest.mark.parametrize("count", [1, 255, 256, 257])
def test_salts_over_the_edge_of_a_bulk_are_whole(count: int) -> None:
    salts = Salts()
    assert len({salts.next() for _ in range(count)}) == count
