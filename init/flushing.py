"""Whether a disk that has much to write gets on with it: a slow one has its time at a machine's end, and one that hangs
has not.

Source: proc(5), /proc/meminfo; the kernel's Documentation/admin-guide/sysctl/vm.rst.
"""

MEMINFO = "/proc/meminfo"
SETTINGS = "/proc/sys/vm"
_UNWRITTEN = ("Dirty:", "Writeback:")
_BOUNDS = (("dirty_background_bytes", 64 << 20), ("dirty_bytes", 256 << 20))
"""Of 16 GiB of memory the kernel would let 3 wait, which is ten minutes of a slow stick's. So much is written at 5 MB a
second within the minute that a watchdog leaves, and a fast disk is at its work from a quarter on."""


class Flushing:
    """Of what the kernel holds for all disks, looked at every so many seconds."""

    def __init__(self, every_s: float, meminfo: str = MEMINFO, settings: str = SETTINGS) -> None:
        self._every_s = every_s
        self._meminfo = meminfo
        self._settings = settings
        self._kib = 0
        self._falls = False
        self._look_at = 0.0

    def bound(self) -> None:
        """Have little wait from now on, for the machine is to end. Not before: the kernel has each container wait for
        the disk at the same share of its own memory, and a small one could not write anything at once."""
        for name, most_bytes in _BOUNDS:
            try:
                with open(f"{self._settings}/{name}", "w") as file:
                    file.write(f"{most_bytes}\n")
            except OSError:
                pass  # then there is more to write, and it takes its time

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
