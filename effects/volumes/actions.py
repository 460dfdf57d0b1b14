"""Reaching the goals of volumes: the driver acts, and what is so now becomes an event."""

from typing import assert_never

from effects.errors import DriverError
from effects.goals import (
    EnsureVolume,
    MountEffect,
    MountVolume,
    RemoveSnapshot,
    RemoveVolume,
    RestoreVolume,
    TakeSnapshot,
    UnmountVolume,
    VolumeEffect,
)
from effects.volumes.protocol import VolumeDriver
from journal.events import (
    Event,
    SnapshotRemoved,
    SnapshotTaken,
    VolumeMade,
    VolumeMounted,
    VolumeRemoved,
    VolumeRestored,
    VolumeUnmounted,
)
from journal.specs import Kind


def volume_of(goal: VolumeEffect | MountEffect) -> tuple[str, int]:
    """Name and uid of the volume that the goal is about."""
    if isinstance(goal, MountVolume | UnmountVolume):
        return goal.volume, goal.volume_uid
    return goal.name, goal.uid


async def reach_volume(driver: VolumeDriver, goal: VolumeEffect | MountEffect) -> Event:
    """Act, and say what is so now. Raises DriverError.

    What needs the volume detached detaches it: nobody holds it by then, but a mount may be left whose answer was lost.
    """
    match goal:
        case EnsureVolume():
            await free(driver, goal.name, goal.uid)
            if goal.staged and not goal.made_bytes:
                await driver.adopt(goal.name, goal.uid, goal.staged, goal.asked_at, goal.keeps)
            if goal.made_bytes or goal.staged:
                await driver.grow(goal.name, goal.uid, goal.size_bytes)
            else:
                await driver.make(goal.name, goal.uid, goal.size_bytes, goal.asked_at)
            return VolumeMade(goal.name, goal.uid, goal.size_bytes)
        case RemoveVolume():
            await driver.remove(goal.name, goal.uid, goal.asked_at)
            return VolumeRemoved(goal.name, goal.uid)
        case TakeSnapshot():
            method = await driver.snapshot(goal.name, goal.uid, goal.snapshot, goal.asked_at)
            return SnapshotTaken(goal.name, goal.uid, goal.snapshot, goal.size_bytes, method)
        case RemoveSnapshot():
            await driver.remove_snapshot(goal.name, goal.uid, goal.snapshot, goal.asked_at)
            return SnapshotRemoved(goal.name, goal.uid, goal.snapshot)
        case RestoreVolume():
            await free(driver, goal.name, goal.uid)
            await driver.restore(goal.name, goal.uid, goal.snapshot, goal.size_bytes)
            return VolumeRestored(goal.name, goal.uid, goal.snapshot)
        case MountVolume():
            await _bring(driver, goal)
            return VolumeMounted(goal.volume, goal.volume_uid, goal.name, goal.uid)
        case UnmountVolume():
            await free(driver, goal.volume, goal.volume_uid)
            return VolumeUnmounted(goal.volume, goal.volume_uid)
        case _:
            assert_never(goal)


async def free(driver: VolumeDriver, name: str, uid: int) -> None:
    """Neither a container nor a microVM has the volume. Raises DriverError."""
    await driver.unmount(name, uid)
    await driver.detach(name, uid)


async def bring(driver: VolumeDriver, name: str, uid: int, kind: Kind) -> str:
    """The volume is there for a workload of this kind; the path under which it is given it. Raises DriverError."""
    return await (driver.attach(name, uid) if kind == "microvm" else driver.mount(name, uid))


async def _bring(driver: VolumeDriver, goal: MountVolume) -> None:
    try:
        await bring(driver, goal.volume, goal.volume_uid, goal.kind)
    except Exception:
        # It may be mounted although the answer was lost, and nobody holds it: it must not stay so. Where it cannot be
        # unmounted it is mounted for good, and somebody has to hold it.
        try:
            await free(driver, goal.volume, goal.volume_uid)
        except (DriverError, OSError):
            await bring(driver, goal.volume, goal.volume_uid, goal.kind)
        else:
            raise
