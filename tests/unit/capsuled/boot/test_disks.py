"""Which disks there are, which are removable, and when a machine that booted is an installer."""

import asyncio
from pathlib import Path

import pytest

from capsuled.boot import mode
from capsuled.boot.disks import Disk, disks, hidden_disks, problem_of, size_bytes
from capsuled.boot.mode import asked_for, is_installer
from capsuled.boot.partitions import Partition, Table

GIB = 1 << 30


def make(sys: Path, name: str, gib: int = 20, bus: str = "pci0000:00", **files: str) -> None:
    place = sys / "devices" / bus / "block" / name
    (place / "device").mkdir(parents=True)
    (place / "queue").mkdir()
    given = {"size": str(gib * GIB // 512), "removable": "0", "ro": "0", "queue/logical_block_size": "512"}
    for file, text in (given | {key.replace("__", "/"): value for key, value in files.items()}).items():
        (place / file).write_text(f"{text}\n")
    for kind in ("block", "class/block"):
        (sys / kind).mkdir(parents=True, exist_ok=True)
        (sys / kind / name).symlink_to(place)


def test_disks_are_those_with_a_medium_by_name(tmp_path: Path) -> None:
    for name in ("sdb", "sda", "nvme0n1", "mmcblk0", "mmcblk0boot0", "loop0", "dm-0", "sr0", "ram0", "zram0"):
        make(tmp_path, name)
    make(tmp_path, "sdc", gib=0)
    assert [one.device for one in disks(tmp_path)] == ["/dev/sda", "/dev/sdb", "/dev/mmcblk0", "/dev/nvme0n1"]
    assert size_bytes("/dev/sda", tmp_path) == 20 * GIB and size_bytes("/dev/sdz", tmp_path) == 0


def test_a_plug_outside_of_the_case_and_a_card_are_removable(tmp_path: Path) -> None:
    make(tmp_path, "sda", removable="1", device__vendor="Kingston", device__model="DataTraveler 3.0")
    make(tmp_path, "sdb", bus="pci0000:00/usb2/2-1", device__model="Elements")
    make(tmp_path, "mmcblk0", device__type="SD", device__name="SC64G")
    make(tmp_path, "mmcblk1", device__type="MMC", device__name="8GTF4R")
    make(tmp_path, "vda", device__vendor="0x1af4")
    found = {one.device: one for one in disks(tmp_path)}
    assert {name for name, one in found.items() if one.removable} == {"/dev/sda", "/dev/sdb", "/dev/mmcblk0"}
    models = ("Kingston DataTraveler 3.0", "SC64G", "")
    assert (found["/dev/sda"].model, found["/dev/mmcblk0"].model, found["/dev/vda"].model) == models


@pytest.mark.parametrize(
    ("disk", "problem"),
    [
        (Disk("/dev/vda", 8 * GIB), ""),
        (Disk("/dev/vda", 8 * GIB, removable=True), "removable"),
        (Disk("/dev/vda", 8 * GIB, read_only=True), "cannot be written"),
        (Disk("/dev/vda", 8 * GIB, sector_bytes=4096), "its sectors have 4096 bytes"),
        (Disk("/dev/vda", 2 * GIB), "4 GiB is the least"),
    ],
)
def test_what_speaks_against_a_target(disk: Disk, problem: str) -> None:
    said = problem_of(disk, 4 * GIB)
    assert problem in said and bool(said) == bool(problem)


def test_disks_that_the_firmware_hides_are_counted_and_keep_a_stick_an_installer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the stick itself would become the capsule, and be one from then on."""

    async def content_of(device: str) -> str:
        return ""

    async def table_of(disk: str) -> Table:
        return Table((Partition(2048, 2048, "lvm"),))

    monkeypatch.setattr(mode, "content_of", content_of)
    monkeypatch.setattr(mode, "table_of", table_of)
    monkeypatch.setattr(mode, "SETTLE_S", 0.01)
    monkeypatch.setattr(mode, "LOOK_S", 0.01)
    make(tmp_path, "sda", removable="1")
    assert hidden_disks(tmp_path) == 0 and not asyncio.run(is_installer("/dev/sda3", "quiet", tmp_path))
    for place, number in (("0000:00:17.0", "2"), ("0000:00:1f.2", "0")):
        (tmp_path / "bus/pci/devices" / place).mkdir(parents=True)
        (tmp_path / "bus/pci/devices" / place / "remapped_nvme").write_text(f"{number}\n")
    assert hidden_disks(tmp_path) == 2 and asyncio.run(is_installer("/dev/sda3", "quiet", tmp_path))


def test_the_command_line_decides_the_mode_and_a_disk_inside_is_no_installer(tmp_path: Path) -> None:
    make(tmp_path, "vda")
    make(tmp_path, "vdb")

    def decided(words: str) -> bool:
        return asyncio.run(is_installer("/dev/vda3", words, tmp_path))

    assert asked_for("quiet capsule.mode=runtime panic=10") == "runtime" and asked_for("quiet") == ""
    assert decided("capsule.mode=installer") and not decided("capsule.mode=runtime") and not decided("quiet")
