"""The innermost loop: what it puts together by hand is what the encoder writes and the reader proves."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from journal.codec import decode
from journal.entry import EFFECT, LOCAL, SYSTEM, Actor, Header, check, encode_header, genesis, unpack
from journal.events import (
    CallAccepted,
    CallRead,
    CallRefused,
    DaemonStopped,
    EffectFailed,
    Event,
    WorkloadStopRequested,
)
from journal.sequencer import THIS_BATCH, Batch, Chain, Draft, Stamp, bodies_of, pairs_of

STOP = WorkloadStopRequested("web", 3)
START = genesis(b"a journal")
STAMP = Stamp(1_700_000_000_000_000_000, "7b6ad4b0-boot", 123_456_789, "0.0.1", "slot_a")
OPERATOR = Actor("operator", id="kid", name="Zoë", role="admin")
MIXED = (
    Draft(CallAccepted("Test.Call", objects=("web",), login="zoe"), OPERATOR, call=THIS_BATCH),
    Draft(WorkloadStopRequested("web", 7), OPERATOR, cause=THIS_BATCH, call=THIS_BATCH),
    Draft(WorkloadStopRequested("db", 8), OPERATOR, cause=THIS_BATCH, call=THIS_BATCH),
    Draft(CallRefused("Test.Call", "NO", "INVALID_ARGUMENT"), LOCAL),
    Draft(EffectFailed("StartRun", "web", 7, "NO_SPACE", "x" * 300), EFFECT, cause=3),
    Draft(EffectFailed("StartRun", "web", 7, "NO_SPACE", "x" * 300), EFFECT, cause=70_000),
    Draft(EffectFailed("StartRun", "web", 7, "NO_SPACE", "x" * 300), SYSTEM, cause=70_000, call=300),
)


def linked(chain: Chain, *drafts: Draft) -> Batch:
    return chain.link(drafts, bodies_of(drafts), STAMP)


def headers(drafts: Sequence[Draft], first_seq: int) -> list[Header]:
    return [header for header, _ in linked(Chain(first_seq - 1, START), *drafts).entries]


# Numbers change their encoded width at these places.
@pytest.mark.parametrize("before", [0, 125, 253, 65_533, (1 << 32) - 3, (1 << 63) - 1])
def test_headers_put_together_from_parts_are_what_the_encoder_writes(before: int) -> None:
    batch = linked(Chain(before, START), *MIXED)
    for value in batch.values:
        stored = unpack(value)
        assert stored.header_bytes == encode_header(stored.header)


def test_a_batch_follows_the_chain_and_holds_the_bodies_it_was_given() -> None:
    chain = Chain(41, START)
    seq, prev = 42, START
    events: list[Event | None] = []
    for batch in (linked(chain, *MIXED), linked(chain, MIXED[0]), linked(chain, *reversed(MIXED[3:]))):
        for key, value in pairs_of(seq, batch.values):
            stored = unpack(value)
            assert check(stored, seq, prev) is None
            assert key == seq.to_bytes(8, "big")
            seq, prev = seq + 1, stored.hash
            events.append(decode(stored))
    assert (chain.seq, chain.prev) == (seq - 1, prev)
    assert events == [draft.event for draft in (*MIXED, MIXED[0], *reversed(MIXED[3:]))]


def test_what_is_folded_is_what_is_stored_but_for_the_hashes() -> None:
    batch = linked(Chain(9, START), *MIXED)
    stored = [replace(unpack(value).header, body_hash=b"", prev=b"") for value in batch.values]
    assert [header for header, _ in batch.entries] == stored


def test_numbers_are_dense_and_begin_where_they_are_told() -> None:
    assert [header.seq for header in headers([Draft(STOP, LOCAL)] * 3, 41)] == [41, 42, 43]
    assert linked(Chain(40, START)) == ([], [])


def test_a_batch_has_one_stamp_and_each_entry_its_own_event() -> None:
    events: list[Event] = [CallAccepted("Test.Call"), STOP, CallRead("Test.Get")]
    placed = linked(Chain(0, START), *[Draft(event, LOCAL) for event in events]).entries
    assert [event for _, event in placed] == events
    assert {(one.at, one.boot, one.mono, one.release, one.slot) for one, _ in placed} == {tuple(STAMP)}
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


def test_every_entry_has_a_salt_of_its_own_so_equal_bodies_hash_differently() -> None:
    batch = linked(Chain(0, START), *[MIXED[4]] * 300)
    stored = [unpack(value) for value in batch.values]
    assert len({one.body for one in stored}) == 1
    assert len({one.salt for one in stored}) == len({one.header.body_hash for one in stored}) == 300
