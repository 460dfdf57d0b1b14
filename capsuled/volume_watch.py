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
from projections.volumes import MARKS, read_only

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

    async def thaw(self) -> None:
        """What a life that was killed left frozen goes on, also in one that changes nothing: workloads write there."""
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
        broken = (self._engine.machine.volumes.get(one.name) for one in seen if one.read_only)
        return tuple(f"volume {volume.name}: {read_only(volume)}" for volume in broken if volume is not None)

    async def look(self) -> None:
        """Compare the storage with the state, until one look succeeds: before it nothing may be planned."""
        if not self._frozen:
            await until_seen(self._volumes.sweep, self._clock, "the storage")
            await until_seen(self._look, self._clock, "the storage")

    async def _look(self) -> None:
        seen, mounted = await self._volumes.observe(), await self._volumes.mounted()
        self._engine.record(differences(self._engine.machine, seen, mounted), reserved=True)
        known = {(volume.name, volume.uid): volume for volume in self._engine.machine.volumes.values()}
        strangers = {(one.name, one.uid) for one in seen} - known.keys()
        for name, uid in sorted(strangers):
            log.warning("the storage has %s.%d, which no volume here is: it is left alone", name, uid)
        for key in sorted(mounted - strangers):
            if key not in known or not known[key].holder:
                # Left by a life that ended between the mount and its entry, or of a file that is gone.
                try:
                    await self._volumes.unmount(*key)
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


def differences(
    machine: Machine, seen: tuple[SeenVolume, ...], mounted: frozenset[tuple[str, int]]
) -> tuple[Event, ...]:
    """What the storage shows that the state does not know. `mounted`: of whatever is mounted, name and uid. Pure."""
    shown = {(one.name, one.uid): one for one in seen}
    events: list[Event] = [*found_again(machine, seen)]
    for volume in machine.volumes.values():
        one = shown.get((volume.name, volume.uid))
        if one is None:
            events += _missing(volume, (volume.name, volume.uid) in mounted)
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
    """What was lost and is there again. Not while the old one is still mounted: its holder would write into that. The
    file may be larger than the file system in it, when a growth was cut short. Pure."""
    lost = {
        (volume.name, volume.uid): volume.made_bytes
        for volume in machine.volumes.values()
        if volume.lost and not volume.holder
    }
    return tuple(
        VolumeMade(one.name, one.uid, min(one.size_bytes, lost[one.name, one.uid] or one.size_bytes))
        for one in seen
        if (one.name, one.uid) in lost
    )


def _missing(volume: Volume, mounted: bool) -> tuple[Event, ...]:
    if not volume.made_bytes or volume.deleting:
        return ()
    if not volume.lost:
        return (VolumeLost(volume.name, volume.uid, mounted=mounted and bool(volume.holder)),)
    gone = volume.holder and not mounted
    return (VolumeUnmounted(volume.name, volume.uid, reason="it was not mounted any more"),) if gone else ()
