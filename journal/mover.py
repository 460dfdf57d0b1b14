"""The mover: takes entries from the front log into LMDB, in few and large transactions, on a thread of its own.

Nobody waits for it: what stands in the front log is durable, and is read from there. It moves in a lull when much has
gathered, at once when three quarters of the log are full, after a minute in any case, and along with whatever else
makes it write: reads for the audit stream, a snapshot. LMDB's transaction is durable before the log's place is used
again, so between whatever steps a crash comes, the next start finds every entry in one of the two. Indexes and
snapshots are the follower's; a snapshot that cannot be kept is a cache less, and where the disk gives no more, those
that are kept make way for entries.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from enum import Enum
from queue import Empty, SimpleQueue
from typing import NamedTuple

import lmdb

from journal import retention
from journal.environment import HEAD, Environment
from journal.errors import JournalDamaged, JournalReadOnly
from journal.follower import Follower
from journal.former import present_bytes
from journal.frame import Frame
from journal.frontlog import FrontLog
from journal.head import Head, HeadFile
from journal.reader import Reader
from journal.sequencer import Batch, pairs_of
from journal.snapshot import Snapshot as Kept
from journal.space import COMMIT_BYTES, Space, room_for

AUDIT_KEPT = 100_000
MOVE_BYTES = 1 << 20
"""How much must have gathered for a lull to be used. A transaction costs some thirty kilobytes besides what it moves: a
quiet machine makes one an hour instead of one a call."""
MOVE_S = 60.0
AT_ONCE_BYTES = COMMIT_BYTES // 2

log = logging.getLogger(__name__)


class Wake(Enum):
    """Why the mover looks up: nothing was appended for a moment; the log fills; nothing comes any more."""

    LULL = 1
    FILLS = 2
    CLOSE = 3


class Reads(NamedTuple):
    """A batch of the audit stream."""

    batch: Batch


class Snapshot(NamedTuple):
    """A state to keep, as of entry `seq`, which is durable."""

    fold_version: int
    seq: int
    encoded: Callable[[], bytes]


class Through(NamedTuple):
    """A group that is too large for the log: it goes into LMDB directly, behind all others."""

    frame: Frame
    done: Future[None]


class Retain(NamedTuple):
    """The fold begins with `base` from now on; with `cut` all up to it goes, and so do the contents of `excised`."""

    base: Kept
    cut: bool
    excised: tuple[int, ...]
    done: Future[None]


class MakeWay(NamedTuple):
    """The disk gives no more space: snapshots that can be done without leave theirs to entries."""

    done: Future[None]


class MoveAll(NamedTuple):
    """What stands in the log goes into LMDB now."""

    done: Future[None]


class Moved(NamedTuple):
    """What came of a transaction: how large LMDB's file is in use, which part of the claims is in that now, and the
    newest read that was kept by it, if any."""

    used_bytes: int
    claimed_bytes: int
    read_seq: int = 0


Job = Wake | Reads | Snapshot | Through | Retain | MakeWay | MoveAll


class Mover:
    """Runs from `start` to `close`. `tell` takes what the loop has to know: Moved, and what ended the thread."""

    def __init__(
        self,
        environment: Environment,
        front: FrontLog,
        space: Space,
        tell: Callable[[Moved | BaseException], None],
    ) -> None:
        self._env = environment
        self._tail = environment.tail
        self._front = front
        self._space = space
        self._tell = tell
        self._reader = Reader(environment)
        self._follower = Follower(environment, self._reader)
        self._head: Head | None = None
        self._moved = 0
        self._since_s: float | None = None
        """When the oldest entry that is not moved was first seen."""
        self._spare = True
        """Whether there may be snapshots that can be done without."""
        self._way: Future[None] = Future()
        self._way.set_result(None)
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal-mover", daemon=True)

    def take_over(self) -> None:
        """Move what an earlier life left. Raises JournalDamaged when it does not fit, JournalReadOnly."""
        last = self._last_moved()
        self._moved, link = (0, self._env.genesis) if last is None else last
        self._tail.drop(self._moved)
        if problem := self._tail.misfit(self._moved, link):
            raise JournalDamaged(f"{problem}. Look at it with `capsulectl journal verify --dir`")
        try:
            while frames := self._tail.oldest(AT_ONCE_BYTES):
                self._put(frames)
            self._cut()
        except lmdb.Error as error:
            raise JournalReadOnly(
                f"the journal at {self._env.directory} cannot be written: {error}. Mend the disk, and start capsuled "
                "again"
            ) from error

    def _last_moved(self) -> tuple[int, bytes] | None:
        """The newest entry that LMDB itself holds: its seq and hash."""
        with self._env.lmdb.begin() as txn, txn.cursor(self._env.db["facts"]) as cursor:
            if not cursor.last():
                return None
            seq = int.from_bytes(cursor.key(), "big")
        stored = self._reader.get(seq)
        assert stored is not None
        return seq, stored.hash

    # --- on other threads ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._head_file = HeadFile(self._env.directory / HEAD)
        self._thread.start()

    def ask(self, job: Job) -> None:
        """Have something done, when its turn comes."""
        self._jobs.put(job)

    def put_through(self, frame: Frame) -> None:
        """Make a group durable that the log cannot take. Raises what ended the mover, if something did."""
        job = Through(frame, Future())
        self._jobs.put(job)
        job.done.result()

    def move_all(self) -> Future[None]:
        """Have all that is durable in the log moved, so that it claims no more than it takes."""
        job = MoveAll(Future())
        self._jobs.put(job)
        return job.done

    def make_way(self) -> Future[None]:
        """Have snapshots that can be done without let go of. From the loop; done where there are none, or no room even
        for that."""
        if self._spare and self._way.done():
            self._way = Future()
            self._jobs.put(MakeWay(self._way))
        return self._way

    def join(self) -> None:
        """Wait for the end, which Wake.CLOSE brings about. Blocking."""
        self._thread.join()
        self._head_file.close()

    # --- on its own thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        job: Job = Wake.LULL
        try:
            while (job := self._next()) is not Wake.CLOSE:
                self._do(job)
            self._move_all()
            self._settle()
            while self._follower.advance(self._moved):
                pass
        except BaseException as error:  # the loop must learn of whatever ended this thread, and the writer not wait
            self._tell(error)
            self._front.abandon()
            self._refuse(job, error)

    def _next(self) -> Job:
        """The next job; FILLS when something has stood in the log for long enough."""
        if self._tail.newest() is None:
            self._since_s = None
            return self._jobs.get()
        now_s = time.monotonic()
        self._since_s = self._since_s or now_s
        with suppress(Empty):
            return self._jobs.get(timeout=max(0.0, self._since_s + MOVE_S - now_s))
        return Wake.FILLS

    def _refuse(self, job: Job, error: BaseException) -> None:
        """Whoever waits for this job or a later one is told."""
        while job is not Wake.CLOSE:
            if isinstance(job, Through | Retain | MakeWay | MoveAll):
                job.done.set_exception(OSError(str(error)))
            job = self._jobs.get()

    def _do(self, job: Job) -> None:
        match job:
            case Wake():
                self._wake(job)
            case Reads():
                self._move(self._tail.oldest(AT_ONCE_BYTES), job.batch)
            case Snapshot():
                self._move_all()
                self._keep(job)
            case Through():
                self._move_all()
                self._move([job.frame])
                job.done.set_result(None)
            case Retain():
                self._move_all()
                self._retain(job)
            case MoveAll():
                self._move_all()
                job.done.set_result(None)
            case MakeWay():
                self._make_way()
                job.done.set_result(None)

    def _retain(self, job: Retain) -> None:
        """Room for it is asked for beforehand: what is cut frees pages only once that is durable. A cut is what helps a
        full journal, so it may be made in the reserve, as long as that is left for what else may use it."""
        former_bytes = 0 if job.cut else present_bytes(self._env)
        room = self._room_to_cut(2 * len(job.base.content) + former_bytes)
        done = room is None or (job.cut and room())
        if done:
            retention.set_base(self._env, job.base, job.cut, job.excised)
            done = self._cut()
            self._tell(Moved(self._env.used_bytes, 0))
        if done:
            job.done.set_result(None)
        else:
            job.done.set_exception(OSError(f"the disk gives the journal no more space ({self._space.reason})"))

    def _cut(self) -> bool:
        """What is named to be cut goes. False where there was not room for all of it: the next start does the rest."""
        if not retention.is_cutting(self._env):
            return True
        room = self._room_to_cut()
        if room is not None:
            return retention.go_on_in(self._env, room)
        retention.go_on(self._env)
        return True

    def _room_to_cut(self, more_bytes: int = 0) -> Callable[[], bool] | None:
        """None where the disk has enough. Else what tells, as often as it is asked, whether the reserve has room for
        `more_bytes` and a step."""
        if self._space.extend(self._env.used_bytes + more_bytes + 2 * COMMIT_BYTES):
            return None
        return lambda: self._space.has_reserve(self._env.used_bytes + more_bytes + retention.STEP_BYTES)

    def retain(self, base: Kept, cut: bool, excised: tuple[int, ...]) -> Future[None]:
        """Have the fold begin with `base`. The future has OSError where there is no room for it."""
        job = Retain(base, cut, excised, Future())
        self._jobs.put(job)
        return job.done

    def _wake(self, why: Wake) -> None:
        lull = why is Wake.LULL
        if not lull or self._front.used >= MOVE_BYTES:
            self._move_all()
        if lull:
            self._settle()
        while self._follower.far_behind(self._moved):
            self._follower.advance(self._moved)
        if lull and self._follower.behind(self._moved):
            self._follower.advance(self._moved)

    def _settle(self) -> None:
        """What may be late: the head file."""
        newest = self._tail.newest()
        head = self._head if newest is None else Head(newest.last, newest.head)
        if head is not None:
            self._head_file.write(head)
        if newest is None:
            self._head = None

    def _move_all(self) -> None:
        while frames := self._tail.oldest(AT_ONCE_BYTES):
            self._move(frames)

    def _move(self, frames: Sequence[Frame], reads: Batch | None = None) -> None:
        self._put(frames, reads)
        read_seq = 0 if reads is None else reads.entries[-1][0].seq
        self._tell(Moved(self._env.used_bytes, sum(frame.claimed_bytes for frame in frames), read_seq))

    def _put(self, frames: Sequence[Frame], reads: Batch | None = None) -> None:
        """One transaction; the log's place is free for others only when this one is durable."""
        size = sum(frame.claimed_bytes for frame in frames) + (0 if reads is None else room_for(reads.values))
        self._env.make_room(2 * size + COMMIT_BYTES)
        with self._env.lmdb.begin(write=True) as txn:
            with txn.cursor(self._env.db["facts"]) as cursor:
                for frame in frames:
                    consumed, added = cursor.putmulti(pairs_of(frame.first, frame.values), append=True)
                    assert consumed == added == len(frame.values), "entries are moved once, and in order"
            if reads is not None:
                self._put_reads(txn, reads)
        if frames:
            newest = frames[-1]
            self._moved, self._head, self._since_s = newest.last, Head(newest.last, newest.head), None
            self._tail.drop(newest.last)
            self._front.release(newest.last)

    def _put_reads(self, txn: lmdb.Transaction, batch: Batch) -> None:
        database = self._env.db["audit"]
        for key, value in pairs_of(batch.entries[0][0].seq, batch.values):
            txn.put(key, value, append=True, db=database)
        surplus = txn.stat(database)["entries"] - AUDIT_KEPT
        with txn.cursor(database) as cursor:
            while surplus > 0 and cursor.first():
                cursor.delete()
                surplus -= 1

    def _keep(self, snapshot: Snapshot) -> None:
        try:
            content = snapshot.encoded()
            if self._space.extend(self._env.used_bytes + 2 * len(content)):
                self._follower.save_snapshot(snapshot.fold_version, snapshot.seq, content)
                self._spare = True
                if self._space.reason:
                    self._make_way()
        except Exception:  # whatever it is, the entries stand, and the next start folds a few more of them
            log.exception("the snapshot at entry %d could not be kept", snapshot.seq)

    def _make_way(self) -> None:
        """In steps that each fit into what the journal has left: it is less than what is kept for a commit of entries,
        and gives back more than it takes."""
        try:
            while self._space.granted >= self._env.used_bytes + retention.STEP_BYTES:
                if not self._follower.drop_spare():
                    self._spare = False
                    return
        except lmdb.Error:  # it is for want of room that they go, and may be that they cannot
            log.exception("snapshots could not make way for entries")
