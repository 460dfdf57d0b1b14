"""The boot loader of the disk that the system booted from."""

from pathlib import Path

from capsuled.boot.disks import partition_of
from capsuled.boot.partitions import ESP
from effects.slots.grub_loader import GrubLoader
from effects.slots.protocol import BootLoader


def loader_of(root: str) -> BootLoader:
    """`root` is the partition with the root file system."""
    return GrubLoader(Path(partition_of(root, ESP)))
