"""Whether a machine that booted is an installer: it came up from a removable disk that nothing lives on yet, and has a
disk inside that it could be installed on, or could if the firmware did not hide it. `capsule.mode=installer` or
`=runtime` on the kernel's command line decides it otherwise.
"""

import asyncio
from pathlib import Path

from capsuled.boot.disks import Disk, disk_of, disks, hidden_disks, partition_of, problem_of
from capsuled.boot.errors import StorageFailed
from capsuled.boot.group import KIND, content_of
from capsuled.boot.partitions import COUNT, table_of
from capsuled.processes import CommandFailed

SETTLE_S, LOOK_S = 5.0, 0.25
"""A disk inside may take longer to be there than the one that booted."""

_WORD = "capsule.mode="


def asked_for(command_line: str) -> str:
    """The mode that the command line names; empty without one. Pure."""
    return next((word.removeprefix(_WORD) for word in command_line.split() if word.startswith(_WORD)), "")


async def is_installer(root: str, command_line: str, sys: Path = Path("/sys")) -> bool:
    """`root` is the partition that booted."""
    asked = asked_for(command_line)
    if asked in ("runtime", "installer"):
        return asked == "installer"
    booted = disk_of(root)
    try:
        if not _find(booted, sys).removable or await content_of(partition_of(root, COUNT)) == KIND:
            return False
        least_bytes = (await table_of(booted)).least_bytes
    except (StorageFailed, CommandFailed, ValueError):
        return False  # what is wrong with it is told where it is used, and nobody without a key may write over it
    deadline = asyncio.get_running_loop().time() + SETTLE_S
    while not any(one.device != booted and not problem_of(one, least_bytes) for one in disks(sys)):
        if asyncio.get_running_loop().time() > deadline:
            return hidden_disks(sys) > 0
        await asyncio.sleep(LOOK_S)
    return True


def _find(device: str, sys: Path) -> Disk:
    return next((one for one in disks(sys) if one.device == device), Disk(device, 0))
