"""Whether a disk that has much to write gets on with it: a slow one has its time at a machine's end, and one that hangs
has not.

Source: proc(5), /proc/meminfo.
"""

MEMINFO = "/proc/meminfo"
_UNWRITTEN = ("Dirty:", "Writeback:")


class Flushing:
    """Of what the kernel holds for all disks, looked at every so many seconds."""

    def __init__(self, every_s: float, meminfo: str = MEMINFO) -> None:
        self._every_s = every_s
        self._meminfo = meminfo
        self._kib = 0
        self._falls = False
        self._look_at = 0.0

    def falls(self, now: float) -> bool:
        """Whether there was less left at the last look than at the one before; the first one has none before it."""
        if now >= self._look_at:
            before, self._kib = self._kib, self._unwritten_kib()
            self._falls = self._kib < before
            self._look_at = now + self._every_s
        return self._falls

    def _unwritten_kib(self) -> int:
        """Where the kernel does not say so, as much as before: nothing falls, and the watchdog decides."""
        try:
            with open(self._meminfo) as file:
                return sum(int(line.split()[1]) for line in file if line.startswith(_UNWRITTEN))
        except (OSError, ValueError, IndexError):
            return self._kib
