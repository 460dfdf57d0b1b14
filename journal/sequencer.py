"""Drafts become entries: dense sequence numbers, salts, hashes, the chain. No I/O; the store below may be any.

The writer and the simulator's store both stand on this, so what is proven of one order holds for the other.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple

import msgspec

from journal.codec import encode
from journal.entry import SALT_BYTES, Actor, Header
from journal.events import Event, type_of

THIS_BATCH = -1
"""As a draft's `cause` or `call`: the first entry of its own batch."""


class Draft(msgspec.Struct, frozen=True, gc=False):
    """An event that wants to become an entry. `cause` and `call` are seqs, 0 for none, or THIS_BATCH."""

    event: Event
    actor: Actor
    cause: int = 0
    call: int = 0


class Stamp(NamedTuple):
    """When and by what a batch is written; read from the clock once for all of its entries."""

    at: int
    boot: str
    mono: int
    release: str
    slot: str


Placed = tuple[Header, Event]
"""An entry in its place, for whoever folds it. The header's two hashes are left empty: they are the store's."""


class Batch(NamedTuple):
    """One append, linked: the entries as they are folded, and their values as they are stored."""

    entries: list[Placed]
    values: list[bytes]


def pairs_of(first: int, values: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Entries `first` and on as a database of LMDB's holds them: big-endian keys, so that order is theirs."""
    return ((seq.to_bytes(8, "big"), value) for seq, value in enumerate(values, first))


def bodies_of(drafts: Sequence[Draft]) -> list[bytes]:
    """The drafts' bodies. A step of its own: how much a batch will take is judged before anything is linked."""
    return [encode(draft.event) for draft in drafts]


class Chain:
    """The head of one chain; `link` makes the next entries. `salts` gives so many random bytes."""

    def __init__(self, seq: int, prev: bytes, salts: Callable[[int], bytes] = os.urandom) -> None:
        self.seq = seq
        self.prev = prev
        self._salts = salts

    def link(self, drafts: Sequence[Draft], bodies: Sequence[bytes], stamp: Stamp) -> Batch:
        """Number, salt, hash and chain `drafts` in one pass; the head moves on.

        This loop is what an entry costs, so a header is put together from parts, and those that neighbours share are
        encoded once: half of the cost was encoding every header whole. A test proves the bytes to be `encode_header`'s.
        """
        at, boot, mono, release, slot = stamp
        stamped = _encoded(*stamp)
        first, prev = self.seq + 1, self.prev
        salts, salt_at = self._salts(SALT_BYTES * len(bodies)), 0
        batch = entries, values = Batch([], [])
        shared: tuple[object, ...] = ()
        for seq, (draft, body) in enumerate(zip(drafts, bodies, strict=True), first):
            event, actor, cause, call = draft.event, draft.actor, draft.cause, draft.call
            if cause == THIS_BATCH:
                cause = 0 if seq == first else first
            if call == THIS_BATCH:
                call = first
            if (type(event), actor, cause, call) != shared:
                shared = type(event), actor, cause, call
                tag, version, effect = type_of(event), event.VERSION, event.EFFECT
                middle = stamped + _encoded(actor, cause, call, tag, version, effect) + _HASH
            salted = salts[salt_at : salt_at + SALT_BYTES] + body
            salt_at += SALT_BYTES
            header = b"".join((_ARRAY, _encode(seq), middle, sha256(salted).digest(), _HASH, prev))
            prev = sha256(header).digest()
            values.append(b"".join((len(header).to_bytes(2, "big"), header, salted)))
            placed = Header(
                seq, at, boot, mono, release, slot, actor, cause, call, tag, version, effect, b"", b""
            )  # fmt: skip
            entries.append((placed, event))
        self.seq, self.prev = self.seq + len(bodies), prev
        return batch


# msgpack: an array as long as a header, and 32 bytes of binary.
_ARRAY = bytes([0x90 | len(Header.__struct_fields__)])
_HASH = b"\xc4\x20"
_encode = msgspec.msgpack.Encoder().encode


def _encoded(*parts: object) -> bytes:
    """The parts one after another: an array's, without its own first byte, which up to 15 need."""
    return _encode(parts)[1:]
