"""Events to bytes and back, over releases: upcasters for old versions, and what this release can read at all.

An unknown `may` entry decodes to None: kept, skipped. An unknown `must` entry raises UnknownMust: a release that
does not fully understand the state must not act on it (design, invariant 9).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from journal.entry import UNREADABLE, Header, Stored
from journal.events import EVENT_TYPES, Event, type_of

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
"""Takes the body of one version, as plain data, to the next version. Pure."""


class UnknownMust(Exception):
    """Raised on an entry that changes the state in a way this release does not know: freeze."""

    def __init__(self, header: Header) -> None:
        super().__init__(
            f"entry {header.seq} is a {header.type} (version {header.version}), written by release "
            f"{header.release}, which this release cannot read: only a newer release may act on this state"
        )
        self.header = header


class BadBody(Exception):
    """Raised on a body that its own type cannot hold."""


UPCASTERS: dict[tuple[str, int], Upcaster] = {}
"""By (type, version it reads). Empty: no event has changed its meaning yet."""

_TYPES: dict[str, type[Event]] = {type_of(kind): kind for kind in EVENT_TYPES}
_DECODERS: dict[tuple[str, int], msgspec.msgpack.Decoder[Any]] = {
    (tag, kind.VERSION): msgspec.msgpack.Decoder(kind) for tag, kind in _TYPES.items()
}
_encoder = msgspec.msgpack.Encoder()


def encode(event: Event) -> bytes:
    """The body of `event`: a msgpack map, defaults left out."""
    return _encoder.encode(event)


def decode(stored: Stored) -> Event | None:
    """The event of an entry, in this release's own form; None for an excised body or an unknown `may`.

    Raises UnknownMust and BadBody.
    """
    header = stored.header
    decoder = _DECODERS.get((header.type, header.version))
    try:
        if decoder is not None:
            return decoder.decode(stored.body) if stored.body else None
        return _decode_other(header, stored.body)
    except UNREADABLE as error:
        raise BadBody(f"the body of entry {header.seq} ({header.type}) cannot be read: {error}") from error


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
