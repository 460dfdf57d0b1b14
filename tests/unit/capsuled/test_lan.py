"""What is announced where: of the addresses that are served, those a LAN reaches."""

from ipaddress import IPv4Interface

import pytest

from capsuled.announcement import Subject
from capsuled.identity import Identity
from capsuled.lan import Interface, dialled, places, reaches_out

CAPSULE_ID = "1f3a52a4-9d3e-4b52-8c6e-0a6f3b1c2d4e"


def interface(name: str, *addresses: str) -> Interface:
    return Interface(name, tuple(IPv4Interface(one) for one in addresses))


HOME = interface("eth0", "192.0.2.7/24", "192.0.2.8/24")
WIFI = interface("wlan0", "198.51.100.7/24")
BRIDGE = interface("br0", "172.20.254.1/24")


@pytest.mark.parametrize(
    ("served", "expected"),
    [
        (("0.0.0.0:50000",), ["192.0.2.7:50000", "198.51.100.7:50000"]),
        (("[::]:50000",), ["192.0.2.7:50000", "198.51.100.7:50000"]),
        (("192.0.2.8:50000",), ["192.0.2.8:50000"]),
        (("198.51.100.7:1", "192.0.2.8:2", "192.0.2.7:3"), ["192.0.2.8:2", "198.51.100.7:1"]),
        (("127.0.0.1:9", "0.0.0.0:1"), ["192.0.2.7:1", "198.51.100.7:1"]),
        (("203.0.113.1:1",), []),
        (("172.20.254.1:1",), []),
        ((), []),
    ],
)
def test_each_lan_is_told_the_address_that_it_reaches(served: tuple[str, ...], expected: list[str]) -> None:
    assert [str(one) for one in places(served, (HOME, WIFI, BRIDGE), "br0")] == expected


@pytest.mark.parametrize(
    ("served", "shown"),
    [
        (("0.0.0.0:50000",), ("192.0.2.7:50000", "198.51.100.7:50000")),
        (("127.0.0.1:9", "[::]:1"), ("127.0.0.1:9", "192.0.2.7:1", "198.51.100.7:1")),
        (("203.0.113.1:1",), ("203.0.113.1:1",)),
        ((), ()),
    ],
)
def test_an_operator_is_shown_what_can_be_dialled(served: tuple[str, ...], shown: tuple[str, ...]) -> None:
    assert dialled(served, (HOME, WIFI, BRIDGE), "br0") == shown
    assert dialled(("0.0.0.0:1",), (BRIDGE,), "br0") == ("0.0.0.0:1",)


@pytest.mark.parametrize(
    ("served", "out"),
    [
        ((), False),
        (("127.0.0.1:50000",), False),
        (("127.8.0.1:1", "[::1]:2", "localhost:3"), False),
        (("127.0.0.1:1", "192.0.2.7:1"), True),
        (("0.0.0.0:1",), True),
        (("[::]:1",), True),
    ],
)
def test_what_listens_on_loopback_only_is_not_announced(served: tuple[str, ...], out: bool) -> None:
    assert reaches_out(served) is out


def test_the_text_is_the_contracts_and_names_end_in_one_that_nobody_else_has() -> None:
    subject = Subject(Identity(CAPSULE_ID, b""), "attic", adopted=True)
    keys = {"capsule_id", "short_id", "adopted", "version", "mode", "hostname"}
    assert subject.properties().keys() == keys and subject.properties()["adopted"] == "true"
    assert subject.names() == ("attic", "capsule-1f3a", CAPSULE_ID)
    nameless = Subject(Identity(CAPSULE_ID, b""), "", adopted=False)
    assert nameless.properties().keys() == keys - {"hostname"} and nameless.properties()["adopted"] == "false"
    assert nameless.names() == ("capsule-1f3a", CAPSULE_ID)
