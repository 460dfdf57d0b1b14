"""Reading the journal: by seq, by object, by type, by call. Transactions are short; nothing is held over a wait.

The facts are what LMDB holds, and what the tail holds behind it (journal/tail.py): nobody has to wait, or to write,
until the newest have been moved. The tail is always looked at first, for entries only go from there to LMDB.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, islice, takewhile
from pathlib import Path
from typing import Any, cast

import lmdb
import msgspec

from journal.codec import plain
from journal.entry import UNREADABLE, MalformedEntry, Stored, unpack
from journal.environment import CURSOR_KEY, Environment
from journal.snapshot import Snapshot, unpack_snapshot
from journal.tail import View

CHUNK = 512
FIRST_CHUNK = 16
"""Chunks grow from this: most scans are for a handful of entries."""
LAST = (1 << 64) - 1
PREFIX_BYTES = 400
BASE_KEY = b"base"
CUT_KEY = b"cut"
FORMER_PREFIX = b"base/"
_NO_TAIL = View(())


def objects_of(body: dict[str, Any]) -> tuple[str, ...]:
    """The objects that an entry speaks of, from its plain body: by these `history NAME` finds it."""
    names = [body.get("name"), body.get("object"), body.get("host")]
    names.extend(_listed(body, "objects"))
    names.extend(_listed(body, "refs"))
    names.extend(item.get("name") for item in _listed(body, "items") if isinstance(item, dict))
    pins = (image.get("pin") for image in _listed(body, "images") if isinstance(image, dict))
    names.extend(pin.get("ref") for pin in pins if isinstance(pin, dict))
    # A newer release may mean something else by these words: what is no text is no object's name.
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name))


def _listed(body: dict[str, Any], field: str) -> list[Any]:
    value = body.get(field)
    return value if isinstance(value, list) else []


def index_prefix(text: str) -> bytes:
    """What stands before the seq in an index. Cut, for LMDB takes no key beyond 511 bytes and a name that was refused
    for its length is remembered too: what is found under a key is looked at before it is believed."""
    return text.encode()[:PREFIX_BYTES] + b"\0"


class _Item(msgspec.Struct, frozen=True, gc=False):
    name: str = ""


class _Pin(msgspec.Struct, frozen=True, gc=False):
    ref: str = ""


class _Image(msgspec.Struct, frozen=True, gc=False):
    pin: _Pin = _Pin()


class _Named(msgspec.Struct, frozen=True, gc=False):
    """The fields that `objects_of` looks at, of any event."""

    name: str = ""
    object: str = ""
    host: str = ""
    objects: tuple[str, ...] = ()
    items: tuple[_Item, ...] = ()
    refs: tuple[str, ...] = ()
    images: tuple[_Image, ...] = ()


_named = msgspec.msgpack.Decoder(_Named)


def objects_in(stored: Stored) -> tuple[str, ...]:
    """The same of a stored entry, for many of them: all but the names is skipped, which is several times as fast."""
    if not stored.body:
        return ()
    try:
        body = _named.decode(stored.body)
    except UNREADABLE:
        return objects_of(plain(stored))
    names = (
        *(body.name, body.object, body.host),
        *(*body.objects, *body.refs),
        *(item.name for item in body.items),
        *(image.pin.ref for image in body.images),
    )
    return tuple(dict.fromkeys(filter(None, names)))


class Reader:
    """Reads one environment, from the daemon itself or from another process while the daemon runs."""

    breaks_off = False
    """Whether more entries may follow the last that it reads."""

    def __init__(self, environment: Environment) -> None:
        self._env = environment

    @classmethod
    def open(cls, directory: Path) -> "Reader":
        """A reader of its own on the journal in `directory`. Raises JournalError."""
        return cls(Environment(directory, readonly=True))

    def close(self) -> None:
        """Close the environment of a reader that was made by `open`."""
        self._env.close()

    @property
    def journal_id(self) -> bytes:
        """What names the journal."""
        return self._env.journal_id

    @property
    def genesis(self) -> bytes:
        """The link that the first entry's `prev` equals."""
        return self._env.genesis

    def get(self, seq: int, stream: str = "facts") -> Stored | None:
        """Entry `seq`."""
        tail = self._tail(stream)
        with self._env.map_guard, self._begin() as txn:
            value = txn.get(seq.to_bytes(8, "big"), db=self._env.db[stream])
        if value is None:
            value = tail.get(seq)
        return None if value is None else unpack(bytes(value))

    def last(self, stream: str = "facts") -> Stored | None:
        """The newest entry."""
        tail = self._tail(stream)
        with self._env.map_guard, self._begin() as txn, txn.cursor(self._env.db[stream]) as cursor:
            moved = int.from_bytes(cursor.key(), "big") if cursor.last() else 0
            value = bytes(cursor.value()) if moved >= tail.last else tail.get(tail.last)
        return unpack(value) if value else None

    def first_seq(self, stream: str = "facts") -> int:
        """Where history begins; 0 when there is none. What was cut from it had been moved before: where nothing was, it
        begins with entry 1, also when the tail does not hold that one whole. What is to be cut is no history any more,
        though its last part may be there for a while."""
        tail = self._tail(stream)
        with self._env.map_guard, self._begin() as txn, txn.cursor(self._env.db[stream]) as cursor:
            first = int.from_bytes(cursor.key(), "big") if cursor.first() else min(1, tail.first)
            goes = txn.get(CUT_KEY, db=self._env.db["meta"]) if stream == "facts" else None
        return max(first, int.from_bytes(goes, "big") + 1) if goes else first

    def entries(self, first: int = 1, last: int = LAST, stream: str = "facts") -> Iterator[Stored]:
        """Entries `first` to `last`, in order."""
        return map(unpack, self.values(first, last, stream))

    def values(self, first: int = 1, last: int = LAST, stream: str = "facts") -> Iterator[bytes]:
        """The same as they are stored, for those who read them in a way of their own."""
        return chain.from_iterable(self._values(stream, first, last))

    def _values(self, stream: str, first: int, last: int) -> Iterator[list[bytes]]:
        """In chunks, without their keys: seqs are dense, so how many there are up to `last` is known beforehand."""
        size = FIRST_CHUNK
        while (most := last - first + 1) > 0:
            wanted, tail = min(size, most), self._tail(stream)
            with self._env.map_guard, self._begin() as txn, txn.cursor(self._env.db[stream]) as cursor:
                if cursor.set_range(first.to_bytes(8, "big")):
                    chunk = list(islice(cast("Iterator[bytes]", cursor.iternext(keys=False)), wanted))
                    if not cursor.key():  # read to the end
                        cursor.last()
                    reached = int.from_bytes(cursor.key(), "big")
                else:
                    chunk, reached = [], first - 1
            if reached > last:  # history begins behind `first`, or entries are missing
                found = list(self._scan(stream, first.to_bytes(8, "big"), last.to_bytes(8, "big")))
                yield [value for _, value in found]
                return
            yield chunk
            first, size = reached + 1, min(size * 4, CHUNK)
            if len(chunk) < wanted:
                yield tail.between(first, last)
                return

    def newest(self, count: int, stream: str = "facts", before: int = LAST) -> list[Stored]:
        """The newest `count` entries up to `before`, oldest of them first."""
        key, tail, ahead = before.to_bytes(8, "big"), self._tail(stream), list[bytes]()
        with self._env.map_guard, self._begin() as txn, txn.cursor(self._env.db[stream]) as cursor:
            placed = cursor.set_range(key)
            if not placed:
                moved, upto = int.from_bytes(cursor.key(), "big") if cursor.last() else 0, min(before, tail.last)
                ahead = tail.between(max(moved, upto - count) + 1, upto)
            if cursor.key() and (not placed or cursor.key() == key or cursor.prev()):
                found = list(islice(cast("Iterator[bytes]", cursor.iterprev(keys=False)), count - len(ahead)))
            else:
                found = []
        return list(map(unpack, (*reversed(found), *ahead)))

    def entries_back(self, last: int = LAST, stream: str = "facts") -> Iterator[Stored]:
        """Entries from `last` back to the first."""
        size = FIRST_CHUNK
        while page := self.newest(size, stream, last):
            yield from reversed(page)
            last, size = page[0].header.seq - 1, min(size * 4, CHUNK)

    def base(self, upto: int = LAST) -> Snapshot | None:
        """What a fold up to `upto` begins with, where it is not the empty state: the state after an entry that was cut,
        or behind one whose content was removed. Raises MalformedEntry when it is not as it was stored."""
        value = self.meta(BASE_KEY)
        if value is not None and int.from_bytes(value[:8], "big") > upto:
            former = next(self._scan_back("meta", FORMER_PREFIX, FORMER_PREFIX + upto.to_bytes(8, "big")), None)
            value = None if former is None else self.meta(former)
        if value is None:
            return None
        base = unpack_snapshot(int.from_bytes(value[:8], "big"), value[8:])
        if base is None:
            raise MalformedEntry("the state that history begins with is not as it was stored")
        return base

    def base_seqs(self) -> tuple[int, ...]:
        """The entries behind which a fold can begin with a base, the oldest first. Their states are not read."""
        former = self._scan("meta", FORMER_PREFIX, FORMER_PREFIX + b"\xff" * 8)
        newest = self.meta(BASE_KEY)
        places = [int.from_bytes(key[len(FORMER_PREFIX) :], "big") for key, _ in former]
        return tuple(places if newest is None else (*places, int.from_bytes(newest[:8], "big")))

    def beginnings(self) -> tuple[tuple[int, ...], int]:
        """The bases' entries, and the first of history: what another call says once something was cut or removed."""
        return self.base_seqs(), self.first_seq()

    def misfit(self) -> str:
        """What is wrong with the front log, in words; empty when nothing is. Entries that are missing before it are
        found by whoever reads them all."""
        tail, last = self._env.tail, self.last()
        return tail.problem or tail.cut(0 if last is None else last.header.seq)

    def cursor(self) -> int:
        """Up to which entry the follower has come."""
        return int.from_bytes(self.meta(CURSOR_KEY, "follower") or b"", "big")

    def of_object(self, name: str, first: int = 1, last: int = LAST) -> Iterator[Stored]:
        """Entries that speak of the object, in order."""
        return self._found("by_object", name, first, last, lambda stored: name in objects_in(stored))

    def of_type(self, tag: str, first: int = 1, last: int = LAST) -> Iterator[Stored]:
        """Entries of one type, in order."""
        return self._found("by_type", tag, first, last, lambda stored: stored.header.type == tag)

    def newest_of_object(self, name: str, last: int = LAST) -> Iterator[Stored]:
        """Entries that speak of the object, the newest first."""
        return self._found_back("by_object", name, last, lambda stored: name in objects_in(stored))

    def newest_of_type(self, tag: str, last: int = LAST) -> Iterator[Stored]:
        """Entries of one type, the newest first."""
        return self._found_back("by_type", tag, last, lambda stored: stored.header.type == tag)

    def of_call(self, seq: int) -> Iterator[Stored]:
        """Entries that were written in one call's transaction, the call's own first."""
        return self._found("by_call", str(seq), seq, LAST, lambda stored: stored.header.call == seq)

    def _found(self, index: str, key: str, first: int, last: int, test: Callable[[Stored], bool]) -> Iterator[Stored]:
        """What the index knows, then what stands behind the follower's cursor, looked through one by one."""
        cursor = self.cursor()
        prefix = index_prefix(key)
        upto = min(last, cursor)
        if first <= upto:
            for found, _ in self._scan(index, prefix + first.to_bytes(8, "big"), prefix + upto.to_bytes(8, "big")):
                stored = self.get(int.from_bytes(found[-8:], "big"))
                if stored is not None and test(stored):
                    yield stored
        for stored in self.entries(max(first, cursor + 1), last):
            if test(stored):
                yield stored

    def _found_back(self, index: str, key: str, last: int, test: Callable[[Stored], bool]) -> Iterator[Stored]:
        """As `_found`, from the end backwards."""
        cursor = self.cursor()
        behind = takewhile(lambda stored: stored.header.seq > cursor, self.entries_back(last))
        yield from filter(test, behind)
        prefix = index_prefix(key)
        for found in self._scan_back(index, prefix, prefix + min(last, cursor).to_bytes(8, "big")):
            stored = self.get(int.from_bytes(found[-8:], "big"))
            if stored is not None and test(stored):
                yield stored

    def meta(self, key: bytes, database: str = "meta") -> bytes | None:
        """A value of a small database."""
        with self._env.map_guard, self._begin() as txn:
            value = txn.get(key, db=self._env.db[database])
        return None if value is None else bytes(value)

    def count(self, database: str) -> int:
        """How many pairs a database holds, or entries a stream."""
        tail = self._tail(database)
        with self._env.map_guard, self._begin() as txn, txn.cursor(self._env.db[database]) as cursor:
            held = int(txn.stat(self._env.db[database])["entries"])
            moved = int.from_bytes(cursor.key(), "big") if tail.last and cursor.last() else 0
        return held + len(tail.between(moved + 1, tail.last))

    def types(self) -> dict[str, int]:
        """How many entries there are of each type."""
        counts: Counter[str] = Counter()
        for key, _ in self._scan("by_type", b"", b"\xff"):
            counts[key[:-9].decode()] += 1
        counts.update(stored.header.type for stored in self.entries(self.cursor() + 1))
        return dict(sorted(counts.items()))

    def needs(self, upto: int = LAST) -> dict[str, int]:
        """What a release must read to know what the entries up to `upto` mean: types of those that change the state,
        each with the version of its newest. What a base was folded from, that tells itself."""
        newest = (next(self.newest_of_type(name, upto), None) for name in self.types())
        headers = (stored.header for stored in newest if stored is not None)
        return {header.type: header.version for header in headers if header.effect_on_state == "must"}

    def snapshots(self, fold_version: int | None = None) -> tuple[int, ...]:
        """The entries at which snapshots stand, of one fold version or of any. Their contents are not read: they are
        megabytes each."""
        prefix = b"" if fold_version is None else fold_version.to_bytes(4, "big")
        keys = self._scan_back("snapshots", prefix, prefix + b"\xff" * 12)
        return tuple(reversed([int.from_bytes(key[4:], "big") for key in keys]))

    def snapshot(self, fold_version: int, upto: int = LAST) -> Snapshot | None:
        """The newest snapshot of this fold version at or before `upto` that is as it was stored and stands on the
        entry that is there."""
        prefix = fold_version.to_bytes(4, "big")
        for key in self._scan_back("snapshots", prefix, prefix + upto.to_bytes(8, "big")):
            snapshot = unpack_snapshot(int.from_bytes(key[4:], "big"), self.meta(key, "snapshots") or b"")
            if snapshot is not None and self._stands(snapshot):
                return snapshot
        return None

    def _stands(self, snapshot: Snapshot) -> bool:
        try:
            stored = self.get(snapshot.seq)
        except MalformedEntry:
            return False
        return stored is not None and stored.hash == snapshot.head

    def _scan(self, database: str, start: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Pairs from `start` to `end`, read in chunks so that no transaction outlives a yield."""
        size = FIRST_CHUNK
        while True:
            with self._env.map_guard, self._begin() as txn, txn.cursor(self._env.db[database]) as cursor:
                pairs = cast("Iterator[tuple[bytes, bytes]]", iter(cursor))
                chunk = list(islice(pairs, size)) if cursor.set_range(start) else []
            for pair in chunk:
                if pair[0] > end:
                    return
                yield pair
            if len(chunk) < size:
                return
            start, size = chunk[-1][0] + b"\0", min(size * 4, CHUNK)

    def _scan_back(self, database: str, start: bytes, end: bytes) -> Iterator[bytes]:
        """Keys from `end` down to `start`, in chunks as `_scan`."""
        below = False  # the first chunk may begin with `end` itself, each other below the last one's last
        while True:
            chunk: list[bytes] = []
            with self._env.map_guard, self._begin() as txn, txn.cursor(self._env.db[database]) as cursor:
                placed = cursor.set_range(end)
                at_end = placed and not below and bytes(cursor.key()) == end
                more = at_end or (cursor.prev() if placed else cursor.last())
                while more and len(chunk) < CHUNK and bytes(cursor.key()) >= start:
                    chunk.append(bytes(cursor.key()))
                    more = cursor.prev()
            yield from chunk
            if len(chunk) < CHUNK:
                return
            end, below = chunk[-1], True

    def _tail(self, stream: str) -> View:
        return self._env.tail.view() if stream == "facts" else _NO_TAIL

    def _begin(self) -> lmdb.Transaction:
        try:
            return self._env.lmdb.begin()
        except lmdb.MapResizedError:
            self._env.lmdb.set_mapsize(0)  # the daemon's map has grown: take over its size
            return self._env.lmdb.begin()
        except lmdb.ReadersFullError:
            self._env.lmdb.reader_check()  # some of them may be dead
        try:
            return self._env.lmdb.begin()
        except lmdb.ReadersFullError as error:
            raise self._env.busy() from error
