"""The watch over the storage: what it journals, what it unmounts, and what it only says."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from capsuled.volume_streams import IMPORT_METHOD, staged_of
from capsuled.volume_watch import VolumeWatch
from effects.errors import RuntimeUnavailable, VolumeBusy
from effects.volumes.twin import Storage, TwinVolume, TwinVolumes
from journal.events import (
    Event,
    SnapshotRemoved,
    SnapshotRequested,
    SnapshotTaken,
    StreamClosed,
    StreamOpened,
    VolumeApplied,
    VolumeFilling,
    VolumeLost,
    VolumeMade,
    VolumeMounted,
    VolumeUnmounted,
)
from projections.storage import Fill
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
        self.hangs = ""
        self.changing: Callable[[str], Awaitable[None]] | None = None

    async def _step(self, point: str) -> None:
        self.points.append(point)
        if self.changing is not None:
            await self.changing(point)
        if point == self.hangs:
            await asyncio.Event().wait()
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


def test_a_measurement_tells_of_what_is_gone_and_was_there() -> None:
    async def test() -> None:
        on = Watched()
        on.engine.record((SnapshotRequested("data", on.uid, "one"),))
        (one,) = on.engine.machine.volumes["data"].snapshots
        on.engine.record((SnapshotTaken("data", on.uid, one.uid, 64 * MIB, "copy"),))
        await on.watch.begin(10)
        await on.watch.measure()
        assert on.told()[-1] == SnapshotRemoved("data", on.uid, one.uid), "and the volume is there"
        del on.storage.volumes["data", on.uid]
        for _ in range(2):
            await on.watch.measure()
        assert on.told().count(VolumeLost("data", on.uid)) == 1

    asyncio.run(test())


@pytest.mark.parametrize("why", ["an effect on it", "an effect on its holder", "no sweep yet", "it changed meanwhile"])
def test_a_measurement_misses_nothing_that_somebody_is_at_work_on(why: str) -> None:
    async def test() -> None:
        on = Watched()
        del on.storage.volumes["data", on.uid]
        if why != "no sweep yet":
            await on.watch.begin(10)
        working = {"an effect on it": "volume/data", "an effect on its holder": "web"}.get(why)
        on.watch.acting_on = lambda name: int(name == working)

        async def changing(point: str) -> None:
            if why == "it changed meanwhile":
                on.engine.record((VolumeFilling(80, 8, 10, "data", on.uid),))

        on.changing = changing
        await on.watch.measure()
        assert not any(isinstance(one, VolumeLost) for one in on.told())
        on.changing, on.watch.acting_on = None, lambda name: 0
        await on.watch.begin(10)
        await on.watch.measure()
        assert VolumeLost("data", on.uid) in on.told()

    asyncio.run(test())


class Full(TwinVolumes):
    """Every volume is nearly full, and says so; the guest that has the first one does not answer."""

    async def usage(self, name: str, uid: int) -> Fill | None:
        if name == "data":
            raise RuntimeUnavailable("the agent in web does not answer")
        return Fill(100, 99)


def test_a_guest_that_does_not_answer_hides_no_other_volume_that_fills(caplog: pytest.LogCaptureFixture) -> None:
    async def test() -> None:
        on = Watched()
        on.watch = VolumeWatch(on.engine, Full(on.storage, on._step), on.house.clock, frozen=False)
        on.engine.record((VolumeApplied("more", MIB, created=True),))
        uid = on.engine.machine.volumes["more"].uid
        on.engine.record((VolumeMade("more", uid, MIB), VolumeMounted("more", uid, "db", 2)))
        on.storage.volumes["more", uid] = TwinVolume(MIB, mounted=True)
        await on.watch.measure()
        assert [one.name for one in on.told() if isinstance(one, VolumeFilling)] == ["more"]

    asyncio.run(test())
    assert "volume data: the agent in web does not answer" in caplog.text


def test_a_life_that_changes_nothing_thaws_and_does_nothing_else() -> None:
    async def test() -> None:
        on = Watched(frozen=True)
        await on.watch.thaw()
        await on.watch.look()
        assert on.points == ["thaw volumes"] and on.told() == []

    asyncio.run(test())


def test_what_was_staged_before_goes_before_this_life_serves_and_is_not_looked_for_again() -> None:
    async def test() -> None:
        on = Watched()
        on.storage.staged["import-1"] = (64 * MIB, 1)
        await on.watch.begin(10)
        assert not on.storage.staged
        on.storage.staged["import-2"] = (64 * MIB, 2)
        await on.watch.thaw()
        await on.watch.look()
        assert on.storage.staged.keys() == {"import-2"}
        assert [on.points.count(point) for point in ("thaw volumes", "sweep volumes")] == [1, 1]

    asyncio.run(test())


@pytest.mark.parametrize("point", ["thaw volumes", "sweep volumes"])
def test_a_storage_that_does_not_answer_holds_up_no_start_and_is_swept_later(point: str) -> None:
    async def test() -> None:
        on = Watched()
        on.hangs = point
        async with asyncio.timeout(10):
            await on.watch.begin(0.01)
        on.hangs = ""
        on.storage.staged["import-1"] = (64 * MIB, 1)
        await on.watch.thaw()
        await on.watch.look()
        assert not on.storage.staged and on.points.count("thaw volumes") == (2 if point == "thaw volumes" else 1)

    asyncio.run(test())


def test_a_late_sweep_leaves_what_imports_of_this_life_have_staged() -> None:
    async def test() -> None:
        on = Watched()
        coming = on.engine.record((StreamOpened(IMPORT_METHOD, "more"),))
        names = {staged_of(coming), staged_of(coming + 100)}
        on.storage.staged.update(dict.fromkeys(names, (64 * MIB, 1)))
        await on.watch.look()
        assert on.storage.staged.keys() == {staged_of(coming)}

        async def ended(point: str) -> None:
            if point == "sweep volumes":
                applied = VolumeApplied("more", 64 * MIB, created=True, staged=staged_of(coming))
                on.engine.record((applied, StreamClosed(coming, "ok")))

        # All has come while the storage was looked at: from its entry on it is awaited.
        on.watch = VolumeWatch(on.engine, TwinVolumes(on.storage, ended), on.house.clock, frozen=False)
        await on.watch.look()
        assert on.storage.staged.keys() == {staged_of(coming)}
        assert on.engine.machine.volumes["more"].staged and not on.engine.machine.streams

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
