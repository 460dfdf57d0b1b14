"""Where connections and flows go through the bridge's rules, between a machine and its neighbour."""

import asyncio
import functools
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsuled.processes import run
from effects.network import namespaces, rules
from projections.network import Mapping
from tests.support.bridge import DB, HTTP, WEB, driver_in, machine_on_a_lan
from tests.support.site import Site

pytestmark = pytest.mark.real


def _segment_of(one: socket.socket) -> int:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


def test_a_connection_is_opened_with_segments_that_fit_the_uplink_in_both_directions() -> None:
    """The neighbour's own link is a wide one, as that of a server behind the narrow way."""

    async def look(directory: Path, neighbour: Site) -> None:
        driver = driver_in(directory)
        await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        await run("ip", "link", "set", "lan0", "mtu", "1400")
        await driver.ensure((HTTP,))
        await driver.attach(WEB)

        def at_both_ends() -> Iterator[int]:
            inside = Path(driver.namespace(WEB.name, WEB.uid))
            with namespaces.Inside(inside):
                mapped, out = socket.create_server((WEB.address, HTTP.port)), socket.socket()
            server = neighbour.on_thread(lambda: socket.create_server(("192.0.2.2", 9000)))
            with mapped, out, server:
                out.connect(("192.0.2.2", 9000))
                come = neighbour.on_thread(lambda: socket.create_connection(("192.0.2.1", HTTP.host_port), 5))
                with come, mapped.accept()[0] as answering, server.accept()[0] as called:
                    yield from map(_segment_of, (out, called, come, answering))

        fit = await asyncio.to_thread(lambda: list(at_both_ends()))
        assert all(1200 < one <= 1360 for one in fit), fit
        await driver.clear()
        await driver.close()

    with machine_on_a_lan() as (machine, neighbour, directory):
        machine.on_thread(lambda: asyncio.run(look(Path(directory), neighbour)))


def _udp(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(1)
    made.bind((address, port))
    return made


def _heard(listening: socket.socket) -> str:
    try:
        return listening.recv(512).decode()
    except TimeoutError:
        return ""


def test_who_sends_udp_without_a_pause_goes_where_the_rules_lead_by_now() -> None:
    async def send(directory: Path, sender: socket.socket, later: socket.socket) -> None:
        driver = driver_in(directory)
        await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        await driver.ensure(())
        there = {}
        for link in (WEB, DB):
            await driver.attach(link)
            with namespaces.Inside(Path(driver.namespace(link.name, link.uid))):
                there[link] = _udp(link.address, 53)

        def reached() -> list[str]:
            """Who hears what is sent from the one port to the other, always the same two."""
            sender.sendto(b"again", ("192.0.2.1", 5353))
            return [link.name for link, socket in there.items() if _heard(socket)]

        assert reached() == []
        await driver.ensure((Mapping("udp", 5353, "", WEB.address, 53),))
        assert reached() == [WEB.name], "it is mapped"
        assert reached() == [WEB.name], "and remembered"
        await driver.ensure((Mapping("udp", 5353, "192.0.2.1", DB.address, 53),))
        assert reached() == [DB.name], "mapped to another"
        await driver.ensure(())
        assert reached() == [], "to nobody any more"
        await driver.ensure((Mapping("udp", 5353, "", WEB.address, 53),))
        assert reached() == [WEB.name], "and again"
        sender = later
        # Somebody else's rule, so that the kernel remembers flows without ours, too.
        theirs = "table ip theirs { chain first { type filter hook prerouting priority 0; ct state new accept; }; }"
        await run("nft", theirs)
        await run("nft", "delete", "table", "ip", rules.table_of("br0"))
        assert reached() == [], "another hand took the rules"
        await driver.ensure((Mapping("udp", 5353, "", WEB.address, 53),))
        assert reached() == [WEB.name], "the same ones are back"
        await driver.clear()
        await driver.ensure(())
        await driver.attach(WEB)
        with namespaces.Inside(Path(driver.namespace(WEB.name, WEB.uid))):
            there = {WEB: _udp(WEB.address, 53)}
        assert reached() == [], "the address has another owner"
        await driver.clear()
        await driver.close()

    with machine_on_a_lan() as (machine, neighbour, directory):
        sender, later = (neighbour.on_thread(functools.partial(_udp, "192.0.2.2", port)) for port in (4_000, 4_001))
        machine.on_thread(lambda: asyncio.run(send(Path(directory), sender, later)))
