"""From the driver's reports to observations: every end is journaled once, and a gap in the reports is looked through.

After each (re)connection to the runtime everything is observed, differences are journaled, and what belongs to no
workload any more is removed.
"""

import asyncio
import logging
from collections.abc import Callable

from capsuled.engine import Engine
from capsuled.insist import until_seen
from effects.runner import FULL_RETRY_S
from effects.runs.protocol import Resync, RunDriver
from effects.runs.translation import seen_run
from journal.clock import Clock
from journal.errors import JournalFull
from projections.observations import Observation, SeenRun, live_runs, observe_all, observe_run, strangers

log = logging.getLogger(__name__)


class Observer:
    """`acting_on` tells which effect is at work on a workload, `ended_here` whether this machine ends a run although no
    effect does. `synced` is set once everything was observed for the first time; before it, nothing may be
    planned."""

    def __init__(self, engine: Engine, containers: RunDriver, clock: Clock, *, frozen: bool) -> None:
        self._engine = engine
        self._containers = containers
        self._clock = clock
        self._frozen = frozen
        self.acting_on: Callable[[str], int] = _nobody
        self.ended_here: Callable[[SeenRun], bool] = _never
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Follow the driver until cancelled."""
        async for report in self._containers.exits():
            if isinstance(report, Resync):
                await self._resync()
                continue
            seen, clock = seen_run(report), self._clock
            ours = self.ended_here(seen)
            try:
                self._record(observe_run(self._engine.machine, seen, clock.boot_id, clock.mono_ns(), ended_here=ours))
            except JournalFull as full:
                log.warning("an end cannot be journaled yet: %s", full)
                await self._clock.sleep(FULL_RETRY_S)
                await self._resync()

    def _record(self, events: tuple[Observation, ...]) -> None:
        if events and not self._frozen:
            # What the world did has happened, whether or not the disk is full: the reserve is for this.
            for event in events:
                self._engine.record((event,), cause=self.acting_on(event.name), reserved=True)

    async def _resync(self) -> None:
        """Look until one look succeeds; the stream of ends waits meanwhile and loses nothing."""
        await until_seen(self._look, self._clock, "the runtime")
        self.synced.set()

    async def _look(self) -> None:
        lived = live_runs(self._engine.machine)
        seen = tuple(seen_run(one) for one in await self._containers.observe())
        machine, clock = self._engine.machine, self._clock
        self._record(observe_all(machine, seen, clock.boot_id, clock.mono_ns(), lived))
        if not self._frozen:
            for one in strangers(self._engine.machine, seen):
                log.info("removing %s.%d run %d, which no workload owns", one.name, one.uid, one.run)
                await self._containers.remove_run(one.name, one.uid, one.run)


def _nobody(name: str) -> int:
    return 0


def _never(seen: SeenRun) -> bool:
    return False
