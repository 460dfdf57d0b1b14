"""The watch over the storage: what it journals, what it unmounts, and what it only says."""

import asyncio

from capsuled.volume_watch import VolumeWatch
from effects.errors import VolumeBusy
from effects.volumes.twin import Storage, TwinVolume, TwinVolumes
from journal.events import (
    Event,
    VolumeApplied,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeUnmounted,
)
from tests.unit.capsuled.test_call_ids import House

MIB = 1 << 20


class Watched:
    """A daemon's watch over a twin of the storage, and what it journals."""

    def __init__(self, *, frozen: bool = False) -> None:
        self.house, self.storage, self.points = House(), Storage(), list[str]()
        self.engine = self.house.engine
        self.watch = VolumeWatch(self.engine, TwinVolumes(self.storage, self._step), self.house.clock, frozen=frozen)
        self.engine.record((VolumeApplied("data", 64 * MIB, created=True),))
        self.uid = self.engine.machine.volumes["data"].uid
        self.engine.record((VolumeMade("data", self.uid, 64 * MIB), VolumeMounted("data", self.uid, "web", 1)))
        self.storage.volumes["data", self.uid] = TwinVolume(64 * MIB, mounted=True)

        self.refusals = 0

    async def _step(self, point: str) -> None:
        self.points.append(point)
        if point == "unmount" and self.refusals:
            self.refusals -= 1
            raise VolumeBusy("somebody just looks at it")

    def told(self) -> list[Event]:
        return [event for _, event in self.house.log.entries[3:]]


def test_a_measurement_tells_of_a_volume_that_is_back() -> None:
    async def test() -> None:
        on = Watched()
        file = on.storage.volumes.pop(("data", on.uid))
        on.engine.record((VolumeLost("data", on.uid),))
        await on.watch.measure()
        assert on.engine.machine.volumes["data"].lost
        on.storage.volumes["data", on.uid] = file
        await on.watch.measure()
        assert on.told()[-1] == VolumeMade("data", on.uid, 64 * MIB)
        assert not on.engine.machine.volumes["data"].lost

    asyncio.run(test())


def test_a_life_that_changes_nothing_thaws_and_does_nothing_else() -> None:
    async def test() -> None:
        on = Watched(frozen=True)
        await on.watch.thaw()
        await on.watch.look()
        assert on.points == ["thaw volumes"] and on.told() == []

    asyncio.run(test())


def test_a_broken_file_system_is_a_warning_that_says_what_to_do() -> None:
    async def test() -> None:
        on = Watched()
        assert await on.watch.warnings() == ()
        on.storage.volumes["data", on.uid].read_only = True
        (warning,) = await on.watch.warnings()
        assert warning.startswith("volume data: ") and "`capsulectl restart web`" in warning

    asyncio.run(test())


def test_a_look_unmounts_what_nobody_holds() -> None:
    async def test() -> None:
        on = Watched()
        await on.watch.look()
        assert on.storage.volumes["data", on.uid].mounted
        on.engine.record((VolumeUnmounted("data", on.uid),))
        await on.watch.look()
        assert not on.storage.volumes["data", on.uid].mounted

    asyncio.run(test())


def test_what_nobody_holds_is_let_go_of_again_when_that_fails_and_left_when_it_goes_on_failing() -> None:
    async def test() -> None:
        on = Watched()
        on.engine.record((VolumeUnmounted("data", on.uid),))
        on.refusals = 9
        await on.watch.look()
        assert on.storage.volumes["data", on.uid].mounted, "and the start goes on"
        assert on.refusals > 0 and on.points.count("unmount") > 1
        on.refusals = 2
        await on.watch.look()
        assert not on.storage.volumes["data", on.uid].mounted

    asyncio.run(test())


def test_what_is_attached_is_as_what_is_mounted_kept_for_its_holder_and_given_up_when_nobody_holds_it() -> None:
    async def test() -> None:
        on = Watched()
        on.storage.volumes["data", on.uid] = TwinVolume(64 * MIB, attached=True)
        await on.watch.look()
        await on.watch.look_at_mounts()
        assert on.told() == [] and on.storage.volumes["data", on.uid].attached
        on.engine.record((VolumeUnmounted("data", on.uid),))
        await on.watch.look()
        assert not on.storage.volumes["data", on.uid].attached

    asyncio.run(test())
