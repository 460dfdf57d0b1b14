"""Volumes whose writes are held for a while, so that their disks can be copied from outside as they stand."""

import fcntl
import os
import threading

from guest.ending import thaw
from guest.mounts import VOLUMES

_FREEZE = 0xC004_5877
DEFAULT_S, MOST_S = 10.0, 60.0


class Freezing:
    """Each by its serial; whoever does not thaw one in time has it thawed."""

    def __init__(self) -> None:
        self._timers: dict[str, threading.Timer] = {}
        self._lock = threading.Lock()

    def freeze(self, serial: str, timeout_ms: int) -> None:
        """Hold every write. What is held for somebody who has gone is held anew. Raises OSError."""
        seconds = min(timeout_ms / 1_000 or DEFAULT_S, MOST_S)
        with self._lock:
            self._release(serial)
            fd = os.open(f"{VOLUMES}/{serial}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(fd, _FREEZE, 0)
            finally:
                os.close(fd)
            timer = threading.Timer(seconds, self._late, (serial,))
            timer.daemon = True
            self._timers[serial] = timer
            timer.start()

    def thaw(self, serial: str) -> bool:
        """Let it be written again; False if that was done meanwhile."""
        with self._lock:
            return self._release(serial)

    def _release(self, serial: str) -> bool:
        timer = self._timers.pop(serial, None)
        if timer is None:
            return False
        timer.cancel()
        return thaw(f"{VOLUMES}/{serial}")

    def _late(self, serial: str) -> None:
        with self._lock:
            if self._timers.get(serial) is threading.current_thread():  # and not one that took its place meanwhile
                self._release(serial)
