"""The LMDB environment under the journal: one directory, one owner, its sub-databases and its growth.

    facts       8-byte seq -> entry         the journal itself, never thinned
    audit       8-byte seq -> entry         reads and other things that change nothing: a ring
    meta        name -> bytes               format, journal id, the front log's mark
    by_object   name NUL seq, by_type tag NUL seq, by_call call seq     kept by the follower
    snapshots   fold version, seq -> bytes  caches of the fold, never trusted over the entries

Beside it lies the front log, where entries become durable first: `tail` is what it held at the opening.
Only `sync=True, metasync=True, writemap=False` kept every acknowledged entry in power-cut images (see docs).
"""

import contextlib
import errno
import fcntl
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lmdb

from journal.durable import sync_directory
from journal.entry import genesis
from journal.errors import ForeignDirectory, JournalBusy, JournalDamaged, JournalLocked, JournalReadOnly, UnknownFormat
from journal.space import COMMIT_BYTES
from journal.tail import Tail, read_tail

FORMAT = 4
"""The newest that this release knows, which most journals do not need."""
LOG_FORMAT = 2
"""Entries may stand in the front log alone; a release that does not read it would write others in their place."""
BASE_FORMAT = 3
"""The fold begins with a base: see journal/retention.py."""
FORMER_FORMAT = 4
"""There are former bases: a release that does not know them would leave in them what it removes from the entries."""
FRONT_LOG = "front.log"
HEAD = "head"
FRONT_MARK = b"front"
CURSOR_KEY = b"cursor"
FIRST_MAP_BYTES = 256 << 20
PAGE_BYTES = 4096
READERS_MOST = 64
"""Transactions that read at a time, of all processes together."""
LISTED_SHARE = 64
"""One free page in so many is counted as taken by LMDB's list of them, which is several times what it takes."""
DATABASES = ("facts", "audit", "meta", "by_object", "by_type", "by_call", "snapshots", "follower")
_REMEDY = "Look at it with `capsulectl journal verify --dir`, or bring an export back with `capsulectl journal import`"
IMPORTED = "data.mdb.import"
"""The directory in which an import makes what becomes `data.mdb` once it is whole."""
_OWN_FILES = {"data.mdb", "lock.mdb", "owner.lock", HEAD, "side.log", FRONT_LOG, "data.mdb.compact", IMPORTED}
"""Anything else in the directory makes it a foreign one: nothing of somebody else's is ever written over. `side.log`
lay here before it lay beside."""
LOST_AND_FOUND = "lost+found"
"""The file system's own, where the directory is the root of one: its check puts there what has lost its name."""


