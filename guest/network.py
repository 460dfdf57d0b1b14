"""The payload's network: the loopback, and eth0 with its address and gateway, by the oldest calls there are.
Source: netdevice(7), linux/route.h.
"""

import _socket
import fcntl
import os
import struct

from sandbox.sysctls import OPEN

_SET_ADDRESS, _SET_MASK, _SET_FLAGS, _ADD_ROUTE = 0x8916, 0x891C, 0x8914, 0x890B
_UP, _RUNNING = 0x1, 0x40
_ROUTE_UP, _GATEWAY = 0x1, 0x2
LINK = "eth0"
_SETTINGS = "/proc/sys/net/ipv4"


def let_all(settings: str = _SETTINGS) -> None:
    """OPEN is so, as far as the kernel knows it: none of it is worth a start."""
    for name, value in OPEN.items():
        try:
            fd = os.open(f"{settings}/{name}", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError:
            pass


def bring_up(network: "dict[str, str | int] | None") -> None:
    """The loopback and, with a network, `address`, `prefix` and `gateway` of eth0. Raises OSError."""
    let_all()
    asked = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
    try:
        _up(asked, "lo")
        if network is None:
            return
        fcntl.ioctl(asked, _SET_ADDRESS, _request(LINK, address(str(network["address"]))))
        fcntl.ioctl(asked, _SET_MASK, _request(LINK, address(mask(int(network["prefix"])))))
        _up(asked, LINK)
        if network["gateway"]:
            fcntl.ioctl(asked, _ADD_ROUTE, default_route(str(network["gateway"])))
    finally:
        asked.close()


def _up(asked: "_socket.socket", link: str) -> None:
    fcntl.ioctl(asked, _SET_FLAGS, _request(link, struct.pack("h14x", _UP | _RUNNING)))


def _request(link: str, value: bytes) -> bytes:
    return struct.pack("16s24s", link.encode(), value)


def address(text: str) -> bytes:
    """A `sockaddr_in` without a port."""
    return struct.pack("=HH4s8x", _socket.AF_INET, 0, _socket.inet_aton(text))


def mask(prefix: int) -> str:
    """255.255.255.0 for 24."""
    return _socket.inet_ntoa((0xFFFF_FFFF << (32 - prefix) & 0xFFFF_FFFF).to_bytes(4, "big"))


def default_route(gateway: str) -> bytes:
    """A `rtentry`: everything by this gateway."""
    anywhere = address("0.0.0.0")
    return struct.pack("@L16s16s16sH62x", 0, anywhere, address(gateway), anywhere, _ROUTE_UP | _GATEWAY)
