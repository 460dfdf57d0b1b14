"""The networks that the machine is on beside its bridge, asked of the kernel by netlink. Blocking, as `links.py` is."""

import socket
from ipaddress import IPv4Interface, IPv4Network
from typing import Any

from effects.network.obstacles import WayIn


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
