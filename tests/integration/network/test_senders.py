"""What a workload may write into its packets as their sender: anything but an address that is the machine's to itself."""

import asyncio
import socket
import struct
from pathlib import Path

import pytest

from effects.network.links import hardware
from effects.network.namespaces import Inside
from tests.support.bridge import WEB, driver_in, on_a_machine

pytestmark = pytest.mark.real

GATEWAY, PORT = "172.20.254.1", 9_999


def _datagram(sender: str) -> bytes:
    """One by UDP to the machine, from `sender`, which it says in its text, too. RFC 791, 768; no checksum for UDP."""
    text = sender.encode()
    udp = struct.pack("!HHHH", 1_234, PORT, 8 + len(text), 0) + text
    ends = socket.inet_aton(sender) + socket.inet_aton(GATEWAY)
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, socket.IPPROTO_UDP, 0) + ends
    total = sum(struct.unpack("!10H", head))
    total = (total & 0xFFFF) + (total >> 16)
    total += total >> 16
    return head[:10] + struct.pack("!H", ~total & 0xFFFF) + head[12:] + udp


def _send(namespace: Path, *senders: str) -> None:
    with Inside(namespace), socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
        out.bind(("eth0", 0x0800))
        ends = b"".join(bytes.fromhex(hardware(one).replace(":", "")) for one in (GATEWAY, WEB.address))
        for sender in senders:
            out.send(ends + b"\x08\x00" + _datagram(sender))


def test_nothing_that_a_workload_sends_comes_from_the_machines_loopback() -> None:
    async def look(directory: Path) -> None:
        driver = driver_in(directory)
        await driver.ensure(())
        await driver.attach(WEB)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as program:
            program.bind(("", PORT))
            program.setblocking(False)
            # What it may send comes last: by then the others would be there.
            senders = ("127.0.0.1", "127.0.0.2", "127.9.9.9", WEB.address)
            await asyncio.to_thread(_send, Path(driver.namespace(WEB.name, WEB.uid)), *senders)
            async with asyncio.timeout(5):
                assert await asyncio.get_running_loop().sock_recv(program, 100) == WEB.address.encode()
        await driver.clear()
        await driver.close()

    on_a_machine(look)
