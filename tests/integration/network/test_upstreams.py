"""A name server of the machine's on a real link: it is asked by UDP and by TCP, whatever address it has."""

import asyncio
import socket
from typing import cast

import dns.message
import pytest

from capsuled.name_upstreams import Way, by_datagram, by_stream, framed, message
from capsuled.names import PORT
from tests.support.site import site

pytestmark = pytest.mark.real

QUESTION = dns.message.make_query("example.org", "A").to_wire()
SERVERS = ("fe80::1%d0", "fd00::1", "192.0.2.1")


def answered(question: bytes) -> bytes:
    return dns.message.make_response(dns.message.from_wire(question)).to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(answered(data), addr)


async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(framed(answered(await message(reader))))
    writer.close()


@pytest.mark.parametrize("way", [by_datagram, by_stream])
def test_it_is_asked_at_a_link_local_address_and_any_other(way: Way) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        both = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        both.bind(("::", PORT))
        datagrams, _ = await loop.create_datagram_endpoint(_Datagrams, sock=both)
        streams = await asyncio.start_server(stream, None, PORT)
        try:
            for server in SERVERS:
                async with asyncio.timeout(5):
                    assert dns.message.from_wire(await way(QUESTION, server)).id == dns.message.from_wire(QUESTION).id
        finally:
            datagrams.close()
            streams.close()

    with site() as machine:
        machine.good("ip", "link", "add", "d0", "type", "veth", "peer", "d1")
        for address in ("fe80::1/64", "fd00::1/64", "192.0.2.1/24"):
            machine.good("ip", "address", "add", address, "dev", "d0", *(["nodad"] if ":" in address else []))
        for link in ("d0", "d1"):
            machine.good("ip", "link", "set", link, "up")
        machine.on_thread(lambda: asyncio.run(main()))