class Environment:
    """An open environment. `map_guard` is held by readers of this process while a transaction is open, and by the
    writer while it moves the map: LMDB would silently invalidate a reader's pages."""

    def __init__(
        self, directory: Path, *, readonly: bool = False, journal_id: bytes | None = None, held: bool = False
    ) -> None:
        self.directory = directory
        self.readonly = readonly
        self.map_guard = threading.Lock()
        self._owner: int | None = None
        if not readonly:
            self._prepare(held)
        opened: lmdb.Environment | None = None
        try:
            self.lmdb = opened = self._open()
            self.db: dict[str, Any] = {name: self._database(name) for name in DATABASES}
            self._read_meta(journal_id)
            self.tail = self._read_tail()
        except BaseException as error:
            if opened is not None:
                opened.close()
            self._release()
            if isinstance(error, lmdb.ReadersFullError):
                raise self.busy() from error
            raise

    # --- opening -------------------------------------------------------------------------------------------------

    def _prepare(self, held: bool) -> None:
        """`held`: by this process, see `hold`."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            _refuse_foreign(self.directory)
            _refuse_lost(self.directory)
            if not held:
                self._owner = _own(self.directory)
            if not can_write(self.directory):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS))
            shutil.rmtree(self.directory / IMPORTED, ignore_errors=True)  # of an import that was cut off
        except OSError as error:
            self._release()
            raise JournalReadOnly(
                f"the journal's directory {self.directory} cannot be written: {error.strerror}. Make the file "
                "system writable; until then nothing can be changed here"
            ) from error

    def _open(self) -> lmdb.Environment:
        data = self.directory / "data.mdb"
        if self.readonly and not data.exists():
            _refuse_lost(self.directory)
            raise ForeignDirectory(f"{self.directory} holds no journal: there is no data.mdb in it")
        size = data.stat().st_size if data.exists() else 0
        try:
            return lmdb.open(
                str(self.directory),
                map_size=max(FIRST_MAP_BYTES, _round_up(size * 2, FIRST_MAP_BYTES)),
                max_dbs=len(DATABASES),
                max_readers=READERS_MOST,
                readonly=self.readonly,
                create=not self.readonly,
                lock=not self.readonly or can_write(self.directory),
                sync=True,
                metasync=True,
                writemap=False,
                readahead=True,
            )
        except lmdb.ReadersFullError:
            raise
        except lmdb.ReadonlyError as error:
            raise JournalReadOnly(f"the journal at {self.directory} cannot be written: {error}") from error
        except lmdb.Error as error:
            raise JournalDamaged(f"LMDB cannot open the journal at {self.directory}: {error}. {_REMEDY}") from error

    def _database(self, name: str) -> object:
        try:
            return self.lmdb.open_db(name.encode(), create=not self.readonly)
        except lmdb.NotFoundError:
            raise ForeignDirectory(
                f"{self.directory} is an LMDB environment, but not a journal of Capsule's: it has no `{name}`"
            ) from None
        except lmdb.ReadersFullError:
            raise
        except lmdb.Error as error:
            raise JournalDamaged(f"the journal's `{name}` cannot be opened: {error}") from error

    def _read_meta(self, journal_id: bytes | None) -> None:
        with self.lmdb.begin() as txn:
            stored = txn.get(b"format", db=self.db["meta"])
            identity = txn.get(b"id", db=self.db["meta"])
            self.mark: bytes = bytes(txn.get(FRONT_MARK, db=self.db["meta"]) or b"")
        if stored is None:
            if self.readonly:
                raise ForeignDirectory(f"{self.directory} is an LMDB environment, but not a journal of Capsule's")
            identity = journal_id or os.urandom(16)
            with self.lmdb.begin(write=True) as txn:
                txn.put(b"format", str(LOG_FORMAT).encode(), db=self.db["meta"])
                txn.put(b"id", identity, db=self.db["meta"])
            sync_directory(self.directory)  # what only a journal has is never beside no journal, whatever comes
        elif int(stored) > FORMAT:
            raise UnknownFormat(
                f"the journal at {self.directory} has format {int(stored)}; this release knows up to {FORMAT}: "
                "start the release that wrote it"
            )
        assert identity is not None
        self.journal_id: bytes = bytes(identity)
        self.genesis = genesis(self.journal_id)

    def _read_tail(self) -> Tail:
        """The follower's cursor says up to where LMDB holds the entries in any case; they need not be looked at, which
        damaged pages might not survive."""
        if not self.mark:
            return Tail()
        with self.lmdb.begin() as txn:
            cursor = int.from_bytes(txn.get(CURSOR_KEY, db=self.db["follower"]) or b"", "big")
        tail = read_tail(self.directory / FRONT_LOG, self.mark, cursor)
        if tail.problem and not self.readonly:
            raise JournalDamaged(f"{tail.problem}. {_REMEDY}")
        return tail

    def adopt_log(self, mark: bytes) -> None:
        """From here on the journal has a front log, by this mark: it is on the disk."""
        with self.lmdb.begin(write=True) as txn:
            known = int(txn.get(b"format", db=self.db["meta"]) or b"0")
            txn.put(b"format", str(max(known, LOG_FORMAT)).encode(), db=self.db["meta"])
            txn.put(FRONT_MARK, mark, db=self.db["meta"])
        self.mark = mark

    # --- size ----------------------------------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        """Bytes of the data file that pages were ever written to."""
        return (int(self.lmdb.info()["last_pgno"]) + 1) * PAGE_BYTES

    @property
    def held_bytes(self) -> int:
        """Bytes of the data file that are not there for a value of one page: its pages that hold something, the free
        ones that the next transaction cannot have yet, and all of it while somebody reads what is older. Costs a short
        transaction."""
        info, used = self.lmdb.info(), self.used_bytes
        begun = [line.split()[-1] for line in self.lmdb.readers().splitlines()[1:]]
        if any(txn != "-" and int(txn) < int(info["last_txnid"]) - 1 for txn in begun):
            return used
        try:
            with self.map_guard, self.lmdb.begin() as txn:
                stats = [self.lmdb.stat(), *(txn.stat(database) for database in self.db.values())]
        except lmdb.ReadersFullError:
            return used
        pages = 2 + sum(one["branch_pages"] + one["leaf_pages"] + one["overflow_pages"] for one in stats)
        held = pages * PAGE_BYTES
        return min(used, held + (used - held) // LISTED_SHARE + 2 * COMMIT_BYTES)

    @property
    def commits(self) -> int:
        """How many transactions were ever committed."""
        return int(self.lmdb.info()["last_txnid"])

    @property
    def map_bytes(self) -> int:
        """How far the file may grow before the map is moved."""
        return int(self.lmdb.info()["map_size"])

    def make_room(self, ahead_bytes: int) -> None:
        """Take back what dead readers keep, and grow the map, so that `ahead_bytes` more fit. Mover's thread only,
        between transactions."""
        self.forget_dead_readers()
        info = self.lmdb.info()
        size, need = int(info["map_size"]), (int(info["last_pgno"]) + 1) * PAGE_BYTES + ahead_bytes
        if need > size:
            with self.map_guard:
                self.lmdb.set_mapsize(max(size * 2, _round_up(need, FIRST_MAP_BYTES)))

    def forget_dead_readers(self) -> None:
        """Give free the places of readers that were killed. LMDB does not by itself, and no page that was in use when
        such a one began would be used again."""
        with self.map_guard, contextlib.suppress(lmdb.Error):  # it may be closed by now
            self.lmdb.reader_check()

    def busy(self) -> JournalBusy:
        """What to tell who finds no place among the readers."""
        return JournalBusy(
            f"{READERS_MOST} read the journal at {self.directory} already, which is as many as can at a time. Nothing "
            "is wrong with it: ask again in a moment"
        )

    def close(self) -> None:
        """Close the environment and give the directory free. A reader on another thread ends its transaction first;
        its next one fails."""
        with self.map_guard:
            self.lmdb.close()
        self._release()

    def _release(self) -> None:
        if self._owner is not None:
            os.close(self._owner)
            self._owner = None


def _round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def is_begun(directory: Path) -> bool:
    """Whether there is a journal, or what may be one: the directory is no new machine's."""
    try:
        return (directory / "data.mdb").exists() or bool(_lost(directory) or left_behind(directory))
    except OSError:
        return True


