"""Drafts become entries: dense sequence numbers, salts, hashes, the chain. No I/O; the store below may be any.

The writer thread and the simulator's store both stand on this, so what is proven of one order holds for the other.
"""

import os
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec

from journal.codec import encode
from journal.entry import SALT_BYTES, Actor, Header, encode_header, pack
from journal.events import Event, type_of

THIS_BATCH = -1
"""As a draft's `cause` or `call`: the first entry of its own batch."""


class Draft(msgspec.Struct, frozen=True):
    """An event that wants to become an entry. `cause` and `call` are seqs, 0 for none, THIS_BATCH for the batch's first."""

    event: Event
    actor: Actor
    cause: int = 0
    call: int = 0


class Stamp(msgspec.Struct, frozen=True):
    """When and by what a batch is written; read from the clock once for all of its entries."""

    at: int
    boot: str
    mono: int
    release: str
    slot: str


class Batch(msgspec.Struct, frozen=True):
    """Entries that are committed together or not at all."""

    first_seq: int
    last_seq: int
    at: int
    headers: tuple[Header, ...]


class PendingEntry(msgspec.Struct, frozen=True):
    """An entry with its number, still without hashes: those are made off the caller's path."""

    seq: int
    stamp: Stamp
    draft: Draft
    cause: int
    call: int


def number(drafts: Sequence[Draft], first_seq: int, stamp: Stamp) -> list[PendingEntry]:
    """Give `drafts` their numbers."""
    return [
        PendingEntry(
            seq=first_seq + offset,
            stamp=stamp,
            draft=draft,
            cause=_own(draft.cause, first_seq, first_seq + offset),
            call=_own(draft.call, first_seq, 0),
        )
        for offset, draft in enumerate(drafts)
    ]


def _own(reference: int, first_seq: int, self_seq: int) -> int:
    if reference != THIS_BATCH:
        return reference
    return 0 if self_seq == first_seq else first_seq


class Salts:
    """Random salts, drawn in bulk: one system call serves 256 entries."""

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._pool = b""
        self._at = 0

    def next(self) -> bytes:
        """Sixteen bytes that no other entry has."""
        if self._at >= len(self._pool):
            self._pool, self._at = self._source(256 * SALT_BYTES), 0
        self._at += SALT_BYTES
        return self._pool[self._at - SALT_BYTES : self._at]


class Chain:
    """The head of one chain; `link` makes the next stored value."""

    def __init__(self, seq: int, prev: bytes, salts: Salts) -> None:
        self.seq = seq
        self.prev = prev
        self._salts = salts

    def link(self, pending: PendingEntry) -> tuple[bytes, bytes]:
        """The key and the stored value of the entry that follows the head; the head moves on."""
        assert pending.seq == self.seq + 1, "entries must be linked in their order"
        draft, stamp = pending.draft, pending.stamp
        body = encode(draft.event)
        salt = self._salts.next()
        header_bytes = encode_header(
            Header(
                pending.seq,
                stamp.at,
                stamp.boot,
                stamp.mono,
                stamp.release,
                stamp.slot,
                draft.actor,
                pending.cause,
                pending.call,
                type_of(draft.event),
                draft.event.VERSION,
                draft.event.EFFECT,
                sha256(salt + body).digest(),
                self.prev,
            )
        )
        self.prev = sha256(header_bytes).digest()
        self.seq = pending.seq
        return pending.seq.to_bytes(8, "big"), pack(header_bytes, salt, body)
