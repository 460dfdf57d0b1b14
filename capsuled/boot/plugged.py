"""Drivers for what is plugged in while the machine runs: the kernel tells of a new device, with the name of the drivers
that would fit (modules.py has those of the start).

Source: the kernel's lib/kobject_uevent.c: a datagram is `add@/devices/...` and then KEY=VALUE, each ended by NUL.
"""

import asyncio
import logging
import socket
from collections.abc import Sequence

from capsuled.boot import modules

log = logging.getLogger(__name__)

_NETLINK_KOBJECT_UEVENT = 15
_KERNELS_GROUP = 1
_DATAGRAM_BYTES = 16 << 10
BURST_S = 0.2
"""What is plugged in is several devices, and they come together."""


def modalias_of(datagram: bytes) -> str:
    """That of a device which came; empty for other news, and for a device that asks for nothing. Pure."""
    head, *pairs = datagram.split(b"\0")
    if not head.startswith(b"add@"):
        return ""
    found = next((pair for pair in pairs if pair.startswith(b"MODALIAS=")), b"")
    return found.removeprefix(b"MODALIAS=").decode("ascii", "replace").strip()


class Asked:
    """What devices that came ask for, heard without anybody waiting, until it is closed. Raises OSError where the
    kernel tells nothing."""

    def __init__(self) -> None:
        kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self.came = asyncio.Event()
        self._wanted: set[str] = set()
        self._missed = False
        self._loop = asyncio.get_running_loop()
        self._listener = socket.socket(socket.AF_NETLINK, kind, _NETLINK_KOBJECT_UEVENT)
        try:
            self._listener.bind((0, _KERNELS_GROUP))
        except OSError:
            self._listener.close()
            raise
        self._loop.add_reader(self._listener, self._hear)

    def taken(self) -> tuple[tuple[str, ...], bool]:
        """The names since the last time, and whether others were missed."""
        told = tuple(sorted(self._wanted)), self._missed
        self._wanted, self._missed = set(), False
        self.came.clear()
        return told

    def close(self) -> None:
        """Hear no more."""
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _hear(self) -> None:
        while True:
            try:
                datagram, (sender, _) = self._listener.recvfrom(_DATAGRAM_BYTES)
            except BlockingIOError:
                return
            except OSError:  # an overrun
                self._missed = True
                self.came.set()
                return
            # The kernel's own news, and nobody's in its name.
            if sender == 0 and (alias := modalias_of(datagram)):
                self._wanted.add(alias)
                self.came.set()


async def load_plugged(started: asyncio.Event) -> None:
    """Load what each device asks for that comes from now on, but not before those of the start are loaded, until
    cancelled."""
    try:
        asked = Asked()
    except OSError as error:
        log.warning("what is plugged in later gets no driver: %s", error.strerror)
        return
    try:
        await started.wait()
        while True:
            await asked.came.wait()
            await asyncio.sleep(BURST_S)
            await _load(*asked.taken())
    finally:
        asked.close()


async def _load(aliases: Sequence[str], missed: bool) -> None:
    try:
        if missed:
            await modules.load_asked_for()
        elif aliases:
            await modules.load(aliases, modules.OF_ALIASES)
    except OSError as error:  # memory is short: whatever it was for is worth less than what runs
        log.warning("drivers of a device that came are not loaded: %s", error.strerror)
