"""A microVM's private writable layer: a sparse file with ext4 in it, which costs the machine what is written into it.

It is made under a scratch name and renamed when it is whole and on the disk, and checked before it is used again: the
machine that had it last may have been cut off. Measured with e2fsprogs 1.47, 16 GiB: the defaults take 4,372 KiB of the
disk; without room set aside for growth 272; and a guest that mounts it adds 80. Tables that are known to be zero (the
file is new, all of it is) are not zeroed in the background either, which would write 256 MiB.
"""

import asyncio
import errno
import os
from pathlib import Path

from effects import held
from effects.command import Command, how_it_ended
from effects.errors import LayerDamaged, StartFailed, unwritten
from effects.volumes.clone import scratch_of
from effects.volumes.ext4 import damage
from journal.durable import settle

SIZE_BYTES = 16 << 30
"""What a program finds free at most: more than an image's program should write outside its volumes, and so little that
one that runs wild does not fill a disk of usual size by itself. Nothing is taken before it is written."""
_JOURNAL_MIB = "16"
"""It is written round and round, and what it passed through once stays on the machine's disk."""
_MKFS = (
    "mkfs.ext4", "-q", "-F", "-m", "0", "-J", f"size={_JOURNAL_MIB}", "-O", "^resize_inode",
    "-E", "nodiscard,assume_storage_prezeroed=1",
)  # fmt: skip


async def ensure_layer(command: Command, path: Path) -> None:
    """The layer is there and can be written. One that a virtual machine has open is left alone. Raises NoSpace,
    LayerDamaged, StartFailed."""
    try:
        if not path.exists():
            await _make(command, path)
        elif not await asyncio.to_thread(held.is_held, path):
            await _check(command, path)
    except OSError as error:
        raise unwritten(f"the private layer {path}", error) from error


async def _make(command: Command, path: Path) -> None:
    scratch = scratch_of(path)
    try:
        await asyncio.to_thread(_sized, scratch)
        code, said = await command(*_MKFS, str(scratch))
        if code and "No space left" in said:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if code:
            raise StartFailed(f"the private layer {path} cannot be made: {how_it_ended(code)}: {said.strip()[-300:]}")
        await asyncio.to_thread(settle, scratch, path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


async def _check(command: Command, path: Path) -> None:
    if said := await damage(command, str(path)):
        raise LayerDamaged(
            f"the private layer {path} is damaged and cannot be mended by itself: {said}. Run `e2fsck "
            f"{path}` by hand; or remove it: then the next start makes a new one, without what was written into it"
        )


def _sized(scratch: Path) -> None:
    scratch.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch.unlink(missing_ok=True)  # what is in it already would pass for zeroes
    with scratch.open("xb") as file:
        file.truncate(SIZE_BYTES)
