"""A disk that is larger than what is on it: the last partition, the group, and what lies in it grow. Nothing shrinks,
nothing is moved, and whatever was cut off half-way is gone on with the next time.
"""

from collections.abc import Callable

import msgspec

from capsuled.boot.disks import disk_of, nth, size_bytes
from capsuled.boot.errors import StorageFailed
from capsuled.boot.group import FILE_SYSTEMS, GROUP, POOL, group_bytes, pool_bytes, sizes
from capsuled.boot.partitions import COUNT, Table, table_of, write
from capsuled.processes import CommandFailed, run

_MIB = 1 << 20
LEAST_BYTES = 64 * _MIB
"""What is less is not worth a change: sizes are rounded to extents."""

_MAPPING_BYTES = 64
"""What the pool's metadata takes for each of its chunks, at most."""

_METADATA_MOST = 15 << 30


class Grown(msgspec.Struct, frozen=True):
    """What has another size now: `partition`, `perm`, `journal`, `pool`."""

    name: str
    before_bytes: int
    after_bytes: int


class Volume(msgspec.Struct, frozen=True):
    """A logical volume's size; of the pool also its chunks' and its metadata's."""

    size_bytes: int
    chunk_bytes: int = 0
    metadata_bytes: int = 0


def parsed(said: str) -> dict[str, Volume]:
    """What lvs printed, by name: size, chunk size, metadata size in bytes. Pure."""
    rows = (line.strip().split("|") for line in said.splitlines() if line.count("|") == 3)
    return {name: Volume(int(size), int(chunk or 0), int(metadata or 0)) for name, size, chunk, metadata in rows}


def wanted(group_size_bytes: int, there: dict[str, Volume]) -> dict[str, int]:
    """Sizes, in bytes, of what shall grow in a group of this size: as they would be had it been made so. Pure."""
    share = sizes(group_size_bytes)
    shares = {"perm": share.perm * _MIB, "journal": share.journal * _MIB}
    new = {name: max(there[name].size_bytes, size) for name, size in shares.items()}
    new[POOL] = pool_bytes(group_size_bytes, new["perm"] + new["journal"])
    return {name: size for name, size in new.items() if size >= there[name].size_bytes + LEAST_BYTES}


def metadata_bytes(pool: Volume, size_bytes: int) -> int:
    """What the metadata of a pool that has this size takes, when all of it is used. Pure."""
    needed = size_bytes // max(pool.chunk_bytes, 1) * _MAPPING_BYTES if pool.chunk_bytes else 0
    return min(max(pool.metadata_bytes, -(-needed // _MIB) * _MIB), _METADATA_MOST)


class Growth:
    """Of the disk that `root`, a partition, is on."""

    def __init__(self, root: str, sizes_of: Callable[[str], int] = size_bytes) -> None:
        self.disk = disk_of(root)
        self._partition = nth(self.disk, COUNT)
        self._size = sizes_of

    async def unused_bytes(self) -> int:
        """How much of the disk is behind its last partition. Raises StorageFailed."""
        return (await self._table()).leaves(self._size(self.disk))

    async def settle(self) -> tuple[Grown, ...]:
        """Before there is anything in the last partition: it goes to the disk's end, and the partitions get ids of
        their own. Raises StorageFailed."""
        before = self._size(self._partition)
        await self._write(await self._table())
        return self._partition_grown(before)

    async def grow(self) -> tuple[Grown, ...]:
        """Everything, as far as there is room. Raises StorageFailed."""
        before = self._size(self._partition)
        table = await self._table()
        if table.leaves(self._size(self.disk)):
            await self._write(table)
        try:
            await run("lvm", "pvresize", "--quiet", self._partition)
            return (*self._partition_grown(before), *await self._grow_volumes())
        except CommandFailed as error:
            raise StorageFailed(f"{error}. What has grown already stays so; try again once that is mended") from error

    async def _grow_volumes(self) -> tuple[Grown, ...]:
        there = await self._volumes()
        new = wanted(await group_bytes(), there)
        for name in FILE_SYSTEMS:
            if name in new:
                await run("lvm", "lvextend", "--quiet", "--size", f"{new[name]}b", f"{GROUP}/{name}")
            # Also where the power went in between; it says so where nothing is to be done.
            await run("resize2fs", f"/dev/{GROUP}/{name}")
        if POOL in new:
            pool = there[POOL]
            metadata = metadata_bytes(pool, new[POOL])
            if metadata > pool.metadata_bytes:
                await run("lvm", "lvextend", "--quiet", "--poolmetadatasize", f"{metadata}b", f"{GROUP}/{POOL}")
            await run("lvm", "lvextend", "--quiet", "--size", f"{new[POOL]}b", f"{GROUP}/{POOL}")
        after = await self._volumes()
        return tuple(Grown(name, there[name].size_bytes, after[name].size_bytes) for name in new)

    async def _volumes(self) -> dict[str, Volume]:
        fields = "lv_name,lv_size,chunk_size,lv_metadata_size"
        plain = ("--noheadings", "--nosuffix", "--units", "b", "--separator", "|")
        there = parsed((await run("lvm", "lvs", *plain, "--options", fields, GROUP)).decode())
        lacking = {POOL, *FILE_SYSTEMS} - there.keys()
        if lacking:
            raise StorageFailed(f"the group {GROUP} has no {', '.join(sorted(lacking))}: it is left as it is")
        return there

    def _partition_grown(self, before: int) -> tuple[Grown, ...]:
        after = self._size(self._partition)
        return (Grown("partition", before, after),) if after > before else ()

    async def _table(self) -> Table:
        try:
            table = await table_of(self.disk)
        except (CommandFailed, ValueError) as error:
            raise StorageFailed(f"the partition table of {self.disk} cannot be read: {error}") from error
        if not table.is_a_capsules:
            raise StorageFailed(f"the partitions of {self.disk} are not those of a capsule: they are left alone")
        return table

    async def _write(self, table: Table) -> None:
        try:
            await write(self.disk, table)
        except CommandFailed as error:
            raise StorageFailed(f"the partition table of {self.disk} cannot be written: {error}") from error
