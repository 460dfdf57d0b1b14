"""The journal's one writer: appends are numbered at once on the event loop, and made durable in groups beside it.

    append (loop): number, link ─▶ appender: one frame in the front log, one barrier ─▶ callback on the loop ─▶ waiters
                                          └─▶ mover: into LMDB, in larger transactions, when there is time

Entries alone stand in the front log: reads, indexes and snapshots are the mover's, and nobody waits for those. A write
that fails is never tried again: every waiter gets JournalFailed and `failed` is set, upon which the daemon ends; what
came after the failure was never shown.
"""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, suppress

import lmdb

from journal import retention
from journal.appender import Appender
from journal.clock import Clock
from journal.entry import Header
from journal.environment import PAGE_BYTES, Environment
from journal.errors import JournalFailed, JournalFull
from journal.events import Event
from journal.frame import Frame
from journal.frontlog import FrontLog, open_front_log
from journal.head import Head
from journal.mover import Moved, Mover, Reads, Snapshot, Wake
from journal.reader import Reader
from journal.release import RELEASE
from journal.sequencer import Chain, Draft, Stamp, bodies_of
from journal.snapshot import Snapshot as Kept
from journal.space import COMMIT_BYTES, FRAME_BYTES, Room, Space, room_for

AUDIT_FLUSH_S = 1.0
WAY_S = 1.0
"""So long the loop itself waits for snapshots to make way, and for the log to be moved, before an entry is refused:
where the disk filled faster than the mover worked."""

log = logging.getLogger(__name__)

_FAILED = (
    "the journal could not be written: nothing is promised of what was just asked, and nothing can be changed until "
    "the disk is mended and capsuled started again. What runs goes on"
)

Outcome = int | Moved | BaseException
"""What the threads tell the loop: up to which entry all is durable; what LMDB took; what ended one of them."""


