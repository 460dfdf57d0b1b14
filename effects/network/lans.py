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
    having = tuple((link, network) for _, link, network in _networks(ip) if link != bridge)
    found = next(((link, network) for link, network in having if network.overlaps(subnet)), None)
    if found is None:
        return None
    taken = (subnet, *(network for _, network in having))
    free = (one for one in _OFFERED if not any(IPv4Network(one).overlaps(other) for other in taken))
    return Overlap(found[0], str(found[1]), next(free, ""))


def ways_in(ip: Any) -> tuple[WayIn, ...]:
    """By which the LAN reaches the machine: the links by which it has a way out itself. `ip` is an IPRoute."""
    routes = ip.get_default_routes(family=socket.AF_INET)
    out = dict.fromkeys(index for one in routes if (index := one.get("oif")) is not None)
    having = tuple(_networks(ip))
    return tuple(WayIn(link, str(network)) for way in out for index, link, network in having if index == way)


def _networks(ip: Any) -> Iterator[tuple[int, str, IPv4Network]]:
    for address in ip.get_addr(family=socket.AF_INET):
        index = address["index"]
        try:
            link = socket.if_indextoname(index)
        except OSError:
            continue  # it has gone meanwhile
        yield index, link, network_of(address)


def network_of(address: Any) -> IPv4Network:
    """That of an address as pyroute2 tells it."""
    return IPv4Interface(f"{address.get('address')}/{address['prefixlen']}").network
