"""Events to bytes and back, over releases: upcasters for old versions, and what this release can read at all.

An unknown `may` entry decodes to None: kept, skipped. An unknown `must` entry raises UnknownMust: a release that
does not fully understand the state must not act on it (design, invariant 9).
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Any

import msgspec

from journal.entry import SALT_BYTES, UNREADABLE, Header, Stored, check, decode_header, unpack
from journal.events import EVENT_TYPES, Event, type_of

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes the body of one version, as plain data, to the next version. Pure."""


class UnknownMust(Exception):
    """Raised on an entry that changes the state in a way this release does not know: freeze."""

    def __init__(self, header: Header) -> None:
        super().__init__(
            f"entry {header.seq} is a {header.type} (version {header.version}), written by release "
            f"{header.release}, which this release cannot read: only a newer release may act on this state. "
            f"Start capsuled {header.release} or later; until then what runs goes on, and reads and export work"
        )
        self.header = header


class UnknownBase(Exception):
    """Raised on a base that was folded from what this release cannot read: freeze, as at the entry itself."""

    def __init__(self, seq: int, name: str, version: int) -> None:
        super().__init__(
            f"the state that history begins with, behind entry {seq}, was folded from a {name} (version {version}), "
            "which this release cannot read: only a newer release may act on this state. Start that capsuled again; "
            "until then what runs goes on, and reads and export work"
        )


class BrokenChain(Exception):
    """Raised on an entry that is not the one its chain wants."""


class BadBody(Exception):
    """Raised on a body that its own type cannot hold."""


UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""By (type, version it reads). Empty: no event has changed its meaning yet."""

_TYPES: dict[str, type[Event]] = {type_of(kind): kind for kind in EVENT_TYPES}
_DECODE: dict[int, dict[str, Callable[[bytes], Event]]] = {}
for _tag, _kind in _TYPES.items():
    _DECODE.setdefault(_kind.VERSION, {})[_tag] = msgspec.msgpack.Decoder(_kind).decode
"""By version, then by type: two look-ups are quicker than one by a pair that has to be made first."""
_NOT_STRAIGHT: tuple[type[Exception], ...] = (KeyError, IndexError, *UNREADABLE)
"""What stops a value from being read straight away: it is then read step by step, and what is wrong gets its name."""

_encoder = msgspec.msgpack.Encoder()


def encode(event: Event) -> bytes:
    """The body of `event`: a msgpack map, defaults left out."""
    return _encoder.encode(event)


def decode(stored: Stored) -> Event | None:
    """The event of an entry, in this release's own form; None for an excised body or an unknown `may`.

    Raises UnknownMust and BadBody.
    """
    header = stored.header
    decode_body = _DECODE.get(header.version, {}).get(header.type)
    try:
        if decode_body is not None:
            return decode_body(stored.body) if stored.body else None
        return _decode_other(header, stored.body)
    except UNREADABLE as error:
        raise BadBody(f"the body of entry {header.seq} ({header.type}) cannot be read: {error}") from error


def read(value: bytes) -> tuple[Header, Event | None]:
    """Header and event straight from a stored value: what a fold needs, without what only a proof needs.

    Raises MalformedEntry, UnknownMust and BadBody.
    """
    try:
        end = 2 + (value[0] << 8 | value[1])
        header = decode_header(value[2:end])
        return header, _DECODE[header.version][header.type](value[end + SALT_BYTES :])
    except _NOT_STRAIGHT:
        stored = unpack(value)
        return stored.header, decode(stored)


def read_proven(values: Iterable[bytes], seq: int, link: bytes) -> Iterator[tuple[Header, Event | None]]:
    """The same of values that must be a chain: entry `seq` and those after it, behind `link`.

    Raises BrokenChain besides, with the words of `check`.
    """
    for value in values:
        try:
            end = 2 + (value[0] << 8 | value[1])
            header_bytes = value[2:end]
            header = decode_header(header_bytes)
            event: Event | None = _DECODE[header.version][header.type](value[end + SALT_BYTES :])
            fits = header.seq == seq and header.prev == link and sha256(value[end:]).digest() == header.body_hash
        except _NOT_STRAIGHT:
            fits = False
        if not fits:
            stored = unpack(value)
            wrong = check(stored, seq, link)
            if wrong is not None:
                raise BrokenChain(wrong)
            header, header_bytes, event = stored.header, stored.header_bytes, decode(stored)
        yield header, event
        seq, link = seq + 1, sha256(header_bytes).digest()


def check_needs(seq: int, needs: Iterable[tuple[str, int]]) -> None:
    """Whether this release reads each of these events, by type and version, from which a base at `seq` was folded.
    Raises UnknownBase."""
    for name, version in needs:
        kind = _TYPES.get(name)
        if name not in _DECODE.get(version, {}) and (kind is None or version > kind.VERSION):
            raise UnknownBase(seq, name, version)


def _decode_other(header: Header, body: bytes) -> Event | None:
    kind = _TYPES.get(header.type)
    version = header.version
    if kind is not None and version < kind.VERSION and body:
        plain = msgspec.msgpack.decode(body)
        while version < kind.VERSION:
            plain = UPCASTERS[header.type, version](plain)
            version += 1
        return msgspec.convert(plain, kind)
    if header.effect_on_state == "must" and body:
        raise UnknownMust(header)
    return None


def plain(stored: Stored) -> dict[str, Any]:
    """The body as plain data, for people and indexes, also of types this release does not know. Total: {} if it was
    excised, and if it is no map or cannot be read, which `decode` and `journal verify` tell as what it is."""
    try:
        body = msgspec.msgpack.decode(stored.body) if stored.body else {}
    except UNREADABLE:
        return {}
    return body if isinstance(body, dict) else {}


def reader_level() -> dict[str, int]:
    """Every event type this release reads, with the highest version: what an update is checked against."""
    return {tag: kind.VERSION for tag, kind in _TYPES.items()}
