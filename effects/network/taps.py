"""TAPs: the machine's end of a microVM's link, whose other end is a descriptor. Blocking, but for moments.

One is persistent, so that it is there before its virtual machine and after it, and has one queue: whoever comes second
is refused by the kernel. Its owner alone may open it, beside root. While it is made it is not persistent yet: what a
crash cuts short is gone with the process. Source: the kernel's Documentation/networking/tuntap, linux/if_tun.h.
"""

import fcntl
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_SYS = Path("/sys/class/net")
_DEVICE = "/dev/net/tun"
_TUNSETIFF, _TUNSETPERSIST, _TUNSETOWNER = 0x400454CA, 0x400454CB, 0x400454CC
_TAP, _NO_PI, _VNET_HDR = 0x0002, 0x1000, 0x4000
_REQUEST = "16sH22x"
"""struct ifreq: a name and flags."""


def opened(port: str) -> int:
    """A descriptor on which the frames of the TAP come and go, each behind a virtio header. Raises OSError, with EBUSY
    when somebody else has it, and makes none that is not there."""
    if not is_tap(port):
        raise FileNotFoundError(2, "there is no such TAP", port)
    return _opened(port)


def is_tap(port: str) -> bool:
    """Whether there is a TAP of this name."""
    return (_SYS / port / "tun_flags").exists()


def owner_of(port: str) -> int:
    """The uid that may open it; -1 for everybody's."""
    with suppress(OSError, ValueError):
        return int((_SYS / port / "owner").read_text())
    return -1


def is_open(port: str) -> bool:
    """Whether somebody has it open: then, and while it is up, the kernel sees a carrier."""
    with suppress(OSError):
        return (_SYS / port / "carrier").read_text().strip() == "1"
    return False


def make(port: str, owner: int, finish: Callable[[], None]) -> None:
    """Make a TAP of this name; `finish` brings it to where it belongs, and then it stays. Raises OSError, and what
    `finish` raises."""
    fd = _opened(port)
    try:
        fcntl.ioctl(fd, _TUNSETOWNER, owner)
        finish()
        fcntl.ioctl(fd, _TUNSETPERSIST, 1)
    finally:
        os.close(fd)


def _opened(port: str) -> int:
    fd = os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack(_REQUEST, port.encode(), _TAP | _NO_PI | _VNET_HDR))
    except BaseException:
        os.close(fd)
        raise
    return fd
