"""Whether a partition that shows no volume group has held one: before one is made there, its first MiB is read.

One byte that rots in LVM's label makes `blkid` and LVM blind to the group, and `blkid` ends at a disk that it cannot
read as it does at one that holds nothing. Neither is a first boot.
"""

import asyncio

from capsuled.boot.errors import StorageFailed

SEARCHED_BYTES = 1 << 20
"""Label, header and the ring of metadata, of which each change leaves the text before it where it lies: what is behind
is the volumes' own. Source: pvcreate(8), `--dataalignment`; pvck(8)."""

_NAMES_VOLUMES = b"logical_volumes {"
"""Begins the part of a group's metadata that names its volumes; LVM writes none for a group that has none yet. So what
a power cut inside vgcreate leaves is no remnant: nothing was ever on it."""


async def refuse_remnants(partition: str) -> None:
    """Nothing is to be made on it where it has held volumes, or cannot be read. Raises StorageFailed."""
    try:
        beginning = await asyncio.to_thread(beginning_of, partition)
    except OSError as error:
        raise StorageFailed(
            f"{partition} cannot be read: {error.strerror}. What it holds is not known, so nothing is written there: "
            "see to the disk and its cable, or copy it to another one"
        ) from error
    if _NAMES_VOLUMES in beginning:
        raise StorageFailed(
            f"the volume group on {partition} cannot be read: its metadata is there, but its label or its header is "
            f"damaged, so LVM does not know it. Nothing is written there: mend it with `pvck --repair` from another "
            "system (docs/os.md, A group that LVM does not know)"
        )


def beginning_of(partition: str) -> bytes:
    """Blocking. Raises OSError."""
    with open(partition, "rb") as device:
        return device.read(SEARCHED_BYTES)
