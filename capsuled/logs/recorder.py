"""Keeps the logs of whatever runs: notes when they grow, wakes who follows them, and holds them to their bound.

Woken by inotify and by the state, never by a clock. A log is watched from its run's start (or the daemon's) to its end.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from capsuled.engine import Engine
from capsuled.logs.cutting import cut_runs
from capsuled.logs.files import RunFiles, runs_of, size_of
from capsuled.logs.growth import Growth, Watched
from capsuled.logs.index import ERR, OUT, STREAMS
from capsuled.logs.pump import Pump, abandoned_pipe
from capsuled.logs.retention import INDEX_PART, RunSize, cuts, over
from capsuled.logs.setback import Setback
from effects.runs.names import container_id
from journal.clock import Clock
from journal.errors import JournalError
from journal.events import WorkloadLogDropped
from projections.phases import LIVE
from projections.state import Run, Workload

log = logging.getLogger(__name__)

TELL_NS = 60_000_000_000
"""A full disk is a fact once a minute, however often there is room for a moment."""

FULL_BYTES = 1 << 20
"""A disk with less room than this may have been full a moment ago."""

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
        self.cutting = False
        self.setback = Setback(f"the log of {workload.name}")
        self.ended = False
        self.dropped = dict.fromkeys(STREAMS, 0)
        self.told_at_ns = 0

    def is_of(self, workload: Workload, run: Run) -> bool:
        """Whether it is this run's."""
        return (self.uid, self.run) == (workload.uid, run.number)

    def sizes(self) -> list[RunSize]:
        """What the workload's logs take, run by run."""
        return [*self.earlier, self.files.sizes()]


