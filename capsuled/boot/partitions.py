"""The partition table of a capsule's disk: as it is, and as it is written, by sfdisk.

A table that is written fills its disk: the last partition, which is LVM's, goes to the end. It has ids of its own, so
that of two disks with one image on them each is told from the other. sfdisk writes the copy at the disk's end before
the one at its beginning: whenever the power goes, one of them is whole, and `gpt` on its command line has the kernel go
by either (image/boot.py).
"""

import uuid
from collections.abc import Callable

import msgspec

from capsuled.boot.disks import SECTOR_BYTES
from capsuled.processes import run

COUNT = 6
LAST = "capsule"
NAMES = ("esp", "boot_a", "root_a", "boot_b", "root_b", LAST)
ESP = 1
NUMBERS: dict[str, tuple[int, int]] = {"slot_a": (2, 3), "slot_b": (4, 5)}
"""Of a slot's boot and root, as image/disk.py lays them."""

LEAST_PV_BYTES = 2 << 30
"""For a journal, a state and a pool worth the name."""

_ALIGNED = (1 << 20) // SECTOR_BYTES
_BEHIND = 34
"""Sectors that the copy of the table takes at the disk's end."""

_MOST = 256
"""Partitions that the kernel knows of a disk (its block/partitions/core.c, DISK_MAX_PARTS)."""


class Partition(msgspec.Struct, frozen=True):
    """`start` and `size` in sectors."""

    start: int
    size: int
    type: str
    name: str = ""
    uuid: str = ""


class Table(msgspec.Struct, frozen=True):
    """Of a whole disk."""

    partitions: tuple[Partition, ...] = ()
    label: str = ""
    id: str = ""

    @property
    def is_a_capsules(self) -> bool:
        """Whether the partitions are those that `make image` makes, in their order."""
        return tuple(one.name for one in self.partitions) == NAMES

    @property
    def least_bytes(self) -> int:
        """The smallest disk that such a table fits on, with something in its last partition."""
        return (self.partitions[-1].start + _ALIGNED) * SECTOR_BYTES + LEAST_PV_BYTES

    def leaves(self, disk_bytes: int) -> int:
        """How many bytes behind the last partition are nobody's, on a disk of this size."""
        end = max(one.start + one.size for one in self.partitions)
        free = disk_bytes // SECTOR_BYTES - _BEHIND - end
        return max(0, free // _ALIGNED * _ALIGNED) * SECTOR_BYTES


class _Said(msgspec.Struct, frozen=True):
    partitiontable: Table


def parsed(said: bytes) -> Table:
    """What `sfdisk --json` printed. Raises ValueError."""
    try:
        return msgspec.json.decode(said, type=_Said).partitiontable
    except msgspec.MsgspecError as error:
        raise ValueError(f"sfdisk's word cannot be read: {error}") from error


def random_id() -> str:
    """For a partition that no other has."""
    return str(uuid.uuid4())


def script(table: Table, fresh: Callable[[], str] = random_id) -> str:
    """What sfdisk makes of a disk: these partitions, the last up to the end, with ids that `fresh` gives. Pure but for
    those."""
    lines = ["label: gpt", f"label-id: {fresh()}", "unit: sectors"]
    last = table.partitions[-1]
    for one in table.partitions:
        size = "" if one is last else f"size={one.size}, "
        lines.append(f"start={one.start}, {size}type={one.type}, name={one.name}, uuid={fresh()}")
    return "\n".join((*lines, ""))


async def table_of(disk: str) -> Table:
    """As it is. Raises CommandFailed, ValueError."""
    return parsed(await run("sfdisk", "--json", disk))


async def forget(disk: str) -> None:
    """Have the kernel know no partition of a disk of which none is in use. Else `write` tells it of the new ones a
    number at a time, and it takes none that overlaps an old one. Raises CommandFailed."""
    await run("partx", "--delete", "--nr", f"1:{_MOST}", disk)


async def write(disk: str, table: Table) -> None:
    """Write `script(table)`, and tell the kernel what is another than before: also of a disk whose other partitions are
    in use. Raises CommandFailed."""
    # Without a look of its own at who uses the disk, and without a word to the kernel, which would refuse both.
    options = ("--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never", "--wipe-partitions", "never")
    await run("sfdisk", *options, disk, stdin=script(table).encode())
    await run("partx", "--update", disk)
