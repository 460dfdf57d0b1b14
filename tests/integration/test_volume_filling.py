"""A real file system fills: each mark is told once on the way up, and taken back when there is room again."""

import asyncio
import os
from pathlib import Path

import pytest

from capsuled.processes import outcome
from capsuled.volume_watch import VolumeWatch
from effects.volumes.sparse_driver import SparseVolumes
from journal.events import VolumeApplied, VolumeFilling, VolumeMade, VolumeMounted
from tests.unit.capsuled.test_call_ids import House

pytestmark = pytest.mark.real

SIZE_BYTES = 16 << 20


def _fill(path: Path, percent: int) -> None:
    """So much of the file system is used afterwards, rounded up."""
    stat = os.statvfs(path)
    total, free = stat.f_blocks * stat.f_frsize, stat.f_bavail * stat.f_frsize
    with (path / "ballast").open("ab") as file:
        file.write(os.urandom(max(0, free - total * (100 - percent) // 100)))
        os.fsync(file.fileno())


def test_a_volume_that_fills_is_told_at_80_90_and_95_percent_once_each(tmp_path: Path) -> None:
    async def test() -> None:
        house = House()
        driver = SparseVolumes(outcome, tmp_path / "volumes", tmp_path / "mounts")
        watch = VolumeWatch(house.engine, driver, house.clock, frozen=False)
        house.engine.record((VolumeApplied("data", SIZE_BYTES, created=True),))
        uid = house.engine.machine.volumes["data"].uid
        await driver.make("data", uid, SIZE_BYTES)
        path = Path(await driver.mount("data", uid))
        try:
            house.engine.record((VolumeMade("data", uid, SIZE_BYTES), VolumeMounted("data", uid, "web", 1)))
            for percent in (50, 81, 85, 91, 93, 96, 98):
                _fill(path, percent)
                await watch.measure()
                await watch.measure()
            (path / "ballast").unlink()
            await watch.measure()
        finally:
            await driver.unmount("data", uid)
            await driver.close()
        marks = [event for _, event in house.log.entries if isinstance(event, VolumeFilling) and event.name]
        assert [one.percent for one in marks] == [80, 90, 95, 0]
        assert all(one.total_bytes > 0 and one.used_bytes * 100 >= one.percent * one.total_bytes for one in marks)

    asyncio.run(test())
