"""Tells history of drift: when another hand's change is found, and when it is so no more.

What is to be told follows from the state alone, so a daemon that dies in between tells it in its next life.
"""

import logging

from capsuled.engine import Engine
from effects.runner import FULL_RETRY_S
from journal.clock import Clock
from journal.errors import JournalFull
from projections.drift import MARKING, news

log = logging.getLogger(__name__)


class DriftWatch:
    """A task of the daemon's."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    async def run(self) -> None:
        """Follow the state until cancelled. It is woken right after an entry, before anybody can have acted on that:
        what is mended at once is told of, too."""
        engine = self._engine
        told_full = False
        while True:
            try:
                for event in news(engine.machine):
                    engine.record((event,), cause=event.observed, reserved=True)
            except JournalFull as full:
                if not told_full:
                    log.warning("drift cannot be journaled yet: %s", full)
                told_full = True
                await self._clock.sleep(FULL_RETRY_S)
            else:
                told_full = False
                await engine.moved(() if engine.machine.drifts else MARKING)
