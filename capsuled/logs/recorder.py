"""Keeps the logs of whatever runs: notes when they grow, wakes who follows them, and holds them to their bound.

Woken by inotify and by the state, never by a clock. A log is watched from its run's start (or the daemon's) to its end.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from capsuled.engine import Engine
from capsuled.logs.files import RunFiles, cut_front, cut_index, remove, runs_of, size_of
from capsuled.logs.growth import Growth, Watched
from capsuled.logs.holes import NoHoles
from capsuled.logs.index import ERR, OUT, STREAMS
from capsuled.logs.pump import Pump, abandoned_pipe
from capsuled.logs.retention import INDEX_PART, Cut, RunSize, cuts, over
from journal.clock import Clock
from journal.errors import JournalError
from journal.events import WorkloadLogDropped
from projections.phases import LIVE
from projections.state import Run, Workload

log = logging.getLogger(__name__)

_SHIM_OUTPUT = {OUT: 1, ERR: 2}


class Recorded:
    """One run's log under watch. `earlier`: what the logs of earlier runs take."""

    def __init__(self, workload: Workload, run: Run, files: RunFiles, earlier: list[RunSize]) -> None:
        self.name = workload.name
        self.uid = workload.uid
        self.run = run.number
        self.pid = run.pid
        self.bound = workload.spec.log_max_bytes
        self.files = files
        self.earlier = earlier
        self.watched: list[Watched] = []
        self.pumps: dict[int, Pump] = {}
        self.cutting: asyncio.Task[None] | None = None


