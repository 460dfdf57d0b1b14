"""The disk: a GPT with an EFI system partition, boot and root partitions of both slots, and LVM's.

Partition UUIDs come from the build's own identity, so that the same build is the same bytes. Holes stay holes: the file
takes the room of what is in it.
"""

import uuid
from pathlib import Path
from typing import BinaryIO

import msgspec

from capsuled.boot.partitions import LEAST_PV_BYTES
from image.commands import BuildFailed, command

_MIB = 1 << 20
ESP_MIB, BOOT_MIB = 64, 96
BOOT_IMAGE_MIB = BOOT_MIB - 1
"""Behind a boot image is room for what a tentative boot records (init/recorder.py)."""
_TYPE_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_TYPE_LINUX = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"
_TYPE_LVM = "E6D6D379-F507-44C2-A23C-238F2A3DF928"


class Partition(msgspec.Struct, frozen=True):
    """`size_mib` 0: all that is left."""

    name: str
    kind: str
    size_mib: int


class Table(msgspec.Struct, frozen=True):
    """The partitions in their order, which everything else counts on: the loader by number, PID 1 for LVM's."""

    slot_mib: int

    @property
    def partitions(self) -> tuple[Partition, ...]:
        return (
            Partition("esp", _TYPE_ESP, ESP_MIB),
            Partition("boot_a", _TYPE_LINUX, BOOT_MIB),
            Partition("root_a", _TYPE_LINUX, self.slot_mib),
            Partition("boot_b", _TYPE_LINUX, BOOT_MIB),
            Partition("root_b", _TYPE_LINUX, self.slot_mib),
            Partition("capsule", _TYPE_LVM, 0),
        )

    @property
    def least_mib(self) -> int:
        """The smallest disk that it fits on."""
        return 2 + sum(one.size_mib for one in self.partitions) + LEAST_PV_BYTES // _MIB


def partition_id(build: str, name: str) -> str:
    """The UUID of a partition of this build."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"capsule {build} {name}"))


def refuse_misfit(file: Path, room_mib: int, what: str, remedy: str) -> None:
    """Raises BuildFailed for what is larger than the partition it is for."""
    size = file.stat().st_size
    if size > room_mib * _MIB:
        raise BuildFailed(f"{what} has {size / _MIB:.1f} MiB, its partition {room_mib} MiB: {remedy}")


def write(target: Path, table: Table, disk_mib: int, build: str, contents: dict[str, Path]) -> None:
    """Make the disk. `contents` by partition's name. Raises BuildFailed."""
    if disk_mib < table.least_mib:
        raise BuildFailed(f"a disk of {disk_mib} MiB is too small: DISK_SIZE_MIB={table.least_mib} is the least here")
    target.unlink(missing_ok=True)
    with target.open("wb") as made:
        made.truncate(disk_mib * _MIB)
    lines = ["label: gpt", f"label-id: {partition_id(build, 'disk')}"]
    starts: dict[str, int] = {}
    at_mib = 1
    for one in table.partitions:
        starts[one.name] = at_mib
        size = f"size={one.size_mib}MiB, " if one.size_mib else ""
        lines.append(f"start={at_mib}MiB, {size}type={one.kind}, name={one.name}, uuid={partition_id(build, one.name)}")
        at_mib += one.size_mib
    command("sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", target, stdin="\n".join(lines).encode())
    with target.open("r+b") as disk:
        for name, file in contents.items():
            _copy_sparse(file, disk, starts[name] * _MIB)


def _copy_sparse(file: Path, disk: BinaryIO, at: int) -> None:
    with file.open("rb") as source:
        while piece := source.read(_MIB):
            if piece.strip(b"\0"):
                disk.seek(at)
                disk.write(piece)
            at += len(piece)
