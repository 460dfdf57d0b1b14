"""The guest's wall clock, as the daemon keeps it: the machine's own may have been set right since the guest booted."""

import sys
import time

from guest import kernel

STEP_NS = 1_000_000_000
"""What is more is made up for at once; what is less at half a millisecond a second, so that time never runs backwards
for it."""


class Clock:
    """One for the machine: PID 1 has set it at the boot."""

    def __init__(self) -> None:
        self._refused = False

    def now_ns(self) -> int:
        """Since the epoch."""
        return time.time_ns()

    def make_up(self, behind_ns: int) -> None:
        """It is so far behind; negative: ahead. A kernel that does not let us is told of once: a clock that is wrong
        ends nothing."""
        if not behind_ns:
            return
        try:
            if abs(behind_ns) > STEP_NS:
                self._set(self.now_ns() + behind_ns)
            else:
                self._slew(behind_ns)
        except OSError as error:
            if not self._refused:
                print(f"capsule-guest: the clock cannot be set: {error.strerror}", file=sys.stderr, flush=True)
            self._refused = True

    def _set(self, time_ns: int) -> None:
        time.clock_settime_ns(time.CLOCK_REALTIME, time_ns)

    def _slew(self, behind_ns: int) -> None:
        kernel.slew_clock(behind_ns)
