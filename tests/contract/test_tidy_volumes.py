"""A volume as a workload has it, without lost+found: on blocks, nothing that is done to one misses it."""

import os
from pathlib import Path
from typing import Any

from sandbox.new_volumes import MADE, settle
from tests.contract.volume_subjects import MIB, ON_BLOCKS, Subject, carry, run


async def settled(on: Subject) -> str:
    """A new volume that is mounted, and somebody's."""
    await on.driver.make("data", 7, 16 * MIB)
    path = await on.driver.mount("data", 7)
    seen = os.stat(path)
    assert (seen.st_uid, seen.st_gid, seen.st_mode & 0o7777) == MADE and os.listdir(path) == ["lost+found"]
    settle(path, "/data", (), 1_000, 1_001)
    assert os.listdir(path) == []
    return path


async def carried(on: Subject) -> str:
    """The same content as another volume, checked on its way as all that comes from elsewhere, and mounted."""
    await carry(on, 16 * MIB)
    return await on.driver.mount("copy", 8)


@ON_BLOCKS
def test_one_without_lost_and_found_is_checked_grown_restored_and_carried(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        path = await settled(on)
        on.write(path, 1)
        there = await carried(on)
        assert on.read(there) == 1
        settle(there, "/data", (), 5, 5)
        assert os.listdir(there) == ["number"], "the check made it again, and it goes again"
        await on.driver.unmount("data", 7)
        await on.driver.grow("data", 7, 32 * MIB)
        await on.driver.restore("data", 7, 9, 32 * MIB)
        for mounted in (await on.driver.mount("data", 7), there):
            assert on.read(mounted) == 1
            assert (os.stat(mounted).st_uid, os.stat(mounted).st_gid) == (1_000, 1_001)

    run(subject, suite)


@ON_BLOCKS
def test_one_that_has_no_room_for_lost_and_found_is_sound_all_the_same(subject: Any) -> None:
    async def suite(on: Subject) -> None:
        path = await settled(on)
        on.write(path, 1)
        for number in range(os.statvfs(path).f_ffree):
            Path(path, f"file-{number}").touch()
        assert os.statvfs(path).f_ffree == 0
        there = await carried(on)
        assert on.read(there) == 1 and "lost+found" not in os.listdir(there)
        await on.driver.unmount("copy", 8)
        assert on.read(await on.driver.mount("copy", 8)) == 1, "and it is not called one with errors from now on"

    run(subject, suite)
