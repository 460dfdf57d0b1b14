"""Time as a value: the one protocol through which the house learns what time it is.

The pure core never sees a clock; the shell reads one here and hands the readings in. Order comes from sequence
numbers, deadlines from `boot_id` + `mono_ns`, and `wall_ns` is for people (design, invariant 10).
"""

import asyncio
import time
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """A source of readings. The simulator has its own, seeded one."""

    @property
    def boot_id(self) -> str:
        """The kernel's boot id: monotonic readings compare only within one."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch; may jump."""
        ...

    def mono_ns(self) -> int:
        """Nanoseconds since boot, suspend included; never jumps."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of monotonic time."""
        ...


class SystemClock:
    """The machine's own clocks. Wall time never runs behind `floor_ns`, the journal's last entry."""

    def __init__(self, floor_ns: int = 0) -> None:
        self._floor_ns = floor_ns
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def wall_ns(self) -> int:
        # At boot a board without a battery may wake up decades ago; people then read a history that runs
        # backwards. The journal's last entry is the latest moment known to have passed.
        return max(time.time_ns(), self._floor_ns)

    def mono_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
