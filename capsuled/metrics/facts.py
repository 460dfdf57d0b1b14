"""Everything that a scrape tells of, gathered at once. What is here can be written down on another thread."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from capsuled.engine import Engine
from capsuled.fills import fills_of
from capsuled.host import allocated_bytes
from capsuled.metrics.tally import Tally
from capsuled.sampler import Reading, Sampler
from capsuled.services.capsule import About
from effects.errors import DriverError
from effects.volumes.protocol import VolumeDriver
from journal.space import Room
from projections.state import Machine
from projections.storage import Fill

log = logging.getLogger(__name__)

YOUNG_NS = 1_000_000_000
"""Several scrapers at a time see one look at what runs."""
LOOK_S = 5.0
"""For what may hang. Prometheus itself waits for 10 s, unless it is told otherwise."""

T = TypeVar("T")


class Facts(msgspec.Struct, frozen=True):
    """`machine` is a fork of the state; None where the journal cannot be read, for none would be a lie. `fills` are of
    volumes that are mounted, by name. `journal_room`: None where it cannot be written.
    `gathered`: which of what may fail was had, all of it."""

    machine: Machine | None
    short_id: str
    mode: str
    condition: str
    containerd: str
    head_seq: int
    journal_bytes: int
    journal_room: Room | None
    disk_bytes: int
    disk_left_bytes: int
    entries: dict[str, int]
    failures: dict[tuple[str, str], int]
    reading: Reading | None = None
    pool: Fill | None = None
    fills: dict[str, Fill] = {}
    gathered: dict[str, bool] = {}


class Gatherer:
    """Asks the drivers and the state. `readable` says whether there is a state to tell of."""

    def __init__(
        self,
        engine: Engine,
        sampler: Sampler,
        volumes: VolumeDriver,
        about: About,
        journal: Path,
        head: Callable[[], tuple[int, str]],
        room: Callable[[], Room | None],
        readable: bool,
    ) -> None:
        self._engine = engine
        self._sampler = sampler
        self._volumes = volumes
        self._about = about
        self._journal = journal
        self._head = head
        self._room = room
        self._readable = readable
        self._tally = Tally()
        engine.on_entry(self._tally.note)

    async def gather(self) -> Facts:
        """Now. A driver that fails, or does not answer within LOOK_S, costs its own figures alone; so does a guest that
        does not answer."""
        machine, disk = self._engine.machine.fork(), os.statvfs(self._about.state)
        reading, pool, fills = await asyncio.gather(
            _had("what workloads use", self._sampler.reading(YOUNG_NS)),
            _had("how full the storage is", self._volumes.pool()),
            _had("how full volumes are", fills_of(self._volumes, machine.volumes.values())),
        )
        mute = () if reading is None else [one.name for one in reading.usages.values() if not one.whole]
        if mute:
            log.warning("what workloads use cannot be told of all: no answer from the guest of %s", ", ".join(mute))
        if fills is not None and fills.missing:
            log.warning("how full volumes are cannot be told of all: %s", fills.lacking())
        entries, failures = dict(self._tally.entries), dict(self._tally.failures)
        await self._engine.durable()  # of what is counted; the head is what is on the disk after it
        return Facts(
            machine=machine if self._readable else None,
            short_id=self._about.identity.short_id,
            mode=self._about.mode,
            condition=self._about.condition.condition.value,
            containerd=self._about.containerd_version,
            head_seq=self._head()[0],
            journal_bytes=allocated_bytes(self._journal),
            journal_room=self._room(),
            disk_bytes=disk.f_blocks * disk.f_frsize,
            disk_left_bytes=disk.f_bavail * disk.f_frsize,
            entries=entries,
            failures=failures,
            reading=reading,
            pool=pool,
            fills={} if fills is None else fills.known,
            # An alert on a figure is silent where the figure is missing: whoever has one hears of it here.
            gathered={
                "usage": reading is not None and not mute,
                "volumes": pool is not None and fills is not None and not fills.missing,
            },
        )


async def _had(what: str, look: Awaitable[T]) -> T | None:
    """What it comes to; None, which is logged, for what fails or takes too long. `what` is what it finds out, in
    words."""
    try:
        async with asyncio.timeout(LOOK_S):
            return await look
    except (DriverError, OSError) as error:  # a timeout is an OSError
        log.warning("%s cannot be told: %s", what, str(error) or f"there was no answer within {LOOK_S:g} s")
        return None
