"""The journal's one writer: appends are numbered at once on the event loop, and made durable by one thread in groups.

    append (loop): number, link ─▶ queue ─▶ thread: one LMDB transaction, one sync ─▶ callback on the loop ─▶ waiters

Whoever waited while a commit ran shares the next one. Entries alone stand in the acknowledging transaction: indexes and
snapshots are the follower's, in transactions of its own, and a snapshot that cannot be kept is a cache less. A commit
that fails is never retried: every waiter gets JournalFailed and `failed` is set, upon which the daemon ends; nothing
after the failure was ever shown.
"""

import asyncio
import logging
import os
import select
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain
from typing import NamedTuple

import lmdb

from journal.clock import Clock
from journal.entry import Header
from journal.environment import Environment
from journal.errors import JournalFailed, JournalFull
from journal.events import Event
from journal.follower import Follower
from journal.head import Head, HeadFile
from journal.reader import Reader
from journal.release import RELEASE
from journal.sequencer import Batch, Chain, Draft, Stamp, bodies_of
from journal.sidelog import SideLog
from journal.space import COMMIT_BYTES, Space

AUDIT_KEPT = 100_000
AUDIT_FLUSH_S = 1.0
LULL_S = 0.02
"""How long nothing must have been appended before the follower takes its turn."""
SWITCH_S = 5e-4
"""How long a thread may keep the interpreter that another waits for. Python's own 5 ms are many commits: as long would
the writer stand before its queue, or behind a commit it cannot tell of, while the loop puts a batch together."""
FRAME_BYTES = 512
"""What an entry needs beside its body, generously: header, salt, key, its share of branch pages."""

_FAILED = (
    "the journal could not be written: nothing is promised of what was just asked, and nothing can be changed until "
    "the disk is mended and capsuled started again. What runs goes on"
)

log = logging.getLogger(__name__)


class _Group(NamedTuple):
    """One append on its way: its linked entries, their size, and the head behind them."""

    batch: Batch
    size: int
    seq: int
    head: bytes


class _Reads(NamedTuple):
    """A batch of the audit stream, and its size."""

    batch: Batch
    size: int


class _Snapshot(NamedTuple):
    """A state to keep, as of entry `seq`."""

    fold_version: int
    seq: int
    encoded: Callable[[], bytes]


class _Turn(NamedTuple):
    """What is taken from the queue at once: entries for one transaction, and snapshots to keep behind it; `closes`:
    nothing comes after."""

    groups: list[_Group]
    reads: list[_Reads]
    snapshots: list[_Snapshot]
    closes: bool

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.groups or self.reads or self.snapshots)

    @property
    def facts_bytes(self) -> int:
        """What was claimed for its entries."""
        return sum(group.size for group in self.groups)

    @property
    def size(self) -> int:
        """What its transaction writes, pages that are copied for it left out."""
        return self.facts_bytes + sum(reads.size for reads in self.reads)


_NOTHING = _Turn([], [], [], closes=False)


class _Commit(NamedTuple):
    """What a commit made durable."""

    seq: int
    used_bytes: int
    size: int


