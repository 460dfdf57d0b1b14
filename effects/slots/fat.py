"""Where a file's bytes lie on a FAT32 file system that is never mounted, so that they can be rewritten in place.

Nothing of the file system itself is ever written: no directory, no table, no time. Source: Microsoft's FAT
specification, version 1.03: boot sector, directory entries, cluster chains; short names alone are looked at.
"""

from collections.abc import Callable, Iterator

import msgspec

Read = Callable[[int, int], bytes]
"""(offset, size) → so many bytes of the partition."""

_DIRECTORY, _LONG_NAME, _LABEL = 0x10, 0x0F, 0x08
_ENTRY_BYTES = 32
_CHAIN_MOST = 65_536
_END = 0x0FFFFFF8


class NotFound(Exception):
    """Raised when there is no such file, or no FAT32 file system, in words."""


class Extent(msgspec.Struct, frozen=True):
    """So many bytes of the file, from here on the partition."""

    offset: int
    size: int


class _Volume(msgspec.Struct, frozen=True):
    sector_bytes: int
    cluster_bytes: int
    table: int
    data: int
    root: int


def locate(read: Read, path: str) -> tuple[Extent, ...]:
    """The file's bytes in their order, a cluster each. `path` like capsule/grubenv. Raises NotFound."""
    volume = _volume(read)
    cluster, size, is_directory = volume.root, 0, True
    for name in path.split("/"):
        if not is_directory:
            raise NotFound(f"{path} leads through a file")
        cluster, size, is_directory = _entry(read, volume, cluster, name)
    if is_directory:
        raise NotFound(f"{path} is a directory")
    extents, left = [], size
    for one in _chain(read, volume, cluster) if left else ():
        extents.append(Extent(_offset(volume, one), min(left, volume.cluster_bytes)))
        left -= extents[-1].size
        if not left:
            break
    if left:
        raise NotFound(f"{path} ends too early: the file system is damaged")
    return tuple(extents)


def _volume(read: Read) -> _Volume:
    boot = read(0, 512)
    sector, per_cluster = int.from_bytes(boot[11:13], "little"), boot[13]
    reserved, tables = int.from_bytes(boot[14:16], "little"), boot[16]
    table_sectors = int.from_bytes(boot[36:40], "little")
    # Where it is FAT32 the field of the older ones' table is 0.
    if boot[510:512] != b"\x55\xaa" or boot[22:24] != b"\0\0" or sector not in (512, 1024, 2048, 4096):
        raise NotFound("the partition holds no FAT32 file system")
    if not (per_cluster and tables and table_sectors):
        raise NotFound("the FAT32 file system is damaged")
    return _Volume(
        sector_bytes=sector,
        cluster_bytes=sector * per_cluster,
        table=reserved * sector,
        data=(reserved + tables * table_sectors) * sector,
        root=int.from_bytes(boot[44:48], "little"),
    )


def _offset(volume: _Volume, cluster: int) -> int:
    return volume.data + (cluster - 2) * volume.cluster_bytes


def _chain(read: Read, volume: _Volume, cluster: int) -> Iterator[int]:
    for _ in range(_CHAIN_MOST):
        if cluster < 2:
            raise NotFound("a chain of clusters leads nowhere: the file system is damaged")
        yield cluster
        cluster = int.from_bytes(read(volume.table + 4 * cluster, 4), "little") & 0x0FFFFFFF
        if cluster >= _END:
            return
    raise NotFound("a chain of clusters does not end: the file system is damaged")


def _entry(read: Read, volume: _Volume, directory: int, name: str) -> tuple[int, int, bool]:
    """First cluster, size, and whether it is a directory."""
    stem, _, ending = name.upper().partition(".")
    wanted = f"{stem:<8}{ending:<3}".encode("ascii")
    for cluster in _chain(read, volume, directory):
        block = read(_offset(volume, cluster), volume.cluster_bytes)
        for at in range(0, len(block), _ENTRY_BYTES):
            entry = block[at : at + _ENTRY_BYTES]
            if entry[0] == 0:
                raise NotFound(f"there is no {name}")
            if entry[0] == 0xE5 or entry[11] & _LONG_NAME == _LONG_NAME or entry[11] & _LABEL:
                continue
            if entry[:11] == wanted:
                first = int.from_bytes(entry[20:22], "little") << 16 | int.from_bytes(entry[26:28], "little")
                return first, int.from_bytes(entry[28:32], "little"), bool(entry[11] & _DIRECTORY)
    raise NotFound(f"there is no {name}")
