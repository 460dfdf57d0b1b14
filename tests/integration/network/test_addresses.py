"""The machine's addresses as the kernel tells them: of links that have some, in order, and of no others."""

from ipaddress import IPv4Interface

import pytest

from capsuled.host_network import addresses
from capsuled.ipv4 import assigned
from capsuled.lan import interfaces
from tests.support.site import site

pytestmark = pytest.mark.real


def test_addresses_are_told_with_their_networks_and_links_without_one_are_not() -> None:
    with site() as machine:
        for number in range(60):
            machine.good("ip", "link", "add", f"v{number}", "type", "veth", "peer", f"w{number}")
        machine.good("ip", "link", "set", "v1", "up")
        for address in ("192.0.2.7/24", "192.0.2.8/24", "198.51.100.1/30"):
            machine.good("ip", "address", "add", address, "dev", "v1")
        machine.good("ip", "address", "add", "203.0.113.1", "peer", "203.0.113.9/32", "dev", "v2")
        for number in range(200):
            machine.good("ip", "address", "add", f"127.1.0.{number + 1}/32", "dev", "lo")
        told = machine.on_thread(assigned)
        on_lan = machine.on_thread(interfaces)
        known = machine.on_thread(addresses)
    on_lo = [("lo", IPv4Interface("127.0.0.1/8")), *(("lo", IPv4Interface(f"127.1.0.{n + 1}/32")) for n in range(200))]
    others = [("v1", IPv4Interface(one)) for one in ("192.0.2.7/24", "198.51.100.1/30", "192.0.2.8/24")]
    assert [one for one in told if one[0] == "lo"] == on_lo, "an answer of several messages is read to its end"
    assert sorted(one for one in told if one[0] == "v1") == sorted(others) and told.index(others[0]) < told.index(
        others[2]
    )
    assert [one for one in told if one[0] == "v2"] == [("v2", IPv4Interface("203.0.113.1/32"))]
    assert len(told) == len(known) == 205 and {"192.0.2.8", "203.0.113.1", "127.1.0.200"} < set(known)
    assert {one.name: one.addresses[0] for one in on_lan} == {"v1": IPv4Interface("192.0.2.7/24")}
