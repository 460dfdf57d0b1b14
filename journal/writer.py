"""The journal's one writer: appends are numbered at once on the event loop, and made durable by one thread in groups.

    append (loop): number, link ─▶ queue ─▶ thread: one LMDB transaction, one sync ─▶ callback on the loop ─▶ waiters

Whoever waited while a commit ran shares the next one. Entries alone stand in the acknowledging transaction: indexes and
snapshots are the follower's, on its own cursor. A commit that fails is never retried: every waiter gets JournalFailed
and `failed` is set, upon which the daemon ends; nothing after the failure was ever shown.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import NamedTuple

import lmdb

from journal.clock import Clock
from journal.codec import encode
from journal.entry import Header
from journal.environment import Environment
from journal.errors import JournalFailed, JournalFull
from journal.events import Event
from journal.follower import Follower
from journal.head import Head, HeadFile
from journal.reader import Reader
from journal.release import RELEASE
from journal.sequencer import Chain, Draft, Salts, Stamp, number
from journal.sidelog import SideLog
from journal.space import COMMIT_BYTES, Space

AUDIT_KEPT = 100_000
AUDIT_FLUSH_S = 1.0
FRAME_BYTES = 512
"""What an entry needs beside its body, generously: header, salt, key, its share of branch pages."""

_Pairs = list[tuple[bytes, bytes]]
_Job = Callable[[lmdb.Transaction], None]


class _Group(NamedTuple):
    """One append on its way: stored pairs, their size, and the head behind them."""

    pairs: _Pairs
    size: int
    seq: int
    head: bytes


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
        salts = Salts()
        self._facts = self._chain("facts", salts)
        self._audit = self._chain("audit", salts)
        self._follower = Follower(environment, self.reader)
        self.seq = self.durable_seq = self._facts.seq
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._queue: SimpleQueue[_Group | _Job | None] = SimpleQueue()
        self._inflight_bytes = 0
        self._used_bytes = environment.used_bytes
        self._space.extend(self._used_bytes)
        self._audit_drafts: list[Draft] = []
        self._audit_timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    def _chain(self, stream: str, salts: Salts) -> Chain:
        last = self.reader.last(stream)
        return Chain(0, self._env.genesis, salts) if last is None else Chain(last.header.seq, last.hash, salts)

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

    def append(self, drafts: Sequence[Draft], *, reserved: bool = False) -> list[tuple[Header, Event]]:
        """Number and queue `drafts` as one batch, which is durable whole or not at all.

        `reserved` entries (stop, delete, boot, outcomes) may use the reserve when the disk is full.
        Raises JournalFull (nothing was queued) and JournalFailed.
        """
        self._raise_if_failed()
        entries = number(drafts, self.seq + 1, self._stamp())
        bodies = [encode(event) for _, event in entries]
        size = sum(map(len, bodies)) + FRAME_BYTES * len(bodies)
        self._claim(size, reserved)
        link = self._facts.link
        pairs = [link(header, body) for (header, _), body in zip(entries, bodies, strict=True)]
        self.seq += len(entries)
        self._inflight_bytes += size
        self._queue.put(_Group(pairs, size, self._facts.seq, self._facts.prev))
        return entries

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
        entries = number(drafts, self._audit.seq + 1, self._stamp())
        bodies = [encode(event) for _, event in entries]
        try:
            self._claim(sum(map(len, bodies)) + FRAME_BYTES * len(bodies), reserved=False)
        except JournalFull:
            return  # with a full disk reads go on, unremembered: the audit stream is the one that may thin
        pairs = [self._audit.link(header, body) for (header, _), body in zip(entries, bodies, strict=True)]
        self._queue.put(lambda txn: self._write_audit(txn, pairs))

    def save_snapshot(self, fold_version: int, seq: int, encoded: Callable[[], bytes]) -> None:
        """Keep a snapshot of the fold up to `seq`, encoded on the writer's thread. A cache: dropped when in need."""
        self._queue.put(lambda txn: self._follower.save_snapshot(txn, fold_version, seq, encoded()))

    async def close(self) -> None:
        """Make durable what is queued, bring indexes up to date, and give the directory free."""
        if self._audit_timer is not None:
            self._audit_timer.cancel()
        self._flush_audit()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)
        if self.failed.done():
            self.failed.exception()  # whoever awaited it has seen it; nobody has to
        self._space.close()
        self._head_file.close()
        self.side_log.close()
        self._env.close()

    def _raise_if_failed(self) -> None:
        if self.failed.done():
            raise JournalFailed("the journal could not be written: nothing can be changed until capsuled starts again")

    def _committed(self, seq: int, used_bytes: int, size: int) -> None:
        self.durable_seq, self._used_bytes = seq, used_bytes
        self._inflight_bytes -= size
        while self._waiters and self._waiters[0][0] <= seq:
            _, waiter = self._waiters.popleft()
            if not waiter.done():  # its client may have gone; the others must not be stranded
                waiter.set_result(None)

    def _lost(self, error: BaseException) -> None:
        if self.failed.done():
            return
        failure = JournalFailed(f"the journal could not be written: {error}")
        self.failed.set_exception(failure)
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(failure)
        self._waiters.clear()

    # --- on the writer's thread ----------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while self._turn():
                pass
            self._head_file.write(self.head)
            self._follower.catch_up(self._facts.seq, whole=True)
        except BaseException as error:  # the loop must learn of whatever ended this thread
            self._tell(self._lost, error)

    def _turn(self) -> bool:
        """One transaction: wait for work, take all there is, commit it. False when it was the last."""
        groups: list[_Group] = []
        jobs: list[_Job] = []
        size = 0
        item = self._queue.get()
        while item is not None:
            if isinstance(item, _Group):
                groups.append(item)
                size += item.size
            else:
                jobs.append(item)
            if size > COMMIT_BYTES // 2:
                break
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
        self._commit(groups, jobs, size)
        return item is not None

    def _commit(self, groups: "list[_Group]", jobs: list[_Job], size: int) -> None:
        if not groups and not jobs:
            return
        self._env.make_room(2 * size + COMMIT_BYTES)
        with self._env.lmdb.begin(write=True) as txn:
            if groups:
                pairs = groups[0].pairs if len(groups) == 1 else [pair for group in groups for pair in group.pairs]
                with txn.cursor(self._env.db["facts"]) as cursor:
                    consumed, added = cursor.putmulti(pairs, append=True)
                assert consumed == added == len(pairs)
            for job in jobs:
                job(txn)
        if not groups:
            return
        last = groups[-1]
        self._tell(self._committed, last.seq, self._env.used_bytes, size)
        if self._queue.empty() or self._follower.far_behind(last.seq):
            self._head_file.write(Head(last.seq, last.head))
            self._follower.catch_up(last.seq)

    def _write_audit(self, txn: lmdb.Transaction, pairs: _Pairs) -> None:
        database = self._env.db["audit"]
        for key, value in pairs:
            txn.put(key, value, append=True, db=database)
        surplus = txn.stat(database)["entries"] - AUDIT_KEPT
        with txn.cursor(database) as cursor:
            while surplus > 0 and cursor.first():
                cursor.delete()
                surplus -= 1

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:
            return  # the loop is gone: nobody is left to tell
