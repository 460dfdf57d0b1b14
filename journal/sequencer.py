"""Drafts become entries: dense sequence numbers, salts, hashes, the chain. No I/O; the store below may be any.

The writer thread and the simulator's store both stand on this, so what is proven of one order holds for the other.
"""

import os
from collections.abc import Callable, Sequence
from hashlib import sha256

import msgspec

from journal.entry import SALT_BYTES, Actor, Header, pack
from journal.events import Event, type_of

THIS_BATCH = -1
"""As a draft's `cause` or `call`: the first entry of its own batch."""


class Draft(msgspec.Struct, frozen=True):
    """An event that wants to become an entry. `cause` and `call` are seqs, 0 for none, or THIS_BATCH."""

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


Placed = tuple[Header, Event]
"""An entry with its place, before it is linked: the header's two hashes are still empty."""


def number(drafts: Sequence[Draft], first_seq: int, stamp: Stamp) -> list[Placed]:
    """Give `drafts` their numbers, in order, from `first_seq`."""
    numbered: list[Placed] = []
    for seq, draft in enumerate(drafts, first_seq):
        event, cause, call = draft.event, draft.cause, draft.call
        if cause == THIS_BATCH:
            cause = 0 if seq == first_seq else first_seq
        if call == THIS_BATCH:
            call = first_seq
        header = Header(
            seq,
            stamp.at,
            stamp.boot,
            stamp.mono,
            stamp.release,
            stamp.slot,
            draft.actor,
            cause,
            call,
            type_of(event),
            event.VERSION,
            event.EFFECT,
            b"",
            b"",
        )
        numbered.append((header, event))
    return numbered


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
    """The head of one chain; `link` makes the next stored value.

    A header's bytes are put together from parts that are encoded once (a batch's stamp, an actor, a type): encoding
    every header whole was half of an entry's cost. A test proves them equal to what `encode_header` reads back.
    """

    def __init__(self, seq: int, prev: bytes, salts: Salts) -> None:
        self.seq = seq
        self.prev = prev
        self._salts = salts
        self._stamp: tuple[int, int] = (-1, -1)
        self._stamp_bytes = b""
        self._actors: dict[Actor, bytes] = {}
        self._types: dict[tuple[str, int], bytes] = {}

    def link(self, header: Header, body: bytes) -> tuple[bytes, bytes]:
        """The key and the stored value of the entry that follows the head; the head moves on."""
        seq = header.seq
        assert seq == self.seq + 1, "entries must be linked in their order"
        if (header.at, header.mono) != self._stamp:
            self._stamp = header.at, header.mono
            self._stamp_bytes = _joined(header.at, header.boot, header.mono, header.release, header.slot)
        actor = self._actors.get(header.actor)
        if actor is None:
            actor = self._actors[header.actor] = _joined(header.actor)
        kind = self._types.get((header.type, header.version))
        if kind is None:
            kind = _joined(header.type, header.version, header.effect_on_state)
            self._types[header.type, header.version] = kind
        salt = self._salts.next()
        key = seq.to_bytes(8, "big")
        header_bytes = b"".join(
            (
                _ARRAY_AND_INT,
                key,
                self._stamp_bytes,
                actor,
                _INT,
                header.cause.to_bytes(8, "big"),
                _INT,
                header.call.to_bytes(8, "big"),
                kind,
                _HASH,
                sha256(salt + body).digest(),
                _HASH,
                self.prev,
            )
        )
        self.prev = sha256(header_bytes).digest()
        self.seq = seq
        return key, pack(header_bytes, salt, body)


# msgpack: an array of 14, an unsigned 64-bit integer, 32 bytes of binary.
_INT = b"\xcf"
_ARRAY_AND_INT = b"\x9e" + _INT
_HASH = b"\xc4\x20"
_encoder = msgspec.msgpack.Encoder()


def _joined(*parts: object) -> bytes:
    return b"".join(_encoder.encode(part) for part in parts)
