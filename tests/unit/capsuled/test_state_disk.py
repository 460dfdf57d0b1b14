"""What is said of the disk under the state: that it is nearly full, and that it takes no writes any more."""

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from capsuled.boot.system import _moments
from capsuled.state_disk import BY_A_REBOOT, BY_HAND, StateDisk, nearly_full
from effects.volumes.mounts import parsed, takes_no_writes
from tests.support.small_disk import SmallDisk, small_disk


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    with tempfile.TemporaryDirectory(prefix="capsule-disk-") as scratch, small_disk(Path(scratch)) as made:
        yield made


def remounted(disk: SmallDisk, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk.mount], check=True)


def told(disk: SmallDisk) -> str:
    watched = StateDisk(disk.mount, BY_HAND)
    said = asyncio.run(watched.warnings())
    assert [one for one in said if "is read-only" in one] == [one for one in (watched.problem,) if one]
    return watched.problem


def test_a_disk_is_nearly_full_when_little_is_left_by_both_counts() -> None:
    gib = 1 << 30
    assert nearly_full(2 * gib, 1000 * gib) == "" == nearly_full(gib // 2, 2 * gib)
    assert nearly_full(gib // 2, 100 * gib).startswith("the state's disk has 512 MiB of 100 GiB left")
    assert "0 B of 70 MiB" in nearly_full(0, 70 << 20)


def test_a_row_of_the_kernels_table_says_whether_its_file_system_is_broken() -> None:
    rows = parsed(
        "29 1 252:1 / /perm rw,noatime shared:1 - ext4 /dev/mapper/capsule-perm rw,errors=remount-ro\n"
        "30 29 252:2 / /perm/journal rw,noatime - ext4 /dev/mapper/capsule-journal ro,errors=remount-ro\n"
        "31 29 7:0 / /run/volumes/data.7 rw - ext4 /dev/loop0 rw,emergency_ro\n"
        "32 29 7:1 / /ro ro - ext4 /dev/loop1 rw,errors=remount-ro\n"
    )
    assert [(one.number, one.device, one.point) for one in rows[:2]] == [
        ("29", "252:1", "/perm"),
        ("30", "252:2", "/perm/journal"),
    ]
    assert [one.says_broken() for one in rows] == [False, True, True, False]


@pytest.mark.real
def test_a_disk_that_is_mounted_read_only_is_told_with_what_to_do_until_it_takes_writes_again(disk: SmallDisk) -> None:
    below = disk.mount / "state"
    below.mkdir()
    assert told(disk) == "" and not takes_no_writes(below)
    remounted(disk, "ro")
    assert takes_no_writes(below)
    assert told(disk).startswith(f"the state's disk is read-only ({disk.mount})") and told(disk).endswith(BY_HAND)
    remounted(disk, "rw")
    assert told(disk) == "" and not takes_no_writes(below)


@pytest.mark.real
def test_one_that_fell_back_after_an_error_is_told(disk: SmallDisk) -> None:
    disk.fail()
    assert told(disk)


@pytest.mark.real
def test_one_that_goes_on_after_an_error_is_none_that_takes_no_writes(disk: SmallDisk) -> None:
    remounted(disk, "errors=continue")
    disk.fail()
    (disk.mount / "written").write_text("on")
    assert told(disk) == ""


def test_a_state_that_cannot_be_looked_at_is_told_as_that(tmp_path: Path) -> None:
    disk = StateDisk(tmp_path / "away", BY_A_REBOOT)
    asyncio.run(disk.look())
    said = disk.problem
    assert said.startswith("the state's disk cannot be looked at") and "No such file" in said
    (tmp_path / "away").mkdir()
    asyncio.run(disk.look())
    assert disk.problem == ""


def test_the_console_looks_at_it_at_its_own_moments(tmp_path: Path) -> None:
    async def moment() -> str:
        disk, nobody = StateDisk(tmp_path / "away", BY_A_REBOOT), cast(Any, None)
        await anext(_moments(nobody, disk))
        return disk.problem

    assert asyncio.run(moment()).endswith(BY_A_REBOOT)
