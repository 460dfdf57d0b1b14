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
    """The machine's own clocks. Wall time never runs behind `least_ns`, a moment that is known to have passed: where it
    would, it stands at `floor_ns`, the journal's last entry. Without `least_ns` that is taken to have passed."""

    def __init__(self, floor_ns: int = 0, least_ns: int | None = None) -> None:
        self._least_ns = floor_ns if least_ns is None else least_ns
        self._floor_ns = max(floor_ns, self._least_ns)
        self._boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()

    @property
    def boot_id(self) -> str:
        return self._boot_id

    def wall_ns(self) -> int:
        # At boot a board without a battery may wake up decades ago; people then read a history that runs
        # backwards. But the last entry may be of a boot whose clock was fast, and is believed no more than that one.
        now_ns = time.time_ns()
        return now_ns if now_ns >= self._least_ns else self._floor_ns

    def mono_ns(self) -> int:
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
