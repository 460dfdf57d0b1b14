"""Whether there is room for an image before it is fetched: a disk that it fills to the last byte is everybody's.

What an image takes at least is known beforehand; how much its layers grow when they are unpacked is not. One for which
the disk was full all the same is tried again only where there is more room than there was, or after an hour: what it
met then may have been somebody else's.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from effects.errors import NoSpace
from projections.words import bytes_text

SPARE_BYTES = 32 << 20
"""What is to be left for everybody else."""
VAIN_S = 3_600.0
_KEPT = 256

Free = Callable[[], int]
"""How many bytes are free where images are."""


def free_below(root: Path) -> Free:
    """Those of the file system with this directory."""

    def free() -> int:
        disk = os.statvfs(root)
        return disk.f_bavail * disk.f_frsize

    return free


class Room:
    """The room for one cache's images. `clock` counts seconds, and nobody sets it."""

    def __init__(self, free: Free, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = free
        self._clock = clock
        self._vain: dict[str, tuple[int, float]] = {}

    @contextmanager
    def taken(self, digest: str, least_bytes: int) -> Iterator[None]:
        """While so much and more comes of the image with this digest. Raises NoSpace where it does not fit."""
        if not least_bytes:
            yield
            return
        free = self._free()
        spare = self._spare(digest)
        if free < least_bytes + spare:
            wanted = least_bytes + spare
            raise NoSpace(
                f"the disk has too little room: at least {bytes_text(wanted)} have to be free for it, and "
                f"{bytes_text(free)} are ({bytes_text(wanted - free)} too little). Free space under the state directory"
            )
        try:
            yield
        except NoSpace:
            self._vain.pop(digest, None)
            if len(self._vain) >= _KEPT:
                del self._vain[next(iter(self._vain))]
            self._vain[digest] = free - least_bytes, self._clock()
            raise
        self._vain.pop(digest, None)

    def _spare(self, digest: str) -> int:
        """What has to be free beside the least: more than was not enough."""
        was, since = self._vain.get(digest, (0, 0.0))
        if digest not in self._vain or self._clock() - since >= VAIN_S:
            return SPARE_BYTES
        return was + SPARE_BYTES
