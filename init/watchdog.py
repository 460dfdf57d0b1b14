"""The watchdog: a device that resets the machine unless somebody writes to it in time.

Source: the kernel's Documentation/watchdog/watchdog-api.rst.
"""

import fcntl
import os

DEVICE = "/dev/watchdog"
TIMEOUT_S = 60
PET_S = 20.0
"""Between two writes, at most."""

_SETTIMEOUT = 0xC0045706  # WDIOC_SETTIMEOUT


class Watchdog:
    """Nothing, until it is opened; then it is never closed, so that nobody gets around it."""

    def __init__(self, device: str = DEVICE) -> None:
        self._device = device
        self._fd: int | None = None

    def open(self) -> str:
        """Let it run from now on; returns why it cannot, if it cannot."""
        if self._fd is not None:
            return ""
        try:
            self._fd = os.open(self._device, os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            return f"{self._device}: {error.strerror}"
        try:
            fcntl.ioctl(self._fd, _SETTIMEOUT, TIMEOUT_S.to_bytes(4, "little"))
        except OSError:
            pass  # it has a time of its own, and every one known is longer than PET_S
        return ""

    @property
    def runs(self) -> bool:
        """Whether it has to be petted."""
        return self._fd is not None

    def pet(self) -> None:
        """Another TIMEOUT_S."""
        if self._fd is not None:
            try:
                os.write(self._fd, b"\0")
            except OSError:
                pass
