"""Everything that a scrape tells of, gathered at once. What is here can be written down on another thread."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from capsuled.engine import Engine
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


class Facts(msgspec.Struct, frozen=True):
    """`machine` is a fork of the state; None where the journal cannot be read, for none would be a lie. `fills` are of
    volumes that are mounted, by name. `journal_room`: None where it cannot be written.
    `gathered`: which of what may fail was had."""

    machine: Machine | None
    short_id: str
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
        """Now. A driver that fails costs its own figures alone."""
        machine, disk = self._engine.machine.fork(), os.statvfs(self._about.state)
        reading, pool, fills = None, None, {}
        gathered = {}
        try:
            reading = await self._sampler.reading(YOUNG_NS)
            gathered["usage"] = True
        except (DriverError, OSError) as error:
            log.warning("what workloads use cannot be told: %s", error)
            gathered["usage"] = False
        try:
            pool, fills = await self._volumes.pool(), await self._fills(machine)
            gathered["volumes"] = True
        except (DriverError, OSError) as error:
            log.warning("how full volumes are cannot be told: %s", error)
            gathered["volumes"] = False
        entries, failures = dict(self._tally.entries), dict(self._tally.failures)
        await self._engine.durable()  # of what is counted; the head is what is on the disk after it
        return Facts(
            machine=machine if self._readable else None,
            short_id=self._about.identity.short_id,
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
            fills=fills,
            gathered=gathered,
        )

    async def _fills(self, machine: Machine) -> dict[str, Fill]:
        found = {}
        for volume in machine.volumes.values():
            fill = await self._volumes.usage(volume.name, volume.uid) if volume.holder else None
            if fill is not None:
                found[volume.name] = fill
        return found