class Journal:
    """An open journal. Everything but its two threads runs on one event loop."""

    def __init__(
        self,
        environment: Environment,
        clock: Clock,
        slot: str = "",
        space: Space | None = None,
        front: FrontLog | None = None,
    ) -> None:
        """Raises JournalDamaged and JournalReadOnly; the environment is closed then."""
        self._env = environment
        self._clock = clock
        self._slot = slot
        self._loop = asyncio.get_running_loop()
        self._outcomes: deque[Outcome] = deque()
        self._rung = False
        with ExitStack() as opened:
            opened.callback(environment.close)
            self._space = space or Space(environment.directory / "data.mdb")
            opened.callback(self._space.close)
            self._front = front or open_front_log(environment)
            opened.callback(self._front.close)
            self._mover = Mover(environment, self._front, self._space, self._tell)
            self._mover.take_over()
            self._close = opened.pop_all().close
        self._news = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.reader = Reader(environment)
        self._facts = self._chain("facts")
        self._audit = self._chain("audit")
        self.seq = self.durable_seq = self._facts.seq
        self.failed: asyncio.Future[None] = self._loop.create_future()
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._loop.add_reader(self._news, self._hear)
        self._claimed_bytes = 0
        """What was promised of LMDB's file for entries that it does not hold yet."""
        self._used_bytes = environment.used_bytes
        self._space.extend(self._used_bytes)
        self._audit_drafts: list[Draft] = []
        self._audit_timer: asyncio.TimerHandle | None = None
        self._read_seq = self._audit.seq
        """The newest read that is kept."""
        self._read_kept = asyncio.Event()
        self._mover.start()
        self._appender = Appender(self._front, environment.tail, self._mover, self._tell)

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

    @property
    def writes(self) -> int:
        """How many groups this life made durable with a barrier of their own."""
        return self._front.writes

    # --- on the loop ---------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Raises JournalFailed once a commit has failed."""
        self._raise_if_failed()

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> list[tuple[Header, Event]]:
        """Number and queue `drafts` as one batch, which is durable whole or not at all.

        When the disk is full, `reserved` entries (what is observed) may use the reserve up to the part that is for
        `vital` ones: stop, delete, what came of them, a life's first. Raises JournalFull (nothing was queued) and
        JournalFailed.
        """
        self._raise_if_failed()
        bodies = bodies_of(drafts)
        size = room_for(bodies)
        self._claim(size, self._leaves(reserved, vital), max(map(len, bodies), default=0))
        batch = self._facts.link(drafts, bodies, self._stamp())
        first, self.seq = self.seq + 1, self._facts.seq
        self._claimed_bytes += size
        self._appender.ask(Frame(first, batch.values, self._facts.prev, size))
        return batch.entries

    def _stamp(self) -> Stamp:
        clock = self._clock
        return Stamp(clock.wall_ns(), clock.boot_id, clock.mono_ns(), RELEASE, self._slot)

    def _leaves(self, reserved: bool, vital: bool) -> int:
        """How much of the reserve is not for such entries."""
        if vital:
            return 0
        return self._space.vital_bytes if reserved else self._space.reserve_bytes

    def _claim(self, size: int, leaves: int, largest: int = 0) -> None:
        """Blocks for `size` more bytes are the journal's own already, or JournalFull. `largest`: of the bodies."""
        if self._has_room(size, leaves, largest):
            return
        # What stands in the log claims several times what it takes in LMDB's file.
        if self._claimed_bytes and self._waited_for(self._mover.move_all()):
            self._hear()
            if self._has_room(size, leaves, largest):
                return
        raise JournalFull(
            f"the disk under {self._env.directory} gives the journal no more space ({self._space.reason}): nothing was "
            f"changed. {self._what_helps()}"
        )

    def _has_room(self, size: int, leaves: int, largest: int) -> bool:
        need = self._used_bytes + self._claimed_bytes + size
        owned = self._space.extend(need)
        if owned and not self._space.reason:
            return True
        way = self._mover.make_way()
        under_way = not way.done()
        if owned or (leaves < self._space.reserve_bytes and self._space.has_reserve(need + leaves)):
            return True
        if largest + FRAME_BYTES > PAGE_BYTES:
            return False
        if self._fits_between(size, leaves):
            return True
        return under_way and self._waited_for(way) and self._fits_between(size, leaves)

    def _waited_for(self, way: Future[None]) -> bool:
        try:
            way.result(WAY_S)
        except (TimeoutError, OSError):
            return False
        return True

    def _what_helps(self) -> str:
        need = self._used_bytes + self._claimed_bytes + PAGE_BYTES
        if self._space.has_reserve(need) or self._fits_between(PAGE_BYTES, 0):
            return (
                "Free space there, or move its older part away with `capsulectl journal truncate`; stop and delete "
                "still work"
            )
        return "Its reserve is used up, too: free space there. A stop still works, but is not remembered"

    def _fits_between(self, size: int, leaves: int) -> bool:
        """Whether free pages among those in use take what fits on one. LMDB's file never gets smaller: after a dead
        reader kept pages from being used again, it would be full for ever. What wants several pages in a row may not
        find them, and goes by the end of the file alone."""
        self._env.forget_dead_readers()
        held = self._env.held_bytes
        return held < self._used_bytes and self._space.has_reserve(held + self._claimed_bytes + size + leaves)

    def shortage(self) -> str:
        """Why ordinary entries are refused just now; empty when they are not."""
        try:
            self._claim(COMMIT_BYTES, self._space.reserve_bytes)
        except JournalFull as full:
            return str(full)
        return ""

    def room(self) -> Room:
        """How much there is for ordinary entries; pages that are free between others count."""
        return self._space.room(self._env.held_bytes + self._claimed_bytes)

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
        try:
            self._claim(room_for(bodies), self._space.reserve_bytes, max(map(len, bodies)))
        except JournalFull:
            return  # with a full disk reads go on, unremembered: the audit stream is the one that may thin
        self._mover.ask(Reads(self._audit.link(drafts, bodies, self._stamp())))

    async def read_after(self, seq: int) -> int:
        """The newest read that is kept, once one stands behind read `seq`. Raises JournalFailed."""
        while self._read_seq <= seq:
            self._raise_if_failed()
            await self._read_kept.wait()
        return self._read_seq

    def save_snapshot(self, fold_version: int, seq: int, encoded: Callable[[], bytes]) -> None:
        """Keep a snapshot of the fold up to `seq`, encoded on the mover's thread. A cache: dropped when in need."""
        self._appender.ask(Snapshot(fold_version, seq, encoded))

    def keep_snapshot(self, fold_version: int, seq: int, content: bytes) -> None:
        """The same of one that is encoded already, of any moment; from any thread."""
        self.save_snapshot(fold_version, seq, lambda: content)

    def keep_room_for(self, state_bytes: int) -> None:
        """The state takes so much by now: the reserve has room for the base that a cut would begin with. From any
        thread."""
        self._space.state_bytes = state_bytes

    async def retain(self, base: Kept, cut: bool, excised: tuple[int, ...] = ()) -> None:
        """Let the fold begin with `base`, a state after a durable entry, which a checkpoint tells of: with `cut` all up
        to it goes, and so do the contents of `excised`. Raises OSError where the disk has no room for it.

        Who is cancelled leaves it to the mover, which has it to do and tells of its end.
        """
        await asyncio.shield(asyncio.wrap_future(self._mover.retain(base, cut, excised)))

    async def close(self) -> None:
        """Make durable what is queued, move all of it into LMDB and the indexes, and give the directory free."""
        if self._audit_timer is not None:
            self._audit_timer.cancel()
        self._flush_audit()
        self._appender.ask(Wake.CLOSE)
        await asyncio.to_thread(self._appender.join)
        await asyncio.to_thread(self._mover.join)
        self._loop.remove_reader(self._news)
        self._hear()
        os.close(self._news)
        if self.failed.done():
            self.failed.exception()  # whoever awaited it has seen it; nobody has to
        elif retention.wants_compacting(self._env):
            await asyncio.to_thread(self._compact)
        self._close()

    def _compact(self) -> None:
        """What was cut or removed lies in unused pages until now. Where there is no room, the next end tries again."""
        try:
            try:
                retention.compact(self._env)
            except (OSError, lmdb.Error):
                # Nobody writes now. What was taken ahead may be all that a full disk has for the smaller store.
                self._space.give_back()
                retention.compact(self._env)
        except (OSError, lmdb.Error) as error:
            self._space.extend(self._env.used_bytes)
            log.warning("what was removed of the journal may lie in its files still: %s", error)

    def _raise_if_failed(self) -> None:
        if self.failed.done():
            raise JournalFailed(_FAILED)

    def _hear(self) -> None:
        """Take what the threads have to tell."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._news)
        self._rung = False
        while self._outcomes:
            match self._outcomes.popleft():
                case int() as seq:
                    self._wake(seq)
                case Moved() as moved:
                    self._used_bytes = moved.used_bytes
                    self._claimed_bytes -= moved.claimed_bytes
                    if moved.read_seq:
                        self._read_seq = moved.read_seq
                        self._ring_for_reads()
                case error:
                    self._lost(error)

    def _ring_for_reads(self) -> None:
        self._read_kept.set()
        self._read_kept = asyncio.Event()

    def _wake(self, seq: int) -> None:
        self.durable_seq = seq
        while self._waiters and self._waiters[0][0] <= seq:
            _, waiter = self._waiters.popleft()
            if not waiter.done():  # its client may have gone; the others must not be stranded
                waiter.set_result(None)

    def _lost(self, error: BaseException) -> None:
        if self.failed.done():
            return
        if isinstance(error, lmdb.Error):
            why = str(error).rpartition(": ")[2]  # behind the name of its function are the system's words
        else:
            why = (isinstance(error, OSError) and error.strerror) or str(error)
        failure = JournalFailed(f"{_FAILED} ({why})", why)
        self.failed.set_exception(failure)
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(failure)
        self._waiters.clear()
        self._ring_for_reads()

    # --- on the threads ------------------------------------------------------------------------------------------

    def _tell(self, outcome: Outcome) -> None:
        self._outcomes.append(outcome)
        if not self._rung:  # else the loop has not answered the last ring yet, and will find this, too
            self._rung = True
            os.eventfd_write(self._news, 1)
