"""The file system under the state: whether it takes writes, and how much more, whenever somebody looks."""

import asyncio
import os
from pathlib import Path

from effects.volumes.mounts import takes_no_writes
from projections.words import bytes_text

BY_A_REBOOT = "`capsulectl capsule reboot` checks and repairs it; if it comes again, the disk is failing: replace it"
BY_HAND = "Mend it (`e2fsck`), mount it writable, and start `capsuled` again"

LEAST_BYTES, LEAST_PERCENT = 1 << 30, 5
"""A disk on which there is less left, by both counts, is nearly full."""


def nearly_full(left_bytes: int, total_bytes: int) -> str:
    """What to warn of, where the state's disk has little left; else empty."""
    if left_bytes >= LEAST_BYTES or left_bytes * 100 >= total_bytes * LEAST_PERCENT:
        return ""
    return (
        f"the state's disk has {bytes_text(left_bytes)} of {bytes_text(total_bytes)} left: starts and pulls need room, "
        "and what is written into a volume when there is none is lost. Free space there"
    )


class StateDisk:
    """`state` lies on it; `mend` is what to do where it takes no writes any more."""

    def __init__(self, state: Path, mend: str) -> None:
        self._state = state
        self._mend = mend
        self.problem = ""
        """What is wrong with it, in words, as of the last look."""

    async def look(self) -> str:
        """Find that out; returns what to warn of where it is nearly full."""
        self.problem, full = await asyncio.to_thread(self._looked)
        return full

    async def warnings(self) -> tuple[str, ...]:
        """What an operator should know of now."""
        full = await self.look()
        return tuple(filter(None, (self.problem, full)))

    def _looked(self) -> tuple[str, str]:
        try:
            broken, disk = takes_no_writes(self._state), os.statvfs(self._state)
        except OSError as error:
            return f"the state's disk cannot be looked at ({self._state}: {error.strerror}). {self._mend}", ""
        full = nearly_full(disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize)
        if not broken:
            return "", full
        problem = (
            f"the state's disk is read-only ({self._state}), as after an error of the disk: starts, pulls and logs "
            f"fail, and what was written last may be lost. {self._mend}"
        )
        return problem, full