def left_behind(directory: Path) -> list[str]:
    """What only a journal has beside it, and nobody makes before there is one."""
    return [name for name in (FRONT_LOG, HEAD) if (directory / name).exists()]


def _lost(directory: Path) -> list[str]:
    """What the file system's check found and could not name."""
    try:
        return sorted(os.listdir(directory / LOST_AND_FOUND))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _refuse_lost(directory: Path) -> None:
    """Where the journal itself is gone, a new one would be another machine's beside what is left of this one's. Raises
    JournalDamaged and OSError."""
    if (directory / "data.mdb").exists():
        return
    if lost := _lost(directory):
        raise JournalDamaged(
            f"{directory} holds no data.mdb, and the check of its file system left {lost[0]} in {LOST_AND_FOUND}, "
            "which may be it: no new one is begun. Move it back, or, where it is not the journal, out of "
            f"{LOST_AND_FOUND} (docs/operation.md, Lost and found)"
        )
    if left := left_behind(directory):
        raise JournalDamaged(
            f"{directory} holds {left[0]} of a journal whose data.mdb is gone: no new one is begun, for its newest "
            f"entries may stand in {FRONT_LOG} alone. Put data.mdb back beside it, or, where that is lost, move "
            f"{' and '.join(left)} away (docs/operation.md, Lost and found)"
        )


def _refuse_foreign(directory: Path) -> None:
    with os.scandir(directory) as found:
        strange = sorted(one.name for one in found if one.name not in _OWN_FILES and not _is_the_file_systems(one))
    if strange:
        raise ForeignDirectory(
            f"{directory} holds {strange[0]}, which is not the journal's: choose an empty directory "
            "for a new machine, or the right one for an old"
        )


def _is_the_file_systems(entry: os.DirEntry[str]) -> bool:
    return entry.name == LOST_AND_FOUND and entry.is_dir(follow_symlinks=False)


def can_write(directory: Path) -> bool:
    """Whether the file system takes writes: one that fell back to reading after an error shows it only when tried."""
    try:
        os.close(os.open(directory / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM)
    return True


def _own(directory: Path) -> int:
    owner = _lock_file(directory)
    try:
        fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(owner)
        raise JournalLocked(
            f"another capsuled has {directory}: stop it first, or give this one a state directory of its own"
        ) from error
    return owner


def _lock_file(directory: Path) -> int:
    """Something to lock, also where nothing can be written."""
    try:
        return os.open(directory / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT):
            raise
    with contextlib.suppress(FileNotFoundError):
        return os.open(directory / "owner.lock", os.O_RDONLY | os.O_CLOEXEC)
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


@contextmanager
def hold(directory: Path) -> Iterator[None]:
    """Own the directory, whether or not its journal can be opened: nothing else of this state is touched before.

    Raises JournalLocked, ForeignDirectory and OSError.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_foreign(directory)
    owner = _own(directory)
    try:
        yield
    finally:
        os.close(owner)
