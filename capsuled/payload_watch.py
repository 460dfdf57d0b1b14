"""The payload disks that no microVM needs any more: removed when a life begins, and whenever one may have become such.

They are made from images, and only when a run needs one: nothing of them stands in the journal.
"""

import asyncio
import logging

from capsuled.engine import Engine
from capsuled.insist import until_seen
from effects.errors import DriverError
from effects.payloads.protocol import PayloadDisks
from journal.clock import Clock
from journal.events import WorkloadApplied, WorkloadExited, WorkloadLost, WorkloadRemoved
from projections.payloads import wanted_payloads

log = logging.getLogger(__name__)

_FREEING = (WorkloadApplied, WorkloadExited, WorkloadLost, WorkloadRemoved)
"""After these, an image may be no microVM's any more."""
RETRY_S = 30.0


class PayloadWatch:
    """A task of the daemon's, in a life that acts."""

    def __init__(self, engine: Engine, disks: PayloadDisks, clock: Clock) -> None:
        self._engine = engine
        self._disks = disks
        self._clock = clock

    async def look(self) -> None:
        """Put away what an earlier life left half made, before any disk is asked for."""
        await until_seen(self._disks.sweep, self._clock, "the payload disks")

    async def run(self) -> None:
        """Remove what is not needed, until cancelled."""
        while True:
            # Waited for from before the look on: what comes while it is made is looked at after it.
            moved = asyncio.ensure_future(self._engine.moved(_FREEING))
            try:
                await asyncio.sleep(0)
                await self._collect()
                await moved
            finally:
                moved.cancel()

    async def _collect(self) -> None:
        while True:
            try:
                await self._disks.collect(lambda: wanted_payloads(self._engine.machine))
                return
            except (DriverError, OSError) as error:
                log.warning("payload disks that nobody needs cannot be removed: %s", error)
                await self._clock.sleep(RETRY_S)
