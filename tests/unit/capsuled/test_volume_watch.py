"""What the storage shows becomes events: marks told once each on the way up, and what was lost and is back."""

import asyncio

import pytest

from capsuled.volume_watch import VolumeWatch, differences, filling, found_again
from effects.volumes.protocol import Fill, SeenSnapshot, SeenVolume
from effects.volumes.twin import Storage, TwinVolume, TwinVolumes
from journal.events import (
    Event,
    SnapshotRemoved,
    VolumeApplied,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeUnmounted,
)
from projections.intents import Apply, DeclaredVolume, TakeSnapshot
from tests.support.story import Story
from tests.unit.capsuled.test_call_ids import House

MIB = 1 << 20
NOWHERE: frozenset[tuple[str, int]] = frozenset()
"""Nothing is mounted."""


@pytest.mark.parametrize(
    ("percent", "told", "expected"),
    [
        (0, 0, None), (79, 0, None), (80, 0, 80), (89, 80, None), (90, 80, 90), (95, 80, 95), (100, 90, 95),
        (100, 95, None), (91, 95, None), (90, 95, 90), (76, 80, None), (75, 80, 0), (10, 95, 0),
    ],
)  # fmt: skip
def test_a_mark_is_told_once_and_taken_back_only_well_below_it(percent: int, told: int, expected: int | None) -> None:
    event = filling(Fill(100 * MIB, percent * MIB), told)
    assert (None if event is None else event.percent) == expected


def test_an_empty_storage_fills_nothing() -> None:
    assert filling(Fill(0, 0), 0) is None


def story() -> Story:
    made = Story()
    made.call(Apply((), volumes=(DeclaredVolume("data", 64 * MIB),)))
    made.converge()
    made.call(TakeSnapshot("data", "one"))
    made.converge()
    return made


def test_differences_are_what_is_lost_back_unmounted_or_without_its_snapshot() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    snapshot = SeenSnapshot(volume.snapshots[0].uid, 64 * MIB, 0, "copy")
    whole = SeenVolume("data", volume.uid, 64 * MIB, 0, False, (snapshot,))
    assert differences(told.machine, (whole,), NOWHERE) == ()
    assert differences(told.machine, (), NOWHERE) == (VolumeLost("data", volume.uid),)
    bare = SeenVolume("data", volume.uid, 64 * MIB, 0, False)
    assert differences(told.machine, (bare,), NOWHERE) == (SnapshotRemoved("data", volume.uid, snapshot.snapshot),)
    told.tell(VolumeLost("data", volume.uid))
    assert found_again(told.machine, ()) == ()
    other = SeenVolume("data", volume.uid + 1, 64 * MIB, 0, False)
    larger = SeenVolume("data", volume.uid, 80 * MIB, 0, False)
    for found in (whole, larger):
        assert found_again(told.machine, (other, found)) == (VolumeMade("data", volume.uid, 64 * MIB),)


def test_a_mount_that_is_gone_is_told() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    told.tell(VolumeMounted("data", volume.uid, "web", 1))
    seen = SeenVolume("data", volume.uid, 64 * MIB, 0, False, (SeenSnapshot(volume.snapshots[0].uid, 1, 0, "copy"),))
    (event,) = differences(told.machine, (seen,), NOWHERE)
    assert isinstance(event, VolumeUnmounted) and event.reason


def test_a_volume_that_is_lost_while_it_is_mounted_is_held_until_it_is_unmounted() -> None:
    told = story()
    volume = told.machine.volumes["data"]
    told.tell(VolumeMounted("data", volume.uid, "web", 1))
    (event,) = differences(told.machine, (), frozenset({("data", volume.uid)}))
    assert event == VolumeLost("data", volume.uid, mounted=True)
    told.tell(event)
    assert told.machine.volumes["data"].holder == "web"
    back = SeenVolume("data", volume.uid, 64 * MIB, 0, True)
    assert found_again(told.machine, (back,)) == (), "what is mounted may be another file by now"
    (event,) = differences(told.machine, (), NOWHERE)
    assert isinstance(event, VolumeUnmounted)
    told.tell(event)
    assert found_again(told.machine, (back,)) == (VolumeMade("data", volume.uid, 64 * MIB),)


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

    async def _step(self, point: str) -> None:
        self.points.append(point)

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
