"""Whether there is room for an image before it is fetched: a disk that it fills to the last byte is everybody's.

What an image takes at least is known beforehand; how much its layers grow when they are unpacked is not. What one that
is under way was promised and has not taken yet is not free for another. One for which the disk was full all the same is
tried again only where there is more room than there was, or after an hour: what it met then may have been somebody
else's.
"""

import os
import sys
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


class Promise:
    """Room that somebody counts on: so many bytes are to come still."""

    def __init__(self, left_bytes: int = 0) -> None:
        self.left_bytes = left_bytes

    def came(self, size_bytes: int) -> None:
        """So many of them are on the disk now, or never will be: it has them, and not the promise."""
        self.left_bytes = max(0, self.left_bytes - size_bytes)


class Room:
    """The room for one cache's images. `clock` counts seconds, and nobody sets it."""

    def __init__(self, free: Free, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = free
        self._clock = clock
        self._vain: dict[str, tuple[int, float]] = {}
        self._promises: set[Promise] = set()

    @contextmanager
    def promised(self, least_bytes: int, spare_bytes: int = SPARE_BYTES) -> Iterator[Promise]:
        """While so much and more comes. Raises NoSpace where it does not fit beside what others were promised."""
        promise = Promise(least_bytes)
        free, wanted = self._unpromised(), least_bytes + spare_bytes
        if least_bytes and free < wanted:
            others = self._promised_bytes()
            beside = f", beside {bytes_text(others)} for other images that are coming" if others else ""
            raise NoSpace(
                f"the disk has too little room: at least {bytes_text(wanted)} have to be free for it, and "
                f"{bytes_text(max(0, free))} are ({bytes_text(wanted - free)} too little){beside}. Free space "
                "under the state directory"
            )
        self._promises.add(promise)
        try:
            yield promise
        finally:
            self._promises.remove(promise)

    @contextmanager
    def taken(self, digest: str, least_bytes: int) -> Iterator[Promise]:
        """The same of the image with this digest, which asks for more once it was promised and did not fit."""
        free = self._unpromised()
        with self.promised(least_bytes, self._spare(digest)) as promise:
            try:
                yield promise
            except NoSpace:
                self._vain.pop(digest, None)
                if least_bytes:
                    self._remember(digest, free - least_bytes)
                raise
        self._vain.pop(digest, None)

    def _remember(self, digest: str, in_vain_bytes: int) -> None:
        if len(self._vain) >= _KEPT:
            del self._vain[next(iter(self._vain))]
        self._vain[digest] = in_vain_bytes, self._clock()

    def _unpromised(self) -> int:
        return self._free() - self._promised_bytes()

    def _promised_bytes(self) -> int:
        return sum(promise.left_bytes for promise in self._promises)

    def _spare(self, digest: str) -> int:
        """What has to be free beside the least: more than was not enough."""
        was, since = self._vain.get(digest, (0, 0.0))
        if digest not in self._vain or self._clock() - since >= VAIN_S:
            return SPARE_BYTES
        return was + SPARE_BYTES


LAST_ROOM = Room(lambda: sys.maxsize)
"""For what must go in as long as the disk takes a byte of it, also of what is kept back for the machine itself."""
