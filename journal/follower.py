"""The follower: indexes by object, type and call, and snapshots of the fold, behind the entries on its own cursor.

It lags on purpose: an index put into the acknowledging transaction halves the journal's speed, and a commit per entry
would double the disk's work. A reader takes the index up to the cursor and scans the few entries behind it.
"""

import lmdb

from journal.codec import plain
from journal.entry import Stored
from journal.environment import Environment
from journal.reader import CURSOR_KEY, Reader, index_prefix, objects_of

LAG_ENTRIES = 4_096
FAR_ENTRIES = 65_536
CHUNK_ENTRIES = 1_024
SNAPSHOTS_KEPT = 3


class Follower:
    """Runs on the writer's thread, in transactions of its own."""

    def __init__(self, environment: Environment, reader: Reader) -> None:
        self._env = environment
        self._reader = reader
        self._cursor = reader.cursor()

    def far_behind(self, seq: int) -> bool:
        """Whether even a busy writer must let the follower work, or readers would scan for long."""
        return seq - self._cursor > FAR_ENTRIES

    def catch_up(self, seq: int, whole: bool = False) -> None:
        """Index entries up to `seq` once a worthwhile number has gathered; `whole`: however few."""
        while seq - self._cursor > (0 if whole else LAG_ENTRIES):
            upto = min(seq, self._cursor + CHUNK_ENTRIES)
            entries = list(self._reader.entries(self._cursor + 1, upto))
            self._env.make_room(8 * CHUNK_ENTRIES * 128)
            with self._env.lmdb.begin(write=True) as txn:
                for stored in entries:
                    self._index(txn, stored)
                txn.put(CURSOR_KEY, upto.to_bytes(8, "big"), db=self._env.db["follower"])
            self._cursor = upto

    def _index(self, txn: lmdb.Transaction, stored: Stored) -> None:
        header = stored.header
        seq = header.seq.to_bytes(8, "big")
        txn.put(index_prefix(header.type) + seq, b"", db=self._env.db["by_type"])
        if header.call:
            txn.put(index_prefix(str(header.call)) + seq, b"", db=self._env.db["by_call"])
        for name in objects_of(plain(stored)):
            txn.put(index_prefix(name) + seq, b"", db=self._env.db["by_object"])

    def save_snapshot(self, txn: lmdb.Transaction, fold_version: int, seq: int, encoded: bytes) -> None:
        """Keep the newest few snapshots of this fold version; those of other versions go."""
        database = self._env.db["snapshots"]
        prefix = fold_version.to_bytes(4, "big")
        txn.put(prefix + seq.to_bytes(8, "big"), encoded, db=database)
        with txn.cursor(database) as cursor:
            keys = [bytes(key) for key in cursor.iternext(values=False)]
        mine = [key for key in keys if key.startswith(prefix)]
        for key in set(keys) - set(mine[-SNAPSHOTS_KEPT:]):
            txn.delete(key, db=database)
