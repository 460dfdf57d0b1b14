"""Snapshots as they are stored: a folded state, the entry it stands on, and a hash over both.

    32 bytes SHA-256 of (seq | head hash | content)  |  32 bytes hash of entry `seq`  |  content

A snapshot is a cache of the entries. What was altered, or stands on an entry that is no longer there, is none.
"""

import hashlib

import msgspec

from journal.entry import HASH_BYTES


class Snapshot(msgspec.Struct, frozen=True):
    """A state as of entry `seq`, whose own hash is `head`; `content` is the fold's business."""

    seq: int
    head: bytes
    content: bytes


def pack_snapshot(snapshot: Snapshot) -> bytes:
    """The stored value."""
    return _digest(snapshot) + snapshot.head + snapshot.content


def unpack_snapshot(seq: int, value: bytes) -> Snapshot | None:
    """The snapshot that was stored under `seq`, or None when these bytes are not the ones that were."""
    digest, head = value[:HASH_BYTES], value[HASH_BYTES : 2 * HASH_BYTES]
    snapshot = Snapshot(seq, head, value[2 * HASH_BYTES :])
    return snapshot if len(head) == HASH_BYTES and digest == _digest(snapshot) else None


def _digest(snapshot: Snapshot) -> bytes:
    hashed = hashlib.sha256(snapshot.seq.to_bytes(8, "big") + snapshot.head)
    hashed.update(snapshot.content)
    return hashed.digest()
