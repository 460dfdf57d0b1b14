"""Bases that were the fold's beginning before the present one: which of them stay beside it.

    meta   base/ u64 seq: as under `base`, see journal/retention.py

A former base tells of the past from its own entry to the first one behind it whose content was removed, which nothing
else can be folded from. In the transaction in which a base becomes a former one, or contents go.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import lmdb
import msgspec

from journal.entry import UNREADABLE, unpack
from journal.environment import Environment
from journal.reader import BASE_KEY, FORMER_PREFIX
from journal.snapshot import Snapshot

FORMER_MOST = 64
"""Each is as large as a state. Of more the oldest goes, and with it the past that it tells of."""


def keep_former(environment: Environment, txn: lmdb.Transaction, base: Snapshot, excised: Sequence[int]) -> bool:
    """Before `base` takes the present one's place, and before what `excised` entries say goes. Whether any stays: those
    do that are older than each of these entries and have nothing of what goes, as of a value that was said before a cut
    and once more behind it."""
    meta, before = environment.db["meta"], min((base.seq, *excised))
    present = bytes(txn.get(BASE_KEY, db=meta) or b"")
    if present:
        txn.put(FORMER_PREFIX + present[:8], present, db=meta)
    words = _going(environment, txn, base, excised)
    keys = _keys(txn, meta)
    stay = [key for key in keys if int.from_bytes(key[len(FORMER_PREFIX) :], "big") < before]
    stay = [key for key in stay if not _has_any(bytes(txn.get(key, db=meta) or b""), words)][-FORMER_MOST:]
    for key in set(keys) - set(stay):
        txn.delete(key, db=meta)
    return bool(stay)


def drop_former(environment: Environment, txn: lmdb.Transaction) -> None:
    """History begins behind all of them."""
    for key in _keys(txn, environment.db["meta"]):
        txn.delete(key, db=environment.db["meta"])


def present_bytes(environment: Environment) -> int:
    """What it takes at most to write the present base once more."""
    with environment.lmdb.begin() as txn:
        return 2 * len(txn.get(BASE_KEY, db=environment.db["meta"]) or b"")


def _keys(txn: lmdb.Transaction, meta: Any) -> list[bytes]:
    with txn.cursor(meta) as cursor:
        if not cursor.set_range(FORMER_PREFIX):
            return []
        return [bytes(key) for key in cursor.iternext(values=False) if bytes(key).startswith(FORMER_PREFIX)]


def _going(environment: Environment, txn: lmdb.Transaction, base: Snapshot, excised: Sequence[int]) -> set[bytes]:
    """The words of these entries, as a state would hold them, that the new base has not: what is to be gone is among
    them, for nothing goes that the state still says. What cannot be read has the empty word, which is in all."""
    words: set[bytes] = set()
    for seq in excised:
        value = txn.get(seq.to_bytes(8, "big"), db=environment.db["facts"])
        body = b"" if value is None else unpack(bytes(value)).body
        try:
            words.update(map(msgspec.msgpack.encode, _words(msgspec.msgpack.decode(body)) if body else ()))
        except UNREADABLE:
            return {b""}
    return {word for word in words if word not in base.content}


def _words(value: object) -> Iterator[str | bytes]:
    match value:
        case str() | bytes():
            if value:
                yield value
        case dict():
            for one in value.values():
                yield from _words(one)
        case list():
            for one in value:
                yield from _words(one)
        case _:
            pass


def _has_any(content: bytes, words: set[bytes]) -> bool:
    return any(word in content for word in words)
