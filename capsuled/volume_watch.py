"""What the storage does by itself: volumes that vanish or come back, mounts that nobody holds, file systems that fill.

The kernel gives no event when a file system fills: while volumes exist they are measured now and then. What nobody here
knows is never removed: it may be somebody's data.
"""

import asyncio
import logging
from collections.abc import Callable

from capsuled.engine import Engine
from capsuled.fills import fills_of
from capsuled.insist import until_seen
from capsuled.volume_streams import on_the_way
from effects.actions import VOLUME
from effects.errors import DriverError
from effects.volumes.actions import free
from effects.volumes.protocol import VolumeDriver
from journal.clock import Clock
from journal.errors import JournalFull
from journal.events import Event
from projections.state import Volume
from projections.storage import (
    broken,
    differences,
    filling,
    found_again,
    gone,
    has_it_open,
    mount_news,
    spoiled,
    strangers,
    stray_snapshots,
    unheld,
)
from projections.volumes import read_only

log = logging.getLogger(__name__)

MEASURE_S = 30.0
_PAUSES_S = (0.1, 0.2, 0.4, 0.8)
"""Behind each try to let go of what a life before has left mounted, and that fails."""


class VolumeWatch:
    """`frozen`: look, and change nothing. `acting_on` tells which effect is at work on a workload or a volume."""

    def __init__(self, engine: Engine, volumes: VolumeDriver, clock: Clock, *, frozen: bool) -> None:
        self._engine = engine
        self._volumes = volumes
        self._clock = clock
        self._frozen = frozen
        self._thawed = self._swept = self._told_full = False
        self.acting_on: Callable[[str], int] = _nobody

    async def begin(self, limit_s: float) -> None:
        """Put away what the life before left, before anybody stages something in this one. It takes no longer than
        that: a storage that does not answer holds up no start, and is swept as soon as it does."""
        try:
            async with asyncio.timeout(limit_s):
                await self._volumes.thaw()
                self._thawed = True
                if not self._frozen:
                    await self._sweep()
        except (DriverError, OSError) as error:  # a timeout is an OSError
            why = str(error) or f"it did not answer within {limit_s:g} s"
            log.warning("what a life before left in the storage is put away later: %s", why)

    async def thaw(self) -> None:
        """What a life that was killed left frozen goes on, also in one that changes nothing: workloads write there."""
        if self._thawed:
            return
        try:
            await self._volumes.thaw()
        except (DriverError, OSError) as error:
            log.warning("what is mounted may be frozen: %s", error)

    async def warnings(self) -> tuple[str, ...]:
        """What is wrong with volumes and can be mended."""
        try:
            seen = await self._volumes.observe()
        except (DriverError, OSError) as error:
            return (f"the volumes cannot be looked at: {error}",)
        ill = spoiled(self._engine.machine, seen)
        return tuple(f"volume {volume.name}: {read_only(volume)}" for volume in ill)

    async def look(self) -> None:
        """Compare the storage with the state, until one look succeeds: before it nothing may be planned."""
        if not self._frozen:
            if not self._swept:
                await until_seen(self._sweep, self._clock, "the storage")
            await until_seen(self._look, self._clock, "the storage")

    async def _sweep(self) -> None:
        """What came for a volume that is still to be made of it stays, and what comes now: an import waits neither for
        the runtime nor for a look."""
        awaited = self._awaited()

        def begun() -> frozenset[str]:
            return self._awaited() - awaited | on_the_way(self._engine.machine)

        await self._volumes.sweep(awaited, begun)
        self._swept = True

    def _awaited(self) -> frozenset[str]:
        return frozenset(volume.staged for volume in self._engine.machine.volumes.values() if volume.staged)

    async def _look(self) -> None:
        seen, mounted = await self._volumes.observe(), await self._volumes.mounted()
        self._engine.record(differences(self._engine.machine, seen, mounted), vital=True)
        machine = self._engine.machine
        for name, uid in strangers(machine, seen):
            log.warning("the storage has %s.%d, which no volume here is: it is left alone", name, uid)
        for name, uid, snapshot in stray_snapshots(machine, seen):
            log.warning("the storage has %s.%d@%d, which no snapshot here is: it is left alone", name, uid, snapshot)
        for name, uid in unheld(machine, seen, mounted):
            await self._let_go(name, uid)

    async def _let_go(self, name: str, uid: int) -> None:
        """Now, while nobody acts, or with the next start: later on, whoever is just about to mount it might lose it."""
        why = ""
        for pause_s in _PAUSES_S:
            try:
                await free(self._volumes, name, uid)
                return
            except (DriverError, OSError) as error:
                why = str(error)
                await self._clock.sleep(pause_s)
        log.warning("volume %s was left mounted by a life before, and stays so: %s", name, why)

    async def run(self) -> None:
        """Measure until cancelled, and look for what was lost."""
        while True:
            await self._clock.sleep(MEASURE_S)
            if not self._frozen and self._engine.machine.volumes:
                await self.measure()

    async def follow(self) -> None:
        """Look at the mounts whenever another hand may have been there, until cancelled."""
        async for _ in self._volumes.mounts():
            if not self._frozen:
                await self.look_at_mounts()

    async def look_at_mounts(self) -> None:
        """Tell of each mount that is gone under a run, and of each that was only reported and is back."""
        machine = self._engine.machine
        held = [volume for volume in machine.volumes.values() if has_it_open(machine, volume)]
        if not held:
            return
        try:
            mounted = await self._volumes.mounted()
            for volume in held:
                # Where an effect is at work it may be ours; and while this looked, much may have changed.
                if self.acting_on(volume.holder) or self._engine.machine.volumes.get(volume.name) is not volume:
                    continue
                told = mount_news(volume, (volume.name, volume.uid) in mounted)
                if self._engine.record(told, reserved=True):
                    self._told_full = False
        except (DriverError, OSError) as error:
            log.warning("the mounts cannot be looked at: %s", error)
        except JournalFull as full:
            self._full(full)

    async def measure(self) -> None:
        """Tell of each mark that was passed since the last time, of file systems that broke, and of what is gone."""
        await self.look_at_mounts()
        machine = self._engine.machine
        try:
            if machine.volumes:
                await self._look_for_losses()
            events = [filling(await self._volumes.pool(), machine.pool_filling)]
            volumes = tuple(machine.volumes.values())
            fills = await fills_of(self._volumes, volumes)
            for volume in volumes:
                fill = fills.known.get(volume.name)
                if fill is not None:
                    events.append(filling(fill, volume.filling, volume.name, volume.uid))
            if fills.missing:
                log.warning("not all volumes can be measured: %s", fills.lacking())
            news = [event for event in events if event is not None]
            if self._engine.record(news, reserved=True):
                self._told_full = False
        except (DriverError, OSError) as error:
            log.warning("the storage cannot be measured: %s", error)
        except JournalFull as full:
            self._full(full)

    async def _look_for_losses(self) -> None:
        """Of each volume that nobody works on, and that stayed as it is while this looked. Before a sweep one may be
        half restored, and seem to be gone."""
        before = dict(self._engine.machine.volumes)
        seen, mounted = await self._volumes.observe(), await self._volumes.mounted()
        machine = self._engine.machine
        told: list[Event] = [*found_again(machine, seen), *broken(machine, seen)]
        shown = {(one.name, one.uid): one for one in seen}
        for volume in machine.volumes.values() if self._swept else ():
            key = (volume.name, volume.uid)
            if before.get(volume.name) is volume and not self._is_at_work(volume):
                told += gone(volume, shown.get(key), key in mounted)
        self._engine.record(told, reserved=True)

    def _is_at_work(self, volume: Volume) -> bool:
        return bool(self.acting_on(VOLUME + volume.name) or self.acting_on(volume.holder))

    def _full(self, full: JournalFull) -> None:
        """The next measurement finds it again: it is told of once."""
        if not self._told_full:
            log.warning("what the storage shows cannot be journaled yet: %s", full)
        self._told_full = True


def _nobody(name: str) -> int:
    return 0
