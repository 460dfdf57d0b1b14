"""From the drivers' reports to observations: every end is journaled once, and a gap in the reports is looked through.

After each (re)connection to a runtime everything of it is observed, differences are journaled, and what belongs to no
workload any more is removed. Each kind of workload has a driver, and is followed by itself.
"""

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from capsuled.engine import Engine
from capsuled.insist import until_seen
from effects.runner import FULL_RETRY_S
from effects.runs.by_kind import RunDrivers
from effects.runs.protocol import Resync, RunDriver
from journal.clock import Clock
from journal.errors import JournalFull
from journal.specs import Kind
from projections.observations import Observation, ObservedRun, live_runs, observe_all, observe_run, strangers
from projections.words import KINDS

log = logging.getLogger(__name__)


class Observer:
    """`acting_on` tells which effect is at work on a workload, `ended_here` whether this machine ends a run although no
    effect does. `synced` is set once everything of every kind was observed for the first time; before it, nothing may
    be planned."""

    def __init__(self, engine: Engine, drivers: RunDrivers, clock: Clock, *, frozen: bool) -> None:
        self._engine = engine
        self._drivers = drivers
        self._unseen = set(drivers)
        self._clock = clock
        self._frozen = frozen
        self.acting_on: Callable[[str], int] = _nobody
        self.ended_here: Callable[[ObservedRun], bool] = _never
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """Follow the drivers until cancelled."""
        async with asyncio.TaskGroup() as group:
            for kind, driver in self._drivers.items():
                group.create_task(self._follow(kind, driver))

    async def _follow(self, kind: Kind, driver: RunDriver) -> None:
        async for report in driver.exits():
            if isinstance(report, Resync):
                await self._resync(kind, driver)
                continue
            clock, ours = self._clock, self.ended_here(report)
            try:
                self._record(observe_run(self._engine.machine, report, clock.boot_id, clock.mono_ns(), ended_here=ours))
            except JournalFull as full:
                log.warning("an end cannot be journaled yet: %s", full)
                await self._clock.sleep(FULL_RETRY_S)
                await self._resync(kind, driver)

    def _record(self, events: tuple[Observation, ...], first: bool = False) -> None:
        """`first`: what a life finds when it begins. Nothing would be stopped or removed in it without that."""
        if events and not self._frozen:
            # What the world did has happened, whether or not the disk is full: the reserve is for this.
            for event in events:
                self._engine.record((event,), cause=self.acting_on(event.name), reserved=True, vital=first)

    async def _resync(self, kind: Kind, driver: RunDriver) -> None:
        """Look until one look succeeds; the stream of ends waits meanwhile and loses nothing."""
        await until_seen(partial(self._look, kind, driver), self._clock, f"what runs {KINDS[kind]}s")
        self._unseen.discard(kind)
        if not self._unseen:
            self.synced.set()

    async def _look(self, kind: Kind, driver: RunDriver) -> None:
        lived = live_runs(self._engine.machine)
        seen = await driver.observe()
        machine, clock = self._engine.machine, self._clock
        first = kind in self._unseen
        self._record(observe_all(machine, seen, clock.boot_id, clock.mono_ns(), lived, kind), first)
        if not self._frozen:
            for one in strangers(self._engine.machine, seen):
                log.info("removing %s.%d run %d, which no workload owns", one.name, one.uid, one.run)
                await driver.remove_run(one.name, one.uid, one.run)


def _nobody(name: str) -> int:
    return 0


def _never(seen: ObservedRun) -> bool:
    return False
