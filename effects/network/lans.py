"""The networks that the machine is on beside its bridge, asked of the kernel by netlink. Blocking, as `links.py` is."""

import socket
from collections.abc import Iterator
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

import msgspec

from effects.network.obstacles import WayIn

_OFFERED = ("172.20.254.0/24", "10.254.254.0/24", "192.168.254.0/24", "172.31.254.0/24")
"""Subnets for a bridge that few LANs have."""


class Overlap(msgspec.Struct, frozen=True):
    """A link whose network has addresses of the bridge's, and a subnet that is on none."""

    link: str
    network: str
    free: str


def overlap(ip: Any, subnet: IPv4Network, bridge: str) -> Overlap | None:
    """Of the first link beside the bridge that has one; None if none does. `ip` is an IPRoute."""
    having = tuple(_networks(ip, bridge))
    found = next(((link, network) for link, network in having if network.overlaps(subnet)), None)
    if found is None:
        return None
    taken = (subnet, *(network for _, network in having))
    free = (one for one in _OFFERED if not any(IPv4Network(one).overlaps(other) for other in taken))
    return Overlap(found[0], str(found[1]), next(free, ""))


def _networks(ip: Any, bridge: str) -> Iterator[tuple[str, IPv4Network]]:
    for address in ip.get_addr(family=socket.AF_INET):
        try:
            link = socket.if_indextoname(address["index"])
        except OSError:
            continue  # it has gone meanwhile
        if link != bridge:
            yield link, network_of(address)


def ways_in(ip: Any) -> tuple[WayIn, ...]:
    """By which the LAN reaches the machine: the links by which it has a way out itself. `ip` is an IPRoute."""
    routes = ip.get_default_routes(family=socket.AF_INET)
    indexes = dict.fromkeys(index for one in routes if (index := one.get("oif")) is not None)
    return tuple(
        WayIn(socket.if_indextoname(index), str(network_of(address)))
        for index in indexes
        for address in ip.get_addr(family=socket.AF_INET, index=index)
    )


def network_of(address: Any) -> IPv4Network:
    """That of an address as pyroute2 tells it."""
    return IPv4Interface(f"{address.get('address')}/{address['prefixlen']}").network
