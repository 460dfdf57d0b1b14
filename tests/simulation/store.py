"""A journal in memory that loses what was not synced, and proves its chain at every start."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from journal.codec import decode
from journal.entry import Header, check, genesis, unpack
from journal.errors import JournalFull
from journal.events import Event
from journal.sequencer import Chain, Draft, Stamp, bodies_of
from projections.fold import fold
from projections.state import Machine
from tests.simulation.time import VirtualClock

GENESIS = genesis(b"simulated")


class Disk:
    """What survives: stored values, in order."""

    def __init__(self) -> None:
        self.values: list[bytes] = []
        self.full = False

    def replay(self) -> tuple[Machine, list[tuple[Header, Event]]]:
        """Read, check and fold everything. Raises AssertionError on a chain that is not whole."""
        machine, prev, entries = Machine(), GENESIS, []
        for seq, value in enumerate(self.values, 1):
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


class SimulatedLog:
    """One daemon's life with the disk; see the engine's Log protocol."""

    def __init__(self, disk: Disk, clock: VirtualClock, random: Random) -> None:
        self._disk = disk
        self._clock = clock
        self._random = random
        last = unpack(disk.values[-1]) if disk.values else None
        self._seq = 0 if last is None else last.header.seq
        seq, link = (0, GENESIS) if last is None else (last.header.seq, last.hash)
        self._chain = Chain(seq, link, _salts(random))
        self._queue: list[list[bytes]] = []
        self._durable = self._seq
        self._synced = asyncio.Condition()
        self._woken = asyncio.Event()
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
        batch = self._chain.link(drafts, bodies_of(drafts), stamp)
        self._queue.append(batch.values)
        self._seq = self._chain.seq
        self._woken.set()
        return batch.entries

    async def durable(self, seq: int) -> None:
        """See Log."""
        async with self._synced:
            await self._synced.wait_for(lambda: self._durable >= seq)

    async def write(self) -> None:
        """The writer: groups, each durable after a while."""
        while True:
            await self._woken.wait()
            self._woken.clear()
            while self._queue:
                group = list(self._queue)
                await asyncio.sleep(self._random.choice((0.001, 0.005, 0.05)))
                self._commit(len(group))
                async with self._synced:
                    self._durable = len(self._disk.values)
                    self._synced.notify_all()

    def _commit(self, batches: int) -> None:
        for batch in self._queue[:batches]:
            self._disk.values.extend(batch)
        del self._queue[:batches]

    def crash(self) -> None:
        """The daemon dies: of what was on its way, a prefix of whole batches may have reached the disk."""
        self.alive = False
        self._commit(self._random.randint(0, len(self._queue)))
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
