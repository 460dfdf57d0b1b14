"""What of the past is kept: a base that the fold begins with, entries cut before it, contents that were removed.

    meta   base: u64 seq | a snapshot (journal/snapshot.py)     the state after entry `seq`, which the fold begins with
           base/ u64 seq: the same                              a former one: see journal/former.py
           cut: u64 seq                                         entries up to this one go, if they have not gone yet
           compact: empty                                       what went may lie in unused pages still

The base is no cache: what it stands for is in no entry any more that can be folded. A `journal.checkpointed` entry, in
the chain behind it, has its hash. A journal that has one is of format 3: a release that does not know it would take the
beginning of what is left for the machine's own. On the mover's thread, in transactions that a crash may fall between.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import lmdb

from journal.durable import settle, sync_directory
from journal.entry import Stored, pack, unpack
from journal.environment import BASE_FORMAT, FORMER_FORMAT, FRONT_LOG, FRONT_MARK, Environment
from journal.former import drop_former, keep_former, present_bytes
from journal.reader import BASE_KEY, CUT_KEY, index_prefix, objects_in
from journal.snapshot import Snapshot, pack_snapshot
from journal.space import COMMIT_BYTES

COMPACT_KEY = b"compact"
BATCH_ENTRIES = 2_000
FEW_ENTRIES = 32
"""A batch where the disk is full. Each may copy the pages that it touches before what it frees can be used again."""
STEP_BYTES = 1 << 20
"""What such a batch takes at most."""
COMPACTED = "data.mdb.compact"


def set_base(environment: Environment, base: Snapshot, cut: bool, excised: Sequence[int]) -> None:
    """From here on the fold begins with `base`; the contents of `excised` entries are gone, and with `cut` all entries
    up to the base are to go (`go_on`). Snapshots from before it, which may hold of what is gone, go too. Without a
    cut the former base may stay for the past that it tells of (journal/former.py)."""
    former_bytes = 0 if cut else present_bytes(environment)
    environment.make_room(2 * len(base.content) + former_bytes + 2 * COMMIT_BYTES)
    seq = base.seq.to_bytes(8, "big")
    with environment.lmdb.begin(write=True) as txn:
        meta = environment.db["meta"]
        former = not cut and keep_former(environment, txn, base, excised)
        if cut:
            drop_former(environment, txn)
        txn.put(BASE_KEY, seq + pack_snapshot(base), db=meta)
        txn.put(b"format", str(FORMER_FORMAT if former else BASE_FORMAT).encode(), db=meta)
        txn.put(COMPACT_KEY, b"", db=meta)
        if cut:
            txn.put(CUT_KEY, seq, db=meta)
        for one in excised:
            _excise(environment, txn, one)
        snapshots = environment.db["snapshots"]
        with txn.cursor(snapshots) as cursor:
            keys = [bytes(key) for key in cursor.iternext(values=False)]
        for key in keys:
            if int.from_bytes(key[4:], "big") < base.seq:
                txn.delete(key, db=snapshots)


def _excise(environment: Environment, txn: lmdb.Transaction, seq: int) -> None:
    """The header stays, with the hash of what was there; nobody can test a guess of that, for the salt goes too."""
    key, facts = seq.to_bytes(8, "big"), environment.db["facts"]
    value = txn.get(key, db=facts)
    if value is None:
        return
    stored = unpack(bytes(value))
    for name in objects_in(stored):
        txn.delete(index_prefix(name) + key, db=environment.db["by_object"])
    txn.put(key, pack(stored.header_bytes, b"", b""), db=facts)


def go_on(environment: Environment) -> None:
    """Cut what is to be cut, with its places in the indexes; a crash on the way leaves a part, which the next start
    finds named."""
    upto = _to_cut(environment)
    while upto and _cut(environment, upto):
        pass


def go_on_in(environment: Environment, room: Callable[[], bool]) -> bool:
    """The same in steps of a few entries, as long as there is `room` for one. False if there was not."""
    upto = _to_cut(environment)
    while upto:
        if not room():
            return False
        if not _cut(environment, upto, FEW_ENTRIES):
            break
    return True


def is_cutting(environment: Environment) -> bool:
    """Whether there is something to be cut still."""
    return _to_cut(environment) > 0


def _to_cut(environment: Environment) -> int:
    with environment.lmdb.begin() as txn:
        return int.from_bytes(txn.get(CUT_KEY, db=environment.db["meta"]) or b"", "big")


def _cut(environment: Environment, upto: int, entries: int = 0) -> bool:
    """A batch of entries; False when none was left."""
    environment.make_room(2 * COMMIT_BYTES)
    with environment.lmdb.begin(write=True) as txn, txn.cursor(environment.db["facts"]) as cursor:
        for _ in range(entries or BATCH_ENTRIES):
            if not cursor.first() or int.from_bytes(cursor.key(), "big") > upto:
                txn.delete(CUT_KEY, db=environment.db["meta"])
                return False
            _unindex(environment, txn, unpack(bytes(cursor.value())))
            cursor.delete()
    return True


def _unindex(environment: Environment, txn: lmdb.Transaction, stored: Stored) -> None:
    header = stored.header
    key = header.seq.to_bytes(8, "big")
    txn.delete(index_prefix(header.type) + key, db=environment.db["by_type"])
    txn.delete(index_prefix(str(header.call)) + key, db=environment.db["by_call"])
    for name in objects_in(stored):
        txn.delete(index_prefix(name) + key, db=environment.db["by_object"])


def wants_compacting(environment: Environment) -> bool:
    """Whether bytes of what went may lie in the files still."""
    with environment.lmdb.begin() as txn:
        return txn.get(COMPACT_KEY, db=environment.db["meta"]) is not None


def compact(environment: Environment) -> None:
    """Write the store anew without its unused pages, and let go of the front log, which has the newest entries as they
    came. Everything was moved, and nobody writes; the environment is closed right after this. That it is done stands
    in what is written anew alone: a crash leaves it to be done. Raises OSError."""
    directory = environment.directory
    target = directory / COMPACTED
    target.unlink(missing_ok=True)
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        environment.lmdb.copyfd(fd, compact=True)
        _unmark(target)
        settle(target, directory / "data.mdb")
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)
    (directory / FRONT_LOG).unlink(missing_ok=True)
    sync_directory(directory)


def _unmark(store: Path) -> None:
    """It is compact, and has no front log. Both its first pages say so: an opening takes the one or the other by what
    its lock counts, which goes on from the former store where somebody has that open."""
    room = 2 * store.stat().st_size + (1 << 20)
    with lmdb.open(str(store), map_size=room, subdir=False, lock=False, max_dbs=1) as copy:
        meta = copy.open_db(b"meta", create=False)
        for _ in range(2):
            with copy.begin(write=True) as txn:
                txn.put(COMPACT_KEY, b"", db=meta)  # what writes nothing is not committed
                txn.delete(COMPACT_KEY, db=meta)
                txn.delete(FRONT_MARK, db=meta)
