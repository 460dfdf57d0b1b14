"""Disks and their partitions, by the names of their devices and by what the kernel's sysfs says of them."""

import re
from pathlib import Path

import msgspec

from capsuled.boot.sysfs import text_of
from projections.words import bytes_text

SECTOR_BYTES = 512
"""sysfs counts in these, whatever the disk's own are."""

_DISKS = re.compile(r"(?:sd[a-z]+|vd[a-z]+|xvd[a-z]+|hd[a-z]+|nvme\d+n\d+|mmcblk\d+)")
"""A card's own boot areas (mmcblk0boot0), memory, loops and what is mapped are no disks."""


class Disk(msgspec.Struct, frozen=True):
    """A whole disk. `removable`: by a plug outside of the case, or a card; `sector_bytes` is its own sector's."""

    device: str
    size_bytes: int
    model: str = ""
    removable: bool = False
    read_only: bool = False
    sector_bytes: int = SECTOR_BYTES


def partition_of(root: str, number: int) -> str:
    """The partition of this number on the disk that `root`, another partition, is on. Pure."""
    return nth(disk_of(root), number)


def nth(disk: str, number: int) -> str:
    """The partition of this number on a disk. Pure."""
    return f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}"


def disk_of(root: str) -> str:
    """The disk that a partition is on. Pure."""
    return re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", root)


def size_bytes(device: str, sys: Path = Path("/sys")) -> int:
    """Of a disk or a partition; 0 for one that is not there."""
    text = text_of(sys / "class/block" / Path(device).name / "size")
    return int(text or 0) * SECTOR_BYTES


def disks(sys: Path = Path("/sys")) -> tuple[Disk, ...]:
    """All that are there and have a medium in them, by name."""
    found = (_disk(place) for place in (sys / "block").iterdir() if _DISKS.fullmatch(place.name))
    return tuple(sorted((one for one in found if one.size_bytes), key=lambda one: (len(one.device), one.device)))


def hidden_disks(sys: Path = Path("/sys")) -> int:
    """How many NVMe disks the firmware keeps behind an AHCI controller, where no driver finds them. Source: the
    kernel's drivers/ata/ahci.c, `remapped_nvme`."""
    return sum(int(text_of(file) or 0) for file in (sys / "bus/pci/devices").glob("*/remapped_nvme"))


def problem_of(disk: Disk, least_bytes: int) -> str:
    """Why nobody can install there, whatever is on it. Pure."""
    if disk.removable:
        return "it is removable"
    if disk.read_only:
        return "it cannot be written to"
    if disk.sector_bytes != SECTOR_BYTES:
        return f"its sectors have {disk.sector_bytes} bytes, and the image's {SECTOR_BYTES}"
    if disk.size_bytes < least_bytes:
        return f"it is too small: {bytes_text(least_bytes)} is the least"
    return ""


def _disk(place: Path) -> Disk:
    card = text_of(place / "device/type") == "SD"
    words = (text_of(place / "device/vendor"), text_of(place / "device/model") or text_of(place / "device/name"))
    return Disk(
        device=f"/dev/{place.name}",
        size_bytes=int(text_of(place / "size") or 0) * SECTOR_BYTES,
        # A virtual disk's vendor is the number of who made its controller.
        model=" ".join(word for word in words if word and not word.startswith("0x")),
        removable=text_of(place / "removable") == "1" or card or any("usb" in part for part in place.resolve().parts),
        read_only=text_of(place / "ro") == "1",
        sector_bytes=int(text_of(place / "queue/logical_block_size") or SECTOR_BYTES),
    )
