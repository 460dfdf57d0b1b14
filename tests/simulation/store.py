"""A journal in memory that loses what was not synced, and proves its chain at every start.

It has the two stages of the real one: a small front log, written round and round with the real format, and behind it
what was moved. A crash takes of a write without its barrier none, all or some of the sectors, and of a move all or
nothing; what is still in the log and what was moved already are then two views of one past.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from random import Random

from journal.codec import decode
from journal.entry import Header, Stored, check, genesis, unpack
from journal.errors import JournalFull
from journal.events import Event
from journal.frame import BLOCK_BYTES, Frame, joined, pack
from journal.reader import LAST
from journal.ring import Ring
from journal.sequencer import Chain, Draft, Stamp, bodies_of
from journal.tail import Tail, tail_of
from projections.fold import fold
from projections.state import Machine
from tests.simulation.time import VirtualClock

GENESIS = genesis(b"simulated")


MARK = b"simulated front!"
LOG_BYTES = 16 * BLOCK_BYTES
SECTOR = 512


class Disk:
    """What survives: the values that were moved, in order, and the front log's content."""

    def __init__(self) -> None:
        self.moved: list[bytes] = []
        self.log = bytearray(LOG_BYTES)
        self.full = False

    def tail(self) -> Tail:
        """What only the front log holds."""
        tail = tail_of(bytes(self.log), MARK, len(self.moved))
        tail.drop(len(self.moved))
        misfit = tail.misfit(len(self.moved), unpack(self.moved[-1]).hash if self.moved else GENESIS)
        assert not misfit, misfit
        return tail

    def values(self) -> list[bytes]:
        """All of them, as a reader has them."""
        return self.moved + self.tail().view().between(1, LAST)

    def replay(self) -> tuple[Machine, list[tuple[Header, Event]]]:
        """Read, check and fold everything. Raises AssertionError on a chain that is not whole."""
        machine, prev, entries = Machine(), GENESIS, []
        for seq, value in enumerate(self.values(), 1):
            stored = unpack(value)
            wrong = check(stored, seq, prev)
            assert wrong is None, wrong
            prev = stored.hash
            event = decode(stored)
            assert event is not None
            fold(machine, stored.header, event)
            entries.append((stored.header, event))
        return machine, entries

    async def after(self, call: int) -> tuple[Machine, tuple[Event, ...]]:
        """See capsuled.declare.Past."""
        machine, events = Machine(), []
        for header, event in self.replay()[1]:
            if header.seq > call and header.call != call:
                break
            fold(machine, header, event)
            if header.seq > call:
                events.append(event)
        return machine, tuple(events)


class SimulatedReader:
    """The part of journal.reader that the past is told from, without snapshots: each time all of it is folded."""

    genesis = GENESIS

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def first_seq(self) -> int:
        """See Reader."""
        return min(1, len(self._disk.values()))

    def get(self, seq: int) -> Stored | None:
        """See Reader."""
        value = next(self.values(seq, seq), None)
        return None if value is None else unpack(value)

    def snapshot(self, fold_version: int, upto: int = LAST) -> None:
        """See Reader."""

    def base(self) -> None:
        """See Reader: nothing is forgotten here."""

    def values(self, first: int = 1, last: int = LAST) -> Iterator[bytes]:
        """See Reader."""
        return iter(self._disk.values()[first - 1 : last])


class SimulatedLog:
    """One daemon's life with the disk; see the engine's Log protocol."""

    def __init__(self, disk: Disk, clock: VirtualClock, random: Random) -> None:
        self._disk = disk
        self._clock = clock
        self._random = random
        self._tail = disk.tail()
        self._generation = self._tail.generation + 1
        self._moves(self._tail.oldest(LOG_BYTES))  # taken over before anything is written
        last = unpack(disk.moved[-1]) if disk.moved else None
        seq, link = (0, GENESIS) if last is None else (last.header.seq, last.hash)
        self._chain = Chain(seq, link, _salts(random))
        self._ring = Ring(LOG_BYTES)
        self._queue: list[Frame] = []
        self._writing: tuple[int, bytes] | None = None
        self._moving: list[Frame] = []
        self._durable = seq
        self._synced = asyncio.Condition()
        self._woken = asyncio.Event()
        self._fills = asyncio.Event()
        self._room = asyncio.Event()
        self.alive = True

    def check(self) -> None:
        """See Log."""

    def append(self, drafts: Sequence[Draft], *, reserved: bool = False) -> list[tuple[Header, Event]]:
        """See Log."""
        assert self.alive, "a dead daemon writes nothing"
        if self._disk.full and not reserved:
            raise JournalFull("the simulated disk is full")
        clock = self._clock
        stamp = Stamp(clock.wall_ns(), clock.boot_id, clock.mono_ns(), "0.0.1", "")
        first = self._chain.seq + 1
        batch = self._chain.link(drafts, bodies_of(drafts), stamp)
        self._queue.append(Frame(first, batch.values, self._chain.prev, 0))
        self._woken.set()
        return batch.entries

    async def durable(self, seq: int) -> None:
        """See Log."""
        async with self._synced:
            await self._synced.wait_for(lambda: self._durable >= seq)

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
                    async with self._synced:
                        self._durable = frame.last
                        self._synced.notify_all()
                    if self._random.random() < 0.2 or self._ring.used > LOG_BYTES // 2:
                        self._fills.set()

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
            self._disk.log[place : place + len(content)] = content
            self._writing = None
            self._tail.add(frame)

    async def _freed(self) -> None:
        self._room.clear()
        self._fills.set()
        await self._room.wait()

    async def _while_it_lasts(self) -> None:
        await asyncio.sleep(self._random.choice((0.001, 0.005, 0.05)))

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

    def _moves(self, frames: Sequence[Frame]) -> None:
        """A transaction is durable."""
        for frame in frames:
            assert frame.first == len(self._disk.moved) + 1
            self._disk.moved.extend(frame.values)
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
                    self._disk.log[place + start : place + start + SECTOR] = content[start : start + SECTOR]
        if self._random.random() < 0.5:
            self._moves(self._moving)
        self._moving = []
        self._queue.clear()


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
