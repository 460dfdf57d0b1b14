"""What is on a disk when the power goes in the middle of writes, of which a machine's disk has kept a log.

A disk with a cache that loses its power has everything up to the last flush. Of what came behind it, it has any part in
any order: here a random half, of which some writes end after one of their sectors.
"""

import os
import random
from pathlib import Path
from typing import NamedTuple

from tests.support.power.disk_log import SECTOR_BYTES, operations


class Cut(NamedTuple):
    """How many writes there were behind the last flush, and of how many of them not all is on the disk."""

    unflushed: int
    lost: int


def cut(disk: Path, log: Path, seed: int) -> Cut:
    """Bring `disk`, as it was when the log began, to where the power's loss at the log's end leaves it."""
    chance = random.Random(seed)
    found = operations(log)
    flushed = max((number for number, one in enumerate(found) if one.is_flush), default=0)
    unflushed = lost = 0
    with log.open("rb") as source, disk.open("r+b") as target:
        for number, one in enumerate(found):
            size = one.size
            if number >= flushed and size and not one.forced:
                unflushed += 1
                size = chance.choice((0, 0, size, size, min(SECTOR_BYTES, size)))
                lost += size < one.size
            source.seek(one.data_at)
            os.pwrite(target.fileno(), source.read(size), one.offset)
    return Cut(unflushed, lost)