class Recorder:
    """`directory` holds a directory for each workload."""

    def __init__(self, engine: Engine, directory: Path, growth: Growth, clock: Clock) -> None:
        self._engine = engine
        self._directory = directory
        self._growth = growth
        self._clock = clock
        self._recorded: dict[str, Recorded] = {}
        self._done: dict[str, tuple[int, int]] = {}
        self._followers: dict[str, set[asyncio.Event]] = {}

    def now_ms(self) -> int:
        """Wall time."""
        return self._clock.wall_ns() // 1_000_000

    def open(self) -> None:
        """Take up what runs: what it wrote while no daemon was there is late."""
        for name in sorted(self._engine.machine.workloads):
            self._update(name, fresh=False)
        self._engine.on_change(self.wake)

    async def close(self) -> None:
        """Note what came last, and let go."""
        for name in list(self._recorded):
            await self._let_go(self._recorded.pop(name))

    def wake(self, name: str, seq: int) -> None:
        """An entry changed this workload."""
        self._update(name, fresh=True)
        self._wake_followers(name)

    # --- following -----------------------------------------------------------------------------------------------

    @contextmanager
    def following(self, name: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the workload's log or state changed."""
        woken = asyncio.Event()
        self._followers.setdefault(name, set()).add(woken)
        try:
            yield woken
        finally:
            self._followers[name].discard(woken)
            if not self._followers[name]:
                del self._followers[name]

    def settle(self, name: str) -> None:
        """Note at once what there is, for somebody who is about to read it."""
        recorded = self._recorded.get(name)
        if recorded is not None:
            for stream in STREAMS:
                recorded.files.grown(stream, self.now_ms())

    def _wake_followers(self, name: str) -> None:
        for woken in self._followers.get(name, ()):
            woken.set()

    # --- watching ------------------------------------------------------------------------------------------------

    def _update(self, name: str, fresh: bool) -> None:
        workload = self._engine.machine.workloads.get(name)
        run = None if workload is None else workload.run
        recorded = self._recorded.get(name)
        if recorded is not None:
            same = workload is not None and run is not None and (workload.uid, run.number) == (recorded.uid, recorded.run)
            if same and run is not None and run.phase in LIVE:
                assert workload is not None
                recorded.pid = run.pid
                return
            del self._recorded[name]
            self._done[name] = (recorded.uid, recorded.run)
            self._finish(recorded)
        if workload is None or run is None:
            self._done.pop(name, None)
        elif self._done.get(name) != (workload.uid, run.number):
            self._take_up(workload, run, fresh)

    def _take_up(self, workload: Workload, run: Run, fresh: bool) -> None:
        directory = self._directory / workload.name
        try:
            files = RunFiles(directory, workload.uid, run.number)
        except FileNotFoundError:
            return  # its start has not come so far
        except OSError as error:
            log.warning("the log of %s cannot be watched: %s", workload.name, error.strerror)
            return
        runs = (number for number in runs_of(directory, workload.uid) if number != run.number)
        recorded = Recorded(workload, run, files, [size_of(directory, workload.uid, number) for number in runs])
        files.begin(self.now_ms(), fresh)
        if run.phase not in LIVE:
            self._done[workload.name] = (workload.uid, run.number)
            self._finish(recorded)
            return
        self._recorded[workload.name] = recorded
        for stream in STREAMS:
            self._take_over(recorded, stream)
            recorded.watched.append(
                self._growth.watch(files.paths[stream], self._grew(recorded, stream), self._closed(recorded, stream))
            )

    def _grew(self, recorded: Recorded, stream: int) -> Callable[[], bool]:
        def look() -> bool:
            if not recorded.files.grown(stream, self.now_ms()):
                return False
            self._hold_to_bound(recorded)
            self._wake_followers(recorded.name)
            return True

        return look

    def _finish(self, recorded: Recorded) -> None:
        """The run has ended: all it wrote is in the files by now."""
        for stream in STREAMS:
            recorded.files.grown(stream, self.now_ms())
        self._hold_to_bound(recorded)
        self._end_watches(recorded)
        if recorded.cutting is None:
            recorded.files.close()
        else:
            recorded.cutting.add_done_callback(lambda _: recorded.files.close())

    async def _let_go(self, recorded: Recorded) -> None:
        self._end_watches(recorded)
        if recorded.cutting is not None:
            await asyncio.gather(recorded.cutting, return_exceptions=True)
        for stream in STREAMS:
            recorded.files.grown(stream, self.now_ms())
        recorded.files.close()

    def _end_watches(self, recorded: Recorded) -> None:
        for watched in recorded.watched:
            watched.end()
        for pump in recorded.pumps.values():
            pump.close()

    # --- the bound -----------------------------------------------------------------------------------------------

    def _hold_to_bound(self, recorded: Recorded) -> None:
        sizes = [*recorded.earlier, recorded.files.sizes()]
        if recorded.cutting is None and (over(recorded.bound, sizes) or self._long_index(recorded, sizes[-1])):
            recorded.cutting = asyncio.create_task(self._cut(recorded, sizes), name=f"log of {recorded.name}")
            recorded.cutting.add_done_callback(lambda task: self._cut_done(recorded, task))

    def _long_index(self, recorded: Recorded, size: RunSize) -> bool:
        return size.index > recorded.bound // INDEX_PART

    async def _cut(self, recorded: Recorded, sizes: list[RunSize]) -> None:
        directory, uid = self._directory / recorded.name, recorded.uid
        planned = cuts(recorded.bound, sizes)
        whole = await asyncio.to_thread(_apply, directory, uid, planned, recorded.bound // INDEX_PART, recorded.run)
        for run, stream in whole:
            if run == recorded.run:
                recorded.files.empty(stream, self.now_ms())
        gone = {cut.run for cut in planned if cut.whole}
        changed = {cut.run for cut in planned}
        recorded.earlier = [
            size_of(directory, uid, one.run) if one.run in changed else one
            for one in recorded.earlier
            if one.run not in gone
        ]

    def _cut_done(self, recorded: Recorded, task: "asyncio.Task[None]") -> None:
        recorded.cutting = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("the log of %s could not be cut: %s", recorded.name, error)
        elif recorded.name in self._recorded and not task.cancelled():
            self._hold_to_bound(recorded)  # it may have outgrown the bound again meanwhile

    # --- where the runtime gave up -------------------------------------------------------------------------------

    def _closed(self, recorded: Recorded, stream: int) -> Callable[[], None]:
        return lambda: self._take_over(recorded, stream)

    def _take_over(self, recorded: Recorded, stream: int) -> None:
        pump = recorded.pumps.get(stream)
        if not recorded.pid or (pump is not None and not pump.closed):
            return
        pipe = abandoned_pipe(recorded.pid, recorded.files.paths[stream], _SHIM_OUTPUT[stream])
        if pipe is not None:
            log.warning("the runtime gave up the log of %s, run %d; it is kept from here", recorded.name, recorded.run)
            recorded.pumps[stream] = Pump(
                recorded.files, stream, pipe, lambda dropped: self._gap(recorded, stream, dropped)
            )

    def _gap(self, recorded: Recorded, stream: int, dropped: int) -> None:
        event = WorkloadLogDropped(
            recorded.name, recorded.uid, recorded.run, "stdout" if stream == OUT else "stderr", dropped
        )
        try:
            self._engine.record((event,), reserved=True)
        except JournalError as error:
            log.warning("%s lost up to %d bytes of log, which cannot be remembered: %s", recorded.name, dropped, error)


def _apply(directory: Path, uid: int, planned: list[Cut], index_bytes: int, present: int) -> list[tuple[int, int]]:
    """Cut, away from the loop: a file system may take its time. Returns what could only go whole: (run, stream)."""
    whole = []
    for cut in planned:
        if cut.whole:
            remove(directory, uid, cut.run)
            continue
        for stream, keep in ((OUT, cut.keep_out), (ERR, cut.keep_err)):
            try:
                cut_front(path, keep)
            except NoHoles:
                whole.append((cut.run, stream))
    for run in {present, *(cut.run for cut in planned if not cut.whole)}:
        try:
            cut_index(directory, uid, run, index_bytes)
        except NoHoles:
            whole.append((run, 0))
    return whole
