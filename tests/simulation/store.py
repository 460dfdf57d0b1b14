"""A journal's writer that loses what was not synced: one life of a simulated daemon with its disk.

A crash takes of a write without its barrier none, all or some of the sectors, and of a move all or nothing; what is
still in the log and what was moved already are then two views of one past.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from journal.entry import Header, unpack
from journal.errors import JournalFull
from journal.events import (
    CallAccepted,
    CallDenied,
    CallRefused,
    EffectFailed,
    EffectStarted,
    Event,
    ImageRemovalRequested,
    NetworkAttached,
    NetworkDrifted,
    StreamOpened,
)
from journal.frame import Frame, joined, pack
from journal.ring import Ring
from journal.sequencer import Chain, Draft, Stamp, bodies_of
from journal.snapshot import Snapshot
from tests.simulation.disk import GENESIS, LOG_BYTES, MARK, Disk
from tests.simulation.releases import Release
from tests.simulation.time import VirtualClock

SECTOR = 512
CUT_AT_ONCE = 40
PLAIN = b"value-"
"""How every secret value and every value of a variable begins here: it stands in no entry."""

Judged = EffectStarted | EffectFailed | NetworkAttached | NetworkDrifted


class Forgets(NamedTuple):
    """What the mover has to do: see Journal.retain."""

    base: Snapshot
    cut: bool
    excised: tuple[int, ...]
    done: asyncio.Future[None]


class SimulatedLog:
    """One daemon's life with the disk; see the engine's Log protocol."""

    def __init__(
        self,
        disk: Disk,
        clock: VirtualClock,
        random: Random,
        release: Release,
        begins: Callable[[Header, Judged], None],
    ) -> None:
        """`begins` is told of what is judged by the moment that it is told in, before that is folded."""
        self._begins = begins
        self._disk = disk
        self._release = release
        self._clock = clock
        self._random = random
        self._tail = disk.tail()
        self._generation = self._tail.generation + 1
        self._moves(self._tail.oldest(LOG_BYTES))  # taken over before anything is written
        last = unpack(disk.moved[-1]) if disk.moved else None
        seq, link = (0, GENESIS) if last is None else (last.header.seq, last.hash)
        disk.promise(seq, link)
        self._chain = Chain(seq, link, _salts(random))
        self._ring = Ring(LOG_BYTES)
        self._queue: list[Frame] = []
        self._writing: tuple[int, bytes] | None = None
        self._moving: list[Frame] = []
        self._snapshots: list[tuple[int, int, Callable[[], bytes]]] = []
        self._forgets: deque[Forgets] = deque()
        while disk.cut(CUT_AT_ONCE):
            pass  # what an earlier life did not come to
        self._diligence = random.choice((0.0, 0.2, 1.0))
        """How often the mover begins before it has to."""
        self._durable = seq
        self._newest: dict[tuple[object, ...], int] = {}
        self._waiters: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._woken = asyncio.Event()
        self._fills = asyncio.Event()
        self._room = asyncio.Event()
        self.alive = True

    def check(self) -> None:
        """See Log."""

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> list[tuple[Header, Event]]:
        """See Log."""
        assert self.alive, "a dead daemon writes nothing"
        if self._disk.full and not (reserved or vital):
            raise JournalFull("the simulated disk is full")
        clock = self._clock
        release = self._release
        stamp = Stamp(clock.wall_ns(), clock.boot_id, clock.mono_ns(), release.version, release.slot)
        first = self._chain.seq + 1
        batch = self._chain.link(drafts, bodies_of(drafts), stamp)
        self._queue.append(Frame(first, batch.values, self._chain.prev, 0))
        self._woken.set()
        for (header, event), value in zip(batch.entries, batch.values, strict=True):
            assert PLAIN not in value, f"a value stands in the journal: {event}"
            self._newest.update(dict.fromkeys(_what_waits(header, event), header.seq))
            if isinstance(event, Judged):
                self._begins(header, event)
        return batch.entries

    def judge_durable(self, *of: object) -> None:
        """Whoever was answered, or acts in the world, did not do so before the entry that says so was durable: `of` a
        call's actor, method and object, an effect's name, object, uid and run, or a name that leaves the image cache."""
        seq = self._newest.get(of, 0)
        assert seq <= self._durable, f"entry {seq} is not durable, and {of} is acknowledged or acted on"

    def behind(self) -> Iterator[bytes]:
        """What is appended and not moved yet: what it takes for durable, and what is not."""
        return (value for frame in (*self._tail.oldest(LOG_BYTES), *self._queue) for value in frame.values)

    def keep_room_for(self, state_bytes: int) -> None:
        """See Journal: a simulated reserve has no end."""

    def save_snapshot(self, fold_version: int, seq: int, encoded: Callable[[], bytes]) -> None:
        """See Journal: kept once the entries that it stands on were moved."""
        self._snapshots.append((fold_version + self._release, seq, encoded))

    async def retain(self, base: Snapshot, cut: bool, excised: tuple[int, ...] = ()) -> None:
        """See Journal."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._forgets.append(Forgets(base, cut, excised, done))
        self._fills.set()
        await done

    async def durable(self, seq: int) -> None:
        """See Log."""
        if seq > self._durable:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append((seq, waiter))
            await waiter

    async def write(self) -> None:
        """The appender: groups, each durable after a while. And the mover behind it."""
        async with asyncio.TaskGroup() as group:
            mover = group.create_task(self._move())
            while True:
                await self._woken.wait()
                self._woken.clear()
                while self._queue:
                    waiting = self._queue[: self._random.randint(1, len(self._queue))]
                    frame = joined(waiting)
                    await self._write(frame)
                    if not self.alive:
                        mover.cancel()
                        return
                    del self._queue[: len(waiting)]
                    self._disk.promise(frame.last, frame.head)
                    self._acknowledge(frame.last)
                    if self._random.random() < self._diligence:
                        self._fills.set()

    def _acknowledge(self, seq: int) -> None:
        """As the real one does."""
        self._durable = seq
        while self._waiters and self._waiters[0][0] <= seq:
            _, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)

    async def _write(self, frame: Frame) -> None:
        content = pack(MARK, self._generation, frame)
        if len(content) > LOG_BYTES:
            while self._tail.newest() is not None:
                await self._freed()
            self._moving = [frame]
            await self._while_it_lasts()
            self._moves(self._moving)
            return
        while (place := self._ring.place(len(content))) is None:
            await self._freed()
        self._ring.keep(place, len(content), frame.last)
        self._writing = (place, content)
        await self._while_it_lasts()
        if self.alive:
            self._disk.write(place, content)
            self._disk.keep(place, len(content), frame.last)
            self._writing = None
            self._tail.add(frame)

    async def _freed(self) -> None:
        self._room.clear()
        self._fills.set()
        await self._room.wait()

    async def _while_it_lasts(self) -> None:
        await self._clock.loop.sleep(self._random.choice((0.001, 0.005, 0.05)))

    async def _move(self) -> None:
        while True:
            await self._fills.wait()
            self._fills.clear()
            while frames := self._tail.oldest(self._random.choice((1, 2_000, LOG_BYTES))):
                self._moving = frames
                await self._while_it_lasts()
                self._moves(self._moving)
                await asyncio.sleep(0)  # moved, and not released yet
                self._ring.release(frames[-1].last)
                self._room.set()
            self._keep_snapshots()
            while self._forgets:
                await self._forget(self._forgets.popleft())

    async def _forget(self, job: Forgets) -> None:
        """In transactions that a crash may fall between."""
        await self._while_it_lasts()
        if self.alive:
            self._disk.retain(job.base, job.cut, job.excised)
        while self.alive and self._disk.cut(CUT_AT_ONCE):
            await self._while_it_lasts()
        if self.alive and not job.done.done():
            job.done.set_result(None)

    def _keep_snapshots(self) -> None:
        for version, seq, encoded in self._snapshots:
            if seq <= len(self._disk.moved):
                self._disk.keep_snapshot(version, seq, encoded())
        self._snapshots = [one for one in self._snapshots if one[1] > len(self._disk.moved)]

    def _moves(self, frames: Sequence[Frame]) -> None:
        """A transaction is durable."""
        for frame in frames:
            assert frame.first == len(self._disk.moved) + 1
            self._disk.move(frame.values)
            self._tail.drop(frame.last)
        self._moving = []

    def crash(self) -> None:
        """The daemon dies. What was being written may be there, in part or whole; what was being moved is or is not."""
        self.alive = False
        if self._writing is not None:
            place, content = self._writing
            kind = self._random.choice(("none", "all", "torn"))
            for start in range(0, len(content), SECTOR):
                if kind == "all" or (kind == "torn" and self._random.random() < 0.5):
                    self._disk.write(place + start, content[start : start + SECTOR])
        if self._random.random() < 0.5:
            self._moves(self._moving)
        self._moving = []
        self._queue.clear()


def _what_waits(header: Header, event: Event) -> Iterator[tuple[object, ...]]:
    """All for which this entry has to be durable first."""
    match event:
        case CallAccepted() | CallRefused() | CallDenied():
            yield (header.actor.id, event.method, *event.objects[:1])
        case EffectStarted():
            yield event.effect, event.name, event.uid, event.run
        case StreamOpened(method="exec"):
            yield "exec", event.object
        case ImageRemovalRequested():
            yield from (("image", record) for record in (*event.refs, *event.digests))


def _salts(random: Random) -> Callable[[int], bytes]:
    """Salts drawn in bulk: what a batch holds must not change what a seed decides next."""
    pool = b""

    def draw(size: int) -> bytes:
        nonlocal pool
        while len(pool) < size:
            pool += random.randbytes(4_096)
        drawn, pool = pool[:size], pool[size:]
        return drawn

    return draw
