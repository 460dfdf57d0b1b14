"""The machine's networks, of a kernel in which a link goes between two questions."""

import socket
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any

from effects.network.lans import Overlap, overlap, ways_in
from effects.network.obstacles import WayIn

HERE, GONE = socket.if_nametoindex("lo"), 2**31 - 1
"""A link of this machine's, and one that the kernel had when it was asked before."""


class Kernel:
    """What is asked of an IPRoute. Both links have a default route and an address."""

    def get_default_routes(self, family: int) -> list[Mapping[str, Any]]:
        return [{"oif": GONE}, {"oif": HERE}, {}]

    def get_addr(self, family: int, **of: int) -> list[Mapping[str, Any]]:
        every = [
            {"index": GONE, "address": "172.20.254.50", "prefixlen": 24},
            {"index": HERE, "address": "172.20.10.50", "prefixlen": 16},
        ]
        return [one for one in every if of.items() <= one.items()]


def test_a_link_that_goes_between_two_questions_is_no_way_in_and_hides_no_other() -> None:
    assert ways_in(Kernel()) == (WayIn("lo", "172.20.0.0/16"),)


def test_it_overlaps_nothing_and_the_bridge_not_itself() -> None:
    subnet = IPv4Network("172.20.254.0/24")
    assert overlap(Kernel(), subnet, "br0") == Overlap("lo", "172.20.0.0/16", "10.254.254.0/24")
    assert overlap(Kernel(), subnet, "lo") is None
