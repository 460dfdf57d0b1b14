"""journal.append: whole entries a second through the journal, against one write and fdatasync, and bare putmulti.

The bursts of a batch's size fit into the front log; `.long` is three times as much as that holds, so that what is moved
into LMDB meanwhile counts, too.
"""

import asyncio
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

import lmdb

from bench.report import Row, in_turn, row
from journal.clock import SystemClock
from journal.codec import encode
from journal.entry import EFFECT, pack
from journal.environment import Environment
from journal.events import EffectFailed
from journal.sequencer import Draft
from journal.writer import Journal

BODY_BYTES = 500
ROUNDS = 9
BATCHES = {1: 200, 64: 100, 256: 60}
LONG_ROUNDS, LONG_BATCHES = 5, 280
CALLERS = 2
"""Each appends a batch, waits until it is durable, and appends the next: while one's is written, the other's is put
together. A write that took both batches is counted as one, so grouping, which the peers cannot do, gains nothing."""


def _drafts(count: int) -> list[Draft]:
    """Different events of the same size, all of one kind, as a busy machine writes them."""
    bare = len(encode(EffectFailed("StartRun", "web", 7, "NO_SPACE", "", run=3)))
    texts = (f"{number:0{BODY_BYTES - bare - 2}}" for number in range(count))
    drafts = [Draft(EffectFailed("StartRun", "web", 7, "NO_SPACE", text, run=3), EFFECT) for text in texts]
    assert {len(encode(draft.event)) for draft in drafts} == {BODY_BYTES}
    return drafts


class Appends:
    """The measures for one size of batch, on one directory."""

    def __init__(self, directory: Path, size: int, count: int) -> None:
        self._directory = directory
        self._size = size
        self._count = count
        self._values: list[bytes] = []
        self.cpu_us: list[float] = []
        self.sync_us: list[float] = []

    def ours(self) -> float:
        """Entries a second through the journal."""
        with tempfile.TemporaryDirectory(dir=self._directory) as scratch:
            return asyncio.run(self._ours(Path(scratch) / "journal"))

    async def _ours(self, directory: Path) -> float:
        journal = Journal(Environment(directory), SystemClock())
        drafts, left = _drafts(self._size), iter(range(self._count))

        async def caller() -> None:
            for _ in left:
                await journal.durable(journal.append(drafts)[-1][0].seq)

        begun, used = time.perf_counter(), _cpu_s()
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(caller())
        seconds = time.perf_counter() - begun
        self.cpu_us.append((_cpu_s() - used) / (self._count * self._size) * 1e6)
        writes = min(self._count, journal.writes)
        self._values = [
            pack(stored.header_bytes, stored.salt, stored.body) for stored in journal.reader.newest(self._size)
        ]
        await journal.close()
        return writes * self._size / seconds

    def raw(self) -> float:
        """Entries a second as one write and one fdatasync a batch, of the same bytes."""
        with tempfile.NamedTemporaryFile(dir=self._directory) as file:
            block = b"".join(self._values)
            syncs: list[float] = []
            begun = time.perf_counter()
            for _ in range(self._count):
                os.write(file.fileno(), block)
                before = time.perf_counter()
                os.fdatasync(file.fileno())
                syncs.append(time.perf_counter() - before)
            seconds = time.perf_counter() - begun
        self.sync_us.append(statistics.median(syncs) * 1e6)
        return self._count * self._size / seconds

    def bare(self) -> float:
        """Entries a second as bare putmulti transactions of the same bytes."""
        with tempfile.TemporaryDirectory(dir=self._directory) as scratch:
            environment = lmdb.open(scratch, map_size=1 << 30, max_dbs=1, sync=True, metasync=True, writemap=False)
            database = environment.open_db(b"facts")
            seq, begun = 0, time.perf_counter()
            for _ in range(self._count):
                pairs = [((seq + offset).to_bytes(8, "big"), value) for offset, value in enumerate(self._values)]
                seq += self._size
                with environment.begin(write=True) as txn, txn.cursor(database) as cursor:
                    cursor.putmulti(pairs, append=True)
            seconds = time.perf_counter() - begun
            environment.close()
        return self._count * self._size / seconds


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def rows(directory: Path) -> list[Row]:
    """All sizes."""
    found: list[Row] = []
    for size, bar in ((1, ">=0.5"), (64, ">=0.4"), (256, ">=0.3")):
        appends = Appends(directory, size, BATCHES[size])
        found += _measured(f"journal.append.{size}", appends, ROUNDS, bar, ">=0.6" if size > 1 else "")
    return found + _measured("journal.append.long", Appends(directory, 256, LONG_BATCHES), LONG_ROUNDS, "", "")


def _measured(name: str, appends: Appends, rounds: int, bar: str, lmdb_bar: str) -> list[Row]:
    appends.ours()  # warm, and the bytes that the peers write
    ours, raw, bare = in_turn(rounds, appends.ours, appends.raw, appends.bare)
    cpu_us, sync_us = statistics.median(appends.cpu_us), statistics.median(appends.sync_us)
    note = f"{cpu_us:.1f} µs CPU an entry, fdatasync {sync_us:.0f} µs"
    return [
        row(name, ours, "entries/s", "write+fdatasync", raw, bar, note),
        row(name, ours, "entries/s", "lmdb putmulti", bare, lmdb_bar),
    ]
