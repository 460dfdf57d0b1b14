"""The file system in every volume, whatever it lies on: how it is made, mounted and looked at."""

import errno
import os
from pathlib import Path

from effects.command import Command, how_it_ended
from effects.errors import SnapshotDamaged, VolumeDamaged, VolumeFailed, VolumeTooLarge
from effects.volumes.conditions import full
from effects.volumes.superblock import block_bytes, filesystem_bytes

BLOCK_BYTES = 4096
MKFS = (
    "mkfs.ext4", "-q", "-F", "-b", str(BLOCK_BYTES), "-m", "0",
    "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1",
)  # fmt: skip
"""A small file system would get blocks of 1 KiB, with which it can never grow to a terabyte."""
MOUNT_OPTIONS = "noatime,nosuid,nodev,discard,errors=remount-ro"
"""`discard`: what is freed in a volume goes back to the pool or to the sparse file under it, as in a microVM; without,
what lies under it only ever grows. A storage that takes no discards is mounted all the same. What was freed before it
was mounted like this is not looked for: to trim all of it here would hold the mount open against a stop, and the check
before a start would last as long; it goes back once it was used and freed again."""
_GROWTH = 64
"""resize2fs (1.47.0) grows what it made a thousand times as large at one go into a file system that no check mends."""
_NOT_KEPT = "Cannot allocate space for /lost+found"
"""A check of everything makes that directory first of all, and calls a file system whose numbers of files are all taken
inconsistent for want of it. A workload has none in its volume (sandbox/new_volumes.py)."""
_FSCK_USABLE = 2
"""e2fsck's exit codes below this: clean, or made so. A negative one is a signal's, and says neither."""


async def damage(command: Command, disk: str, *options: str) -> str:
    """What e2fsck says of a file system that it cannot mend by itself; of a sound one nothing, once its journal is
    replayed after a crash, and mended what is safe to mend. Raises VolumeFailed where e2fsck did not come to its end:
    that is no damage, for which somebody would throw data away."""
    code, said = await _checked(command, *options, "-p", disk)
    if code >= _FSCK_USABLE and _NOT_KEPT in said:
        # It has come as far as that, so nothing before it was unsafe to mend. Now it does without.
        code, said = await _checked(command, "-f", "-y", disk)
    return "" if code < _FSCK_USABLE else said.strip()[-300:] or how_it_ended(code)


async def _checked(command: Command, *arguments: str) -> tuple[int, str]:
    code, said = await command("e2fsck", *arguments)
    if code < 0:
        argv = " ".join(("e2fsck", *arguments))
        raise VolumeFailed(f"`{argv}`: {how_it_ended(code)} before it had checked the file system")
    return code, said


async def check(command: Command, name: str, disk: str) -> None:
    """The file system of this volume can be used. Raises VolumeDamaged, VolumeFailed."""
    if said := await damage(command, disk):
        raise VolumeDamaged(
            f"the file system of volume {name} is damaged and cannot be mended by itself: {said}. "
            f"Restore a snapshot, or run `e2fsck {disk}` by hand"
        )


async def check_snapshot(command: Command, name: str, snapshot: int, disk: str) -> None:
    """What `disk`, a copy, has of this snapshot can be used. Raises SnapshotDamaged, VolumeFailed."""
    if said := await damage(command, disk):
        raise SnapshotDamaged(
            f"the file system in snapshot {snapshot} of volume {name} is damaged and cannot be mended by itself: {said}"
        )


async def check_staged(command: Command, disk: str) -> None:
    """What came holds a sound file system, wherever it was last: all of it is looked at. Raises NoSpace,
    VolumeDamaged, VolumeFailed."""
    if said := await damage(command, disk, "-f"):
        if "No space left" in said:
            raise full()
        raise VolumeDamaged(f"the file system in it is damaged, or none: {said}")


def growth(disk: Path, size_bytes: int) -> list[int]:
    """The sizes, in bytes, to which the file system is grown one after another. Blocks. Raises OSError, and
    VolumeTooLarge for one that its blocks cannot describe. Source: resize2fs, "too many block group descriptors": those
    of all groups, of 64 bytes each, lie in the blocks of one group, which are as many as a block has bits."""
    bytes_each = block_bytes(disk)
    of_a_group = 8 * bytes_each
    most_bytes = (of_a_group - 1) * (bytes_each // 64) * of_a_group * bytes_each
    if size_bytes > most_bytes:
        raise VolumeTooLarge(
            f"its file system has blocks of {bytes_each} bytes and cannot grow beyond "
            f"{most_bytes >> 30} GiB: make a new volume of that size, and copy what this one holds"
        )
    sizes = [filesystem_bytes(disk) * _GROWTH]
    while sizes[-1] < size_bytes:
        sizes.append(sizes[-1] * _GROWTH)
    return [*sizes[:-1], size_bytes]


def is_mounted_anywhere(device: Path) -> bool:
    """Whether somebody has its file system mounted, be it in a namespace of his own. Blocks. Raises OSError."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        if error.errno == errno.EBUSY:
            return True
        raise
    return False
