"""A volume is brought to a container by a mount and to a microVM as a disk, and taken from either."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from effects.errors import DriverError, NoSpace, VolumeBusy
from effects.goals import EnsureVolume, MountVolume, RemoveVolume, UnmountVolume
from effects.volumes.actions import reach_volume
from effects.volumes.twin import Storage, TwinVolume, TwinVolumes
from journal.events import VolumeMounted, VolumeUnmounted
from journal.specs import Kind

MIB = 1 << 20


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


def _on_volume(suite: Callable[[TwinVolume, TwinVolumes, Storage], Awaitable[None]]) -> None:
    storage, volume = Storage(), TwinVolume(64 * MIB)
    storage.volumes["data", 7] = volume

    async def inside() -> None:
        await suite(volume, TwinVolumes(storage, _no_step), storage)

    asyncio.run(inside())


@pytest.mark.parametrize(("kind", "as_a_disk"), [("container", False), ("microvm", True)])
def test_it_moves_between_a_container_and_a_microvm(kind: Kind, as_a_disk: bool) -> None:
    async def suite(volume: TwinVolume, driver: TwinVolumes, storage: Storage) -> None:
        mount = MountVolume("web", 3, "data", 7, kind=kind)
        assert await reach_volume(driver, mount) == VolumeMounted("data", 7, "web", 3)
        assert (volume.mounted, volume.attached) == (not as_a_disk, as_a_disk)
        unmount = UnmountVolume("web", 3, "data", 7)
        assert await reach_volume(driver, unmount) == VolumeUnmounted("data", 7)
        assert not volume.mounted and not volume.attached

    _on_volume(suite)


def test_what_was_left_attached_is_detached_before_it_grows_and_never_under_a_virtual_machine() -> None:
    async def suite(volume: TwinVolume, driver: TwinVolumes, storage: Storage) -> None:
        disk = await driver.attach("data", 7)
        storage.in_use = lambda path: path == disk
        with pytest.raises(VolumeBusy):
            await reach_volume(driver, EnsureVolume("data", 7, 128 * MIB, 64 * MIB))
        storage.in_use = lambda path: False
        await reach_volume(driver, EnsureVolume("data", 7, 128 * MIB, 64 * MIB))
        assert volume.size_bytes == 128 * MIB and not volume.attached

    _on_volume(suite)


def test_an_import_that_found_no_room_to_grow_is_deleted_as_what_it_is() -> None:
    async def suite(volume: TwinVolume, driver: TwinVolumes, storage: Storage) -> None:
        async def full(point: str) -> None:
            if point == "grow volume":
                raise NoSpace("the pool is full")

        storage.staged["import-1"] = 64 * MIB, 42
        with pytest.raises(NoSpace):
            goal = EnsureVolume("copy", 8, 128 * MIB, staged="import-1", asked_at=5)
            await reach_volume(TwinVolumes(storage, full), goal)
        assert storage.volumes["copy", 8].content == 42
        await reach_volume(driver, RemoveVolume("copy", 8, asked_at=5))
        assert list(storage.volumes.values()) == [volume] and not storage.aside

    _on_volume(suite)


@pytest.mark.parametrize("error", [DriverError("the answer was lost"), OSError(5, "nobody foresaw this")])
def test_an_attachment_whose_answer_was_lost_does_not_stay(error: Exception) -> None:
    async def suite(volume: TwinVolume, driver: TwinVolumes, storage: Storage) -> None:
        async def lost(point: str) -> None:
            if point == "volume attached":
                raise error

        with pytest.raises(type(error), match=str(error.args[-1])):
            await reach_volume(TwinVolumes(storage, lost), MountVolume("web", 3, "data", 7, kind="microvm"))
        assert not volume.attached

    _on_volume(suite)


@pytest.mark.parametrize("kind", ["container", "microvm"])
def test_what_can_be_neither_told_nor_taken_back_is_held(kind: Kind) -> None:
    async def suite(volume: TwinVolume, driver: TwinVolumes, storage: Storage) -> None:
        silent = ["mounted", "volume attached", "unmount"]

        async def lost(point: str) -> None:
            if point in silent:
                silent.remove(point)
                raise DriverError("there is no answer")

        told = await reach_volume(TwinVolumes(storage, lost), MountVolume("web", 3, "data", 7, kind=kind))
        assert told == VolumeMounted("data", 7, "web", 3)
        assert volume.mounted or volume.attached

    _on_volume(suite)
