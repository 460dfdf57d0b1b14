"""One entry of the journal: a header that is stable for ever, and a salted body that can be removed by itself.

Stored form: u16 big-endian header length | header | 16 bytes salt | body. The header is a msgpack array; new fields may
only be appended to it. What is hashed is the header's *stored bytes*, never a re-encoding, so a later encoder cannot
change what was signed. The chain runs over headers: `prev` is the SHA-256 of the header before, and `body_hash` is the
SHA-256 of salt and body. An excised entry has neither salt nor body: the chain still proves all the rest, and because
the salt went too, nobody can test a guess of the removed body against its hash.
"""

import hashlib
from typing import Literal

import msgspec

SALT_BYTES = 16
HASH_BYTES = 32
MAX_HEADER_BYTES = 0xFFFF

ActorKind = Literal["operator", "local", "system", "effect", "installer"]


class Actor(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Who caused an entry: an operator by key id, or a part of the machine itself."""

    kind: ActorKind
    id: str = ""
    name: str = ""
    role: str = ""


SYSTEM = Actor("system")
EFFECT = Actor("effect")
LOCAL = Actor("local", id="local", role="admin")


class Header(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The part of an entry that never changes. Times in nanoseconds; `cause` and `call` are seqs, 0 for none."""

    seq: int
    at: int
    boot: str
    mono: int
    release: str
    slot: str
    actor: Actor
    cause: int
    call: int
    type: str
    version: int
    effect_on_state: Literal["must", "may"]
    body_hash: bytes
    prev: bytes


class Stored(msgspec.Struct, frozen=True, gc=False):
    """An entry as the store has it: bytes for the chain, and the parsed header."""

    header: Header
    header_bytes: bytes
    salt: bytes
    body: bytes

    @property
    def excised(self) -> bool:
        """Whether the body was removed. A body is never empty: it is a msgpack map."""
        return not self.salt and not self.body

    @property
    def hash(self) -> bytes:
        """The link that the next entry's `prev` must equal."""
        return hashlib.sha256(self.header_bytes).digest()


class MalformedEntry(ValueError):
    """The stored bytes are no entry."""


UNREADABLE: tuple[type[Exception], ...] = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""All that msgspec raises on bytes that are not what they should be; text that is no UTF-8 and endless nesting, too."""

_encoder = msgspec.msgpack.Encoder()
decode_header = msgspec.msgpack.Decoder(Header).decode
"""A header from its stored bytes. Raises UNREADABLE."""


def encode_header(header: Header) -> bytes:
    """The bytes that are stored and hashed."""
    return _encoder.encode(header)


def pack(header_bytes: bytes, salt: bytes, body: bytes) -> bytes:
    """The stored value of an entry."""
    return len(header_bytes).to_bytes(2, "big") + header_bytes + salt + body


def unpack(value: bytes) -> Stored:
    """Parse a stored value. Raises MalformedEntry; checks no hash (see `check`)."""
    end = 2 + int.from_bytes(value[:2], "big")
    salted = end + SALT_BYTES
    if len(value) < end or end < len(value) <= salted:
        raise MalformedEntry("the entry is shorter than its own length says")
    header_bytes = value[2:end]
    try:
        header = decode_header(header_bytes)
    except UNREADABLE as error:
        raise MalformedEntry(f"the entry's header cannot be read: {error}") from error
    return Stored(header, header_bytes, value[end:salted], value[salted:])


def hash_body(salt: bytes, body: bytes) -> bytes:
    """What the header holds of the body."""
    return hashlib.sha256(salt + body).digest()


def genesis(journal_id: bytes) -> bytes:
    """The `prev` of the first entry: bound to the journal, so that entries of another one never fit."""
    return hashlib.sha256(b"capsule journal 1\n" + journal_id).digest()


def check(stored: Stored, seq: int, prev: bytes) -> str | None:
    """What is wrong with `stored` as entry `seq` behind the link `prev`, in words; None when it fits."""
    header = stored.header
    if header.seq != seq:
        return f"entry {seq} is missing or out of order: entry {header.seq} stands in its place"
    if header.prev != prev:
        return f"entry {seq} does not follow the one before it: a header was edited, dropped or put in"
    if not stored.excised and hash_body(stored.salt, stored.body) != header.body_hash:
        return f"the body of entry {seq} ({header.type}) is not the one its header was written for"
    return None