class Journal:
    """An open journal. Everything but the writer's own thread runs on one event loop."""

    def __init__(self, environment: Environment, clock: Clock, slot: str = "", space: Space | None = None) -> None:
        self._env = environment
        self._clock = clock
        self._slot = slot
        self._loop = asyncio.get_running_loop()
        self.reader = Reader(environment)
        self.side_log = SideLog(environment.directory / "side.log")
        self._space = space or Space(environment.directory / "data.mdb")
        self._head_file = HeadFile(environment.directory / "head")
        self._facts = self._chain("facts")
        self._audit = self._chain("audit")
        self._follower = Follower(environment, self.reader)
        self.seq = self.durable_seq = self._written = self._facts.seq
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._unsettled: _Group | None = None
        """The last that was told of, while the head file does not name it yet. The writer's thread's own."""
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._queue: deque[_Group | _Reads | _Snapshot | None] = deque()
        self._outcomes: deque[_Commit | BaseException] = deque()
        self._work = os.eventfd(0, os.EFD_CLOEXEC)
        self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._loop.add_reader(self._news, self._hear)
        self._inflight_bytes = 0
        self._used_bytes = environment.used_bytes
        self._space.extend(self._used_bytes)
        self._audit_drafts: list[Draft] = []
        self._audit_timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def _chain(self, stream: str) -> Chain:
        last = self.reader.last(stream)
        return Chain(0, self._env.genesis) if last is None else Chain(last.header.seq, last.hash)

    @property
    def head(self) -> Head:
        """The newest linked entry; what `capsulectl` keeps to find a cut tail."""
        return Head(self._facts.seq, self._facts.prev)

    @property
    def journal_id(self) -> bytes:
        """Sixteen random bytes that name this journal."""
        return self._env.journal_id

    @property
    def genesis(self) -> bytes:
        """The link before the first entry."""
        return self._env.genesis

    # --- on the loop ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises JournalFailed once a commit has failed."""
        self._raise_if_failed()

    def append(self, drafts: Sequence[Draft], *, reserved: bool = False) -> list[tuple[Header, Event]]:
        """Number and queue `drafts` as one batch, which is durable whole or not at all.

        `reserved` entries (stop, delete, boot, outcomes) may use the reserve when the disk is full.
        Raises JournalFull (nothing was queued) and JournalFailed.
        """
        self._raise_if_failed()
        bodies = bodies_of(drafts)
        size = _size_of(bodies)
        self._claim(size, reserved)
        batch = self._facts.link(drafts, bodies, self._stamp())
        self.seq = self._facts.seq
        self._inflight_bytes += size
        self._hand_over(_Group(batch, size, self._facts.seq, self._facts.prev))
        return batch.entries

    def _hand_over(self, item: _Group | _Reads | _Snapshot | None) -> None:
        self._queue.append(item)
        os.eventfd_write(self._work, 1)

    def _stamp(self) -> Stamp:
        clock = self._clock
        return Stamp(clock.wall_ns(), clock.boot_id, clock.mono_ns(), RELEASE, self._slot)

    def _claim(self, size: int, reserved: bool) -> None:
        """Blocks for `size` more bytes are the journal's own already, or JournalFull."""
        need = self._used_bytes + self._inflight_bytes + size
        if self._space.extend(need):
            return
        if reserved and self._space.has_reserve(need):
            return
        raise JournalFull(
            f"the disk under {self._env.directory} gives the journal no more space ({self._space.reason}): nothing was "
            "changed. Free space there; stop and delete still work"
        )

    def shortage(self) -> str:
        """Why ordinary entries are refused just now; empty when they are not."""
        try:
            self._claim(COMMIT_BYTES, reserved=False)
        except JournalFull as full:
            return str(full)
        return ""

    async def durable(self, seq: int) -> None:
        """Return once entry `seq` is on the disk. Raises JournalFailed."""
        assert seq <= self.seq, "nobody waits for an entry that does not exist"
        if seq <= self.durable_seq:
            return
        self._raise_if_failed()
        waiter = self._loop.create_future()
        self._waiters.append((seq, waiter))
        await waiter

    def note(self, draft: Draft) -> None:
        """Put a read into the audit stream: buffered, flushed within a second, bounded by a ring."""
        self._audit_drafts.append(draft)
        if self._audit_timer is None:
            self._audit_timer = self._loop.call_later(AUDIT_FLUSH_S, self._flush_audit)

    def _flush_audit(self) -> None:
        self._audit_timer = None
        if not self._audit_drafts or self.failed.done():
            return
        drafts, self._audit_drafts = self._audit_drafts, []
        bodies = bodies_of(drafts)
        size = _size_of(bodies)
        try:
            self._claim(size, reserved=False)
        except JournalFull:
            return  # with a full disk reads go on, unremembered: the audit stream is the one that may thin
        self._hand_over(_Reads(self._audit.link(drafts, bodies, self._stamp()), size))

    def save_snapshot(self, fold_version: int, seq: int, encoded: Callable[[], bytes]) -> None:
        """Keep a snapshot of the fold up to `seq`, encoded on the writer's thread. A cache: dropped when in need."""
        self._hand_over(_Snapshot(fold_version, seq, encoded))

    async def close(self) -> None:
        """Make durable what is queued, bring indexes up to date, and give the directory free."""
        if self._audit_timer is not None:
            self._audit_timer.cancel()
        self._flush_audit()
        self._hand_over(None)
        await asyncio.to_thread(self._thread.join)
        self._loop.remove_reader(self._news)
        self._hear()
        for fd in (self._work, self._news):
            os.close(fd)
        if self.failed.done():
            self.failed.exception()  # whoever awaited it has seen it; nobody has to
        self._space.close()
        self._head_file.close()
        self.side_log.close()
        self._env.close()

    def _raise_if_failed(self) -> None:
        if self.failed.done():
            raise JournalFailed(_FAILED)

    def _hear(self) -> None:
        """Take what the writer's thread has to tell."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._news)
        while self._outcomes:
            outcome = self._outcomes.popleft()
            if isinstance(outcome, BaseException):
                self._lost(outcome)
            else:
                self._committed(outcome)

    def _committed(self, commit: _Commit) -> None:
        seq = self.durable_seq = commit.seq
        self._used_bytes = commit.used_bytes
        self._inflight_bytes -= commit.size
        while self._waiters and self._waiters[0][0] <= seq:
            _, waiter = self._waiters.popleft()
            if not waiter.done():  # its client may have gone; the others must not be stranded
                waiter.set_result(None)

    def _lost(self, error: BaseException) -> None:
        if self.failed.done():
            return
        failure = JournalFailed(f"{_FAILED} ({error})", str(error))
        self.failed.set_exception(failure)
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(failure)
        self._waiters.clear()

    # --- on the writer's thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
        try:
            done, turn = _NOTHING, self._take()
            while not turn.closes:
                if turn.empty:
                    self._announce(done)
                    self._settle(done)
                    self._rest()
                    done = _NOTHING
                else:
                    # What came while the last commit ran goes to the disk before that one is announced: whom it wakes
                    # then works beside the disk, instead of the disk waiting for them.
                    self._commit(turn, done)
                    self._catch_up(done)
                    done = self._kept_behind(turn) if turn.snapshots else turn
                turn = self._take()
            self._commit(turn, done)
            self._kept_behind(turn)
            while self._follower.advance(self._facts.seq):
                pass
        except BaseException as error:  # the loop must learn of whatever ended this thread
            self._tell(error)

    def _take(self) -> _Turn:
        """What is queued, as much of it as one transaction may write."""
        groups: list[_Group] = []
        reads: list[_Reads] = []
        snapshots: list[_Snapshot] = []
        size, closes = 0, False
        while self._queue and size <= COMMIT_BYTES // 2:
            item = self._queue.popleft()
            match item:
                case None:
                    closes = True
                case _Snapshot():
                    snapshots.append(item)
                case _Reads():
                    reads.append(item)
                    size += item.size
                case _Group():
                    groups.append(item)
                    size += item.size
        return _Turn(groups, reads, snapshots, closes)

    def _rest(self) -> None:
        """Sleep until something is queued. Indexes are brought up to date in a lull, not in the middle of a burst."""
        if self._follower.behind(self._written) and not select.select([self._work], [], [], LULL_S)[0]:
            self._follower.advance(self._written)
        else:
            os.eventfd_read(self._work)

    def _commit(self, turn: _Turn, before: _Turn) -> None:
        """One transaction, durable when this returns. `before` is announced when only the disk is left to wait for."""
        try:
            self._env.make_room(2 * turn.size + COMMIT_BYTES)
            txn = self._env.lmdb.begin(write=True)
        except BaseException:
            self._announce(before)
            raise
        with txn:
            try:
                if turn.groups:
                    self._put(txn, [group.batch for group in turn.groups])
            finally:
                self._announce(before)
            for reads in turn.reads:
                self._put_reads(txn, reads.batch)

    def _put(self, txn: lmdb.Transaction, batches: list[Batch]) -> None:
        pairs = chain.from_iterable(zip(batch.keys, batch.values, strict=True) for batch in batches)
        with txn.cursor(self._env.db["facts"]) as cursor:
            consumed, added = cursor.putmulti(pairs, append=True)
        assert consumed == added == sum(len(batch.keys) for batch in batches)

    def _announce(self, turn: _Turn) -> None:
        """Tell the loop what is durable."""
        if turn.groups:
            self._unsettled = turn.groups[-1]
            self._written = self._unsettled.seq
            self._tell(_Commit(self._written, self._env.used_bytes, turn.facts_bytes))

    def _settle(self, turn: _Turn) -> None:
        """What may be late, in a lull: the head file."""
        last, self._unsettled = self._unsettled, None
        if last is not None:
            self._head_file.write(Head(last.seq, last.head))
        self._catch_up(turn)

    def _catch_up(self, turn: _Turn) -> None:
        """A follower that fell far behind is not left there, however busy it is."""
        while turn.groups and self._follower.far_behind(turn.groups[-1].seq):
            self._follower.advance(turn.groups[-1].seq)

    def _kept_behind(self, turn: _Turn) -> _Turn:
        """Keep the snapshots of a turn that is on the disk, and was told of first: nobody waits for a cache."""
        self._announce(turn)
        self._settle(turn)
        for snapshot in turn.snapshots:
            try:
                self._keep(snapshot)
            except Exception:  # whatever it is, the entries stand, and the next start folds a few more of them
                log.exception("the snapshot at entry %d could not be kept", snapshot.seq)
        return _NOTHING

    def _keep(self, snapshot: _Snapshot) -> None:
        content = snapshot.encoded()
        if self._space.extend(self._env.used_bytes + 2 * len(content)):
            self._follower.save_snapshot(snapshot.fold_version, snapshot.seq, content)

    def _put_reads(self, txn: lmdb.Transaction, batch: Batch) -> None:
        database = self._env.db["audit"]
        for key, value in zip(batch.keys, batch.values, strict=True):
            txn.put(key, value, append=True, db=database)
        surplus = txn.stat(database)["entries"] - AUDIT_KEPT
        with txn.cursor(database) as cursor:
            while surplus > 0 and cursor.first():
                cursor.delete()
                surplus -= 1

    def _tell(self, outcome: _Commit | BaseException) -> None:
        self._outcomes.append(outcome)
        os.eventfd_write(self._news, 1)


def _size_of(bodies: Sequence[bytes]) -> int:
    return sum(map(len, bodies)) + FRAME_BYTES * len(bodies)
