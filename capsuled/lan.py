"""Where a LAN can reach this machine: its addresses, an interface each, that the API is served on."""

import fcntl
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Interface

import msgspec

from capsuled.ipv4 import assigned

_SIOCGIFFLAGS = 0x8913
_IFF_UP, _IFF_LOOPBACK, _IFF_POINTOPOINT, _IFF_MULTICAST = 0x1, 0x8, 0x10, 0x1000


_EVERYWHERE = ("0.0.0.0", "[::]")


class Interface(msgspec.Struct, frozen=True):
    """One that is up and reaches a LAN by multicast. `addresses`: IPv4, with their networks, the kernel's first choice
    first."""

    name: str
    addresses: tuple[IPv4Interface, ...]


class Place(msgspec.Struct, frozen=True):
    """An address of this machine's, with its network, and the port there."""

    at: IPv4Interface
    port: int

    @property
    def address(self) -> str:
        """The address alone."""
        return str(self.at.ip)

    def __str__(self) -> str:
        return f"{self.address}:{self.port}"


def interfaces() -> tuple[Interface, ...]:
    """Now. Raises OSError."""
    found: dict[str, list[IPv4Interface]] = {}
    for name, address in assigned():
        found.setdefault(name, []).append(address)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        return tuple(Interface(name, tuple(mine)) for name, mine in found.items() if _reaches_a_lan(asking, name))


def _reaches_a_lan(asking: socket.socket, name: str) -> bool:
    try:
        answer = fcntl.ioctl(asking, _SIOCGIFFLAGS, struct.pack("16sH14x", name.encode()[:15], 0))
    except OSError:
        return False  # it is gone already
    flags: int = struct.unpack("16sH14x", answer)[1]
    needed = _IFF_UP | _IFF_MULTICAST
    return flags & needed == needed and not flags & (_IFF_LOOPBACK | _IFF_POINTOPOINT)


def places(served: Sequence[str], having: Iterable[Interface], bridge: str) -> tuple[Place, ...]:
    """For each interface the address at which `served` (HOST:PORT each, as bound) answers; the workloads' bridge is no
    LAN. Of several the one served first."""
    found = (next(_on(interface, served), None) for interface in having if interface.name != bridge)
    return tuple(place for place in found if place is not None)


def _on(interface: Interface, served: Sequence[str]) -> Iterator[Place]:
    for one in served:
        host, _, port = one.rpartition(":")
        anywhere = host in _EVERYWHERE
        for at in interface.addresses:
            if anywhere or str(at.ip) == host:
                yield Place(at, int(port))


def dialled(served: Sequence[str], having: Iterable[Interface], bridge: str) -> tuple[str, ...]:
    """`served` as whoever dials it says it: what stands for every address is those that a LAN reaches, if there are
    any. Pure."""
    everywhere = [one for one in served if one.rpartition(":")[0] in _EVERYWHERE]
    lan = [str(place) for place in places(everywhere, having, bridge)]
    return (*(one for one in served if one not in everywhere), *lan) if lan else tuple(served)


def on_lan(bridge: str = "") -> tuple[Interface, ...]:
    """Where a LAN is at this moment, which the workloads' bridge is not; nowhere, where the kernel does not say."""
    try:
        return tuple(one for one in interfaces() if one.name != bridge)
    except OSError:
        return ()


def reached(served: Sequence[str], bridge: str = "") -> tuple[str, ...]:
    """Where a LAN reaches `served` at this moment."""
    return tuple(map(str, places(served, on_lan(bridge), bridge)))


def reaches_out(served: Iterable[str]) -> bool:
    """Whether any of the addresses (HOST:PORT each) might be heard of beyond this machine."""
    hosts = [one.rpartition(":")[0].strip("[]") for one in served]
    return any(not host.startswith("127.") and host not in ("localhost", "::1") for host in hosts)
