"""The machine's IPv4 addresses, as the kernel has them: only links that have one are told of.

Asked by netlink (rtnetlink(7), one dump of RTM_GETADDR), for what goes through interfaces (getifaddrs(3)) goes through
those of all workloads, which have none on this side.
"""

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Interface

_RTM_NEWADDR, _RTM_GETADDR = 20, 22
_NLM_F_REQUEST, _NLM_F_DUMP = 0x1, 0x300
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_HEADER = struct.Struct("=IHHII")
_ADDRESS = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_ANSWER_BYTES = 1 << 16


def assigned() -> tuple[tuple[str, IPv4Interface], ...]:
    """(the interface's name, the address with its network), an interface's first choice first. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as asking:
        asking.sendto(_request(), (0, 0))
        return tuple(_named(_answers(asking)))


def _request() -> bytes:
    body = _ADDRESS.pack(socket.AF_INET, 0, 0, 0, 0)
    return _HEADER.pack(_HEADER.size + len(body), _RTM_GETADDR, _NLM_F_REQUEST | _NLM_F_DUMP, 1, 0) + body


def _answers(asking: socket.socket) -> Iterator[tuple[int, IPv4Interface]]:
    while True:
        data = asking.recv(_ANSWER_BYTES)
        at = 0
        while at < len(data):
            size, kind, *_ = _HEADER.unpack_from(data, at)
            if kind == _NLMSG_DONE:
                return
            if kind == _NLMSG_ERROR:
                code = -struct.unpack_from("=i", data, at + _HEADER.size)[0]
                raise OSError(code, "the kernel does not tell the machine's addresses")
            if kind == _RTM_NEWADDR:
                yield _parsed(data[at + _HEADER.size : at + size])
            at += _aligned(size)


def _parsed(message: bytes) -> tuple[int, IPv4Interface]:
    """One address. Of a link from point to point IFA_ADDRESS is the other end's, so IFA_LOCAL counts where it is."""
    _, prefix, _, _, index = _ADDRESS.unpack_from(message)
    found: dict[int, bytes] = {}
    at = _ADDRESS.size
    while at + _ATTRIBUTE.size <= len(message):
        size, kind = _ATTRIBUTE.unpack_from(message, at)
        found[kind] = message[at + _ATTRIBUTE.size : at + size]
        at += _aligned(size)
    raw = found.get(_IFA_LOCAL) or found[_IFA_ADDRESS]
    return index, IPv4Interface((raw, prefix))


def _named(found: Iterator[tuple[int, IPv4Interface]]) -> Iterator[tuple[str, IPv4Interface]]:
    for index, address in found:
        try:
            yield socket.if_indextoname(index), address
        except OSError:
            continue  # it has gone since


def _aligned(size: int) -> int:
    return (size + 3) & ~3
