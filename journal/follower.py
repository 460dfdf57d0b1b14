"""The follower: indexes by object, type and call, and snapshots of the fold, behind the entries on its own cursor.

It lags on purpose: an index put into every transaction that moves entries would double the disk's work. A reader takes
the index up to the cursor and scans the few entries behind it.
"""

import lmdb

from journal.entry import unpack
from journal.environment import CURSOR_KEY, Environment
from journal.reader import BASE_KEY, Reader, index_prefix, objects_in
from journal.snapshot import Snapshot, pack_snapshot
from journal.space import COMMIT_BYTES
from journal.strides import kept

LAG_ENTRIES = 4_096
FAR_ENTRIES = 65_536
CHUNK_ENTRIES = 1_024
OTHERS_KEPT = 2
"""Of so many other fold versions the newest one stays: the system that an update has replaced may have to start again,
and would fold everything."""
DROPPED_AT_ONCE = 16
"""Their pages are told of in the transaction that frees them, which has to fit into what is left of a full disk."""


class Follower:
    """Runs on the mover's thread, in transactions of its own."""

    def __init__(self, environment: Environment, reader: Reader) -> None:
        self._env = environment
        self._reader = reader
        self._cursor = reader.cursor()

    def behind(self, seq: int) -> bool:
        """Whether a worthwhile number of entries up to `seq` waits for an idle moment."""
        return seq - self._cursor > LAG_ENTRIES

    def far_behind(self, seq: int) -> bool:
        """Whether even a busy writer must let the follower work, or readers would scan for long."""
        return seq - self._cursor > FAR_ENTRIES

    def advance(self, seq: int) -> bool:
        """Index the next chunk of entries up to `seq`, in one transaction. False when there was none."""
        upto = min(seq, self._cursor + CHUNK_ENTRIES)
        if upto <= self._cursor:
            return False
        by_type: list[bytes] = []
        by_call: list[bytes] = []
        by_object: list[bytes] = []
        for stored in self._reader.entries(self._cursor + 1, upto):
            header = stored.header
            seq_key = header.seq.to_bytes(8, "big")
            by_type.append(index_prefix(header.type) + seq_key)
            if header.call:
                by_call.append(index_prefix(str(header.call)) + seq_key)
            by_object.extend(index_prefix(name) + seq_key for name in objects_in(stored))
        self._env.make_room(8 * CHUNK_ENTRIES * 128)
        with self._env.lmdb.begin(write=True) as txn:
            for name, keys in (("by_type", by_type), ("by_call", by_call), ("by_object", by_object)):
                with txn.cursor(self._env.db[name]) as cursor:
                    cursor.putmulti((key, b"") for key in sorted(keys))  # in order, a leaf is touched once
            txn.put(CURSOR_KEY, upto.to_bytes(8, "big"), db=self._env.db["follower"])
        self._cursor = upto
        return True

    def save_snapshot(self, fold_version: int, seq: int, encoded: bytes) -> None:
        """Keep the newest few snapshots of this fold version, and of its others one a stride (journal/strides.py); of
        other versions the newest. Entry `seq` is written."""
        self._env.make_room(2 * len(encoded) + COMMIT_BYTES)
        with self._env.lmdb.begin(write=True) as txn:
            self._put_snapshot(txn, fold_version, seq, encoded)

    def _put_snapshot(self, txn: lmdb.Transaction, fold_version: int, seq: int, encoded: bytes) -> None:
        database = self._env.db["snapshots"]
        base = txn.get(BASE_KEY, db=self._env.db["meta"])
        if base is not None and seq < int.from_bytes(bytes(base[:8]), "big"):
            return  # it was on its way while history was cut, and may hold of what is gone
        prefix, place = fold_version.to_bytes(4, "big"), seq.to_bytes(8, "big")
        stands_on = txn.get(place, db=self._env.db["facts"])
        assert stands_on is not None, "a snapshot is taken behind the entries that it stands on"
        snapshot = Snapshot(seq, unpack(bytes(stands_on)).hash, encoded)
        txn.put(prefix + place, pack_snapshot(snapshot), db=database)
        with txn.cursor(database) as cursor:
            keys = [bytes(key) for key in cursor.iternext(values=False)]
        stay = kept(int.from_bytes(key[4:], "big") for key in keys if key.startswith(prefix))
        newest_of = {key[:4]: key for key in keys if not key.startswith(prefix)}
        others = sorted(newest_of.values(), key=lambda key: key[4:])[-OTHERS_KEPT:]
        for key in set(keys) - {prefix + seq.to_bytes(8, "big") for seq in stay} - set(others):
            txn.delete(key, db=database)

    def drop_spare(self) -> bool:
        """Let go of a few snapshots, the oldest first; of each fold version the newest stays, with which the next start
        begins. False when there was none to let go of: then all pages of those before may be used again."""
        self._env.make_room(COMMIT_BYTES)
        with self._env.lmdb.begin(write=True) as txn:
            database = self._env.db["snapshots"]
            with txn.cursor(database) as cursor:
                keys = [bytes(key) for key in cursor.iternext(values=False)]
            newest = {key[:4]: key for key in keys}
            spare = [key for key in keys if key != newest[key[:4]]]
            for key in spare[:DROPPED_AT_ONCE]:
                txn.delete(key, db=database)
            # Something is written in any case: what a transaction frees is not the next one's, but the one's behind it.
            txn.put(CURSOR_KEY, self._cursor.to_bytes(8, "big"), db=self._env.db["follower"])
        return bool(spare)
