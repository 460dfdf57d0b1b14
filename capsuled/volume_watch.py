"""What the storage does by itself: volumes that vanish or come back, mounts that nobody holds, file systems that fill.

The kernel gives no event when a file system fills: while volumes exist they are measured now and then. What nobody here
knows is never removed: it may be somebody's data.
"""

import logging

from capsuled.engine import Engine
from capsuled.insist import until_seen
from effects.errors import DriverError
from effects.volumes.protocol import Fill, SeenVolume, VolumeDriver
from journal.clock import Clock
from journal.errors import JournalFull
from journal.events import Event, SnapshotRemoved, VolumeFilling, VolumeLost, VolumeMade, VolumeUnmounted
from projections.state import Machine, Volume
from projections.volumes import MARKS

log = logging.getLogger(__name__)

MEASURE_S = 30.0
_CALM_PERCENT = 5
"""How far below a mark a file system must fall before the mark is taken back: it must not be told over and over."""


class VolumeWatch:
    """`frozen`: look, and change nothing."""

    def __init__(self, engine: Engine, volumes: VolumeDriver, clock: Clock, *, frozen: bool) -> None:
        self._engine = engine
        self._volumes = volumes
        self._clock = clock
        self._frozen = frozen

    async def look(self) -> None:
        """Compare the storage with the state, until one look succeeds: before it nothing may be planned."""
        if not self._frozen:
            await until_seen(self._volumes.sweep, self._clock, "the storage")
            await until_seen(self._look, self._clock, "the storage")

    async def _look(self) -> None:
        seen = await self._volumes.observe()
        self._engine.record(differences(self._engine.machine, seen), reserved=True)
        for one in seen:
            await self._settle(one)

    async def _settle(self, seen: SeenVolume) -> None:
        volume = self._engine.machine.volumes.get(seen.name)
        if volume is None or volume.uid != seen.uid:
            log.warning("the storage has %s.%d, which no volume here is: it is left alone", seen.name, seen.uid)
        elif seen.mounted and not volume.holder:
            # Left by a life that ended between the mount and its entry.
            try:
                await self._volumes.unmount(seen.name, seen.uid)
            except (DriverError, OSError) as error:
                log.warning("%s", error)

    async def run(self) -> None:
        """Measure until cancelled, and look for what was lost."""
        while True:
            await self._clock.sleep(MEASURE_S)
            if not self._frozen and self._engine.machine.volumes:
                await self.measure()

    async def measure(self) -> None:
        """Tell of each mark that was passed since the last time."""
        machine = self._engine.machine
        try:
            if any(volume.lost for volume in machine.volumes.values()):
                self._engine.record(found_again(machine, await self._volumes.observe()), reserved=True)
            events = [filling(await self._volumes.pool(), machine.pool_filling)]
            for volume in tuple(machine.volumes.values()):
                fill = await self._volumes.usage(volume.name, volume.uid) if volume.holder else None
                if fill is not None:
                    events.append(filling(fill, volume.filling, volume.name, volume.uid))
            self._engine.record([event for event in events if event is not None], reserved=True)
        except (DriverError, OSError) as error:
            log.warning("the storage cannot be measured: %s", error)
        except JournalFull as full:
            log.warning("what the storage shows cannot be journaled yet: %s", full)


def filling(fill: Fill, told: int, name: str = "", uid: int = 0) -> VolumeFilling | None:
    """The mark that was passed, up or well below, since `told` was the last one. Pure."""
    percent = fill.used_bytes * 100 // fill.total_bytes if fill.total_bytes else 0
    mark = max((one for one in MARKS if percent >= one), default=0)
    if mark == told or (mark < told and percent > told - _CALM_PERCENT):
        return None
    return VolumeFilling(mark, fill.used_bytes, fill.total_bytes, name, uid)


def differences(machine: Machine, seen: tuple[SeenVolume, ...]) -> tuple[Event, ...]:
    """What the storage shows that the state does not know. Pure."""
    shown = {(one.name, one.uid): one for one in seen}
    events: list[Event] = [*found_again(machine, seen)]
    for volume in machine.volumes.values():
        one = shown.get((volume.name, volume.uid))
        if one is None:
            events += _missing(volume)
            continue
        if volume.holder and not one.mounted:
            events.append(VolumeUnmounted(volume.name, volume.uid, reason="it was not mounted any more"))
        there = {snapshot.snapshot for snapshot in one.snapshots}
        events += [
            SnapshotRemoved(volume.name, volume.uid, snapshot.uid)
            for snapshot in volume.snapshots
            if snapshot.taken and snapshot.uid not in there
        ]
    return tuple(events)


def found_again(machine: Machine, seen: tuple[SeenVolume, ...]) -> tuple[Event, ...]:
    """What was lost and is there again. Pure."""
    lost = {(volume.name, volume.uid) for volume in machine.volumes.values() if volume.lost}
    return tuple(VolumeMade(one.name, one.uid, one.size_bytes) for one in seen if (one.name, one.uid) in lost)


def _missing(volume: Volume) -> tuple[Event, ...]:
    if not volume.made_bytes or volume.deleting or volume.lost:
        return ()
    return (VolumeLost(volume.name, volume.uid),)
