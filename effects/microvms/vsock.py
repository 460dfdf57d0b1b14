"""A microVM's number on the machine's vsock, and the way to its agent by that number.

A number belongs to whoever has the device open with it, and to nobody else meanwhile: it is claimed here, and the
monitor is given the open device. Containers and other users of the machine may open such connections, too. So the
daemon comes from a port that only root can have, and the guest talks with nobody else (guest/service/relay.py).

Source: vsock(7), the kernel's include/uapi/linux/vhost.h.
"""

import asyncio
import errno
import fcntl
import os
import socket
from pathlib import Path

from channel.vsock import RESERVED, VSOCK_PORT
from effects.microvms.relay import Dial

DEVICE = Path("/dev/vhost-vsock")
_SET_GUEST_CID = 0x4008_AF60  # VHOST_VSOCK_SET_GUEST_CID
_FIRST, _LAST = 1 << 10, 1 << 30
"""Far from the numbers that people give machines by hand."""


def claimed(device: int, wish: int) -> int:
    """A number that this open device has from now on: `wish`, or the next that is free. Raises OSError."""
    number = _FIRST + wish % (_LAST - _FIRST)
    while True:
        try:
            fcntl.ioctl(device, _SET_GUEST_CID, number.to_bytes(8, "little"))
            return number
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        number += 1


def opened(wish: int, device: Path = DEVICE) -> tuple[int, int] | None:
    """The device, open, and the number that it has; None on a machine without one that can be used."""
    try:
        fd = os.open(device, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return fd, claimed(fd, wish)
    except OSError:
        os.close(fd)
        return None


def dialled(number: int) -> Dial:
    """The stream to the agent of the guest with this number."""

    async def dial() -> socket.socket:
        stream = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        try:
            _bind(stream)
            stream.setblocking(False)
            await asyncio.get_running_loop().sock_connect(stream, (number, VSOCK_PORT))
        except BaseException:
            stream.close()
            raise
        return stream

    return dial


def _bind(stream: socket.socket) -> None:
    """To a port of root's that is free. Raises OSError."""
    for port in range(RESERVED - 1, 0, -1):
        try:
            stream.bind((socket.VMADDR_CID_ANY, port))
            return
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise OSError(errno.EADDRINUSE, "every port of vsock that only root can have is taken")