class Recorder:
    """`directory` holds a directory for each workload."""

    def __init__(self, engine: Engine, directory: Path, growth: Growth, clock: Clock, group: asyncio.TaskGroup) -> None:
        self._engine = engine
        self._directory = directory
        self._growth = growth
        self._clock = clock
        self._group = group
        self._recorded: dict[str, Recorded] = {}
        self._done: dict[str, tuple[int, int]] = {}
        self._followers: dict[str, set[asyncio.Event]] = {}
        self._closed = False

    def now_ms(self) -> int:
        """Wall time."""
        return self._clock.wall_ns() // 1_000_000

    def open(self) -> None:
        """Take up what runs: what it wrote while no daemon was there is late."""
        for name in sorted(self._engine.machine.workloads):
            with _told(name):
                self._update(name, fresh=False)
        self._engine.on_change(self.wake)

    def close(self) -> None:
        """Note what came last, and let go; a cut in progress is the task group's to wait for."""
        self._closed = True
        for name in list(self._recorded):
            self._finish(self._recorded.pop(name), goes_on=True)

    def wake(self, name: str, seq: int) -> None:
        """An entry changed this workload."""
        if not self._closed:
            with _told(name):
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
        with _told(name):
            if name not in self._recorded:
                self._update(name, fresh=False)  # in vain before, if its disk was full then
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
            if workload is not None and run is not None and recorded.is_of(workload, run) and writes(run):
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
        try:
            runs = (number for number in runs_of(directory, workload.uid) if number != run.number)
            recorded = Recorded(workload, run, files, [size_of(directory, workload.uid, number) for number in runs])
            files.begin(self.now_ms(), fresh)
        except OSError:
            files.close()  # it is tried again with each entry of the workload
            raise
        if not writes(run):
            self._done[workload.name] = (workload.uid, run.number)
            self._finish(recorded)
            return
        self._recorded[workload.name] = recorded
        self._hold_to_bound(recorded)  # it may have outgrown it while nobody was here
        for stream in STREAMS:
            grew, let_go = self._grew(recorded, stream), self._let_go_of(recorded, stream)
            recorded.watched.append(self._growth.watch(files.paths[stream], grew, let_go))
            if not fresh or _is_full(directory):
                let_go()  # it may have been given up before it was watched

    def _grew(self, recorded: Recorded, stream: int) -> Callable[[], bool]:
        def look() -> bool:
            if not recorded.files.grown(stream, self.now_ms()):
                return False
            self._hold_to_bound(recorded)
            self._wake_followers(recorded.name)
            return True

        return look

    def _finish(self, recorded: Recorded, goes_on: bool = False) -> None:
        """The run has ended: all it wrote is in the files by now. Or it goes on, and the daemon ends."""
        for watched in recorded.watched:
            watched.end()
        for pump in recorded.pumps.values():
            pump.close(goes_on)
        self._tell(recorded)
        for stream in STREAMS:
            recorded.files.grown(stream, self.now_ms())
        self._hold_to_bound(recorded)
        recorded.ended = True
        if not recorded.cutting:
            recorded.files.close()

    # --- the bound -----------------------------------------------------------------------------------------------

    def _hold_to_bound(self, recorded: Recorded) -> None:
        if not recorded.cutting and recorded.setback.is_over() and _too_much(recorded, recorded.sizes()):
            recorded.cutting = True
            self._group.create_task(self._cut(recorded), name=f"log of {recorded.name}")

    async def _cut(self, recorded: Recorded) -> None:
        """Until the bound holds, or nothing more can be done for it."""
        before: list[RunSize] = []
        try:
            while _too_much(recorded, sizes := recorded.sizes()) and sizes != before:
                before = sizes
                await self._cut_once(recorded, sizes)
            recorded.setback.mended()
        except FileNotFoundError:
            pass  # the workload was deleted meanwhile
        except OSError as error:
            recorded.setback.failed(error)
        finally:
            recorded.cutting = False
            if recorded.ended:
                recorded.files.close()

    async def _cut_once(self, recorded: Recorded, sizes: list[RunSize]) -> None:
        directory, uid, bound = self._directory / recorded.name, recorded.uid, recorded.bound
        planned = cuts(bound, sizes)
        whole = await asyncio.to_thread(cut_runs, directory, uid, planned, recorded.run, bound // INDEX_PART)
        if whole is not None:
            for stream in whole:
                recorded.files.empty(stream)
            recorded.files.again(self.now_ms())
        gone, changed = {cut.run for cut in planned if cut.whole}, {cut.run for cut in planned}
        recorded.earlier = [
            size_of(directory, uid, one.run) if one.run in changed else one
            for one in recorded.earlier
            if one.run not in gone
        ]

    # --- where the runtime gave up -------------------------------------------------------------------------------

    def _let_go_of(self, recorded: Recorded, stream: int) -> Callable[[], None]:
        cid = container_id(recorded.name, recorded.uid, recorded.run)

        def take_over() -> None:
            pump = recorded.pumps.get(stream)
            if not recorded.pid or (pump is not None and not pump.closed):
                return
            pipe = abandoned_pipe(cid, recorded.pid, recorded.files.paths[stream], _SHIM_OUTPUT[stream])
            if pipe is not None:
                log.warning("the runtime gave up the log of %s run %d: kept from here", recorded.name, recorded.run)
                recorded.pumps[stream] = Pump(recorded.files, stream, pipe, gap)

        def gap(dropped: int) -> None:
            recorded.dropped[stream] += dropped
            if self._clock.mono_ns() - recorded.told_at_ns > TELL_NS:
                self._tell(recorded)

        return take_over

    def _tell(self, recorded: Recorded) -> None:
        """Remember what was dropped. Not at once: this may be called while entries are being folded."""
        for stream, dropped in recorded.dropped.items():
            if dropped:
                word = "stdout" if stream == OUT else "stderr"
                event = WorkloadLogDropped(recorded.name, recorded.uid, recorded.run, word, dropped)
                asyncio.get_running_loop().call_soon(self._remember, event)
        recorded.dropped = dict.fromkeys(STREAMS, 0)
        recorded.told_at_ns = self._clock.mono_ns()

    def _remember(self, event: WorkloadLogDropped) -> None:
        try:
            self._engine.record((event,), reserved=True)
        except JournalError as error:
            log.warning("%s lost output, which cannot be remembered: %s", event.name, error)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """A disk that fails costs this workload's log its order, and nobody else anything: neither who made an entry, nor
    the daemon its start."""
    try:
        yield
    except OSError as error:
        log.warning("the log of %s is not kept in order: %s", name, error)


def writes(run: Run) -> bool:
    """Whether more may come: the runtime may tell of an end before it has copied the last output, and has done so only
    once it let go of the run."""
    return run.phase in LIVE or not run.cleaned


def _is_full(directory: Path) -> bool:
    disk = os.statvfs(directory)
    return disk.f_bavail * disk.f_frsize < FULL_BYTES


def _too_much(recorded: Recorded, sizes: list[RunSize]) -> bool:
    return over(recorded.bound, sizes) or sizes[-1].index > recorded.bound // INDEX_PART
