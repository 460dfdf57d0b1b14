"""The bridge's name server when one of those it serves asks more than its share: the others are answered all the same.

In a network of its own, whose loopback stands for the bridge: each of its addresses is another workload.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import dns.message
import dns.rcode
import pytest
from msgspec.structs import replace

from capsuled.engine import Engine
from capsuled.name_server import FORWARDS_EACH, STREAMS_EACH, NameServer
from capsuled.names import PORT
from projections.state import Machine
from tests.support.site import Site, site
from tests.support.story import Story, declared
from tests.support.until import until

pytestmark = pytest.mark.real

SERVER, UPSTREAM, GREEDY, MODEST = "127.0.0.1", "127.0.0.9", "127.0.0.2", "127.0.0.3"


class Followed:
    """As much of an engine as the server follows: a machine that stays as it is."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    async def changes(self, *types: type) -> AsyncIterator[Machine]:
        """It, once."""
        yield self._machine
        await asyncio.Event().wait()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Site]:
    with site() as made:
        resolv = tmp_path / "resolv.conf"
        resolv.write_text(f"nameserver {UPSTREAM}\n")
        made.good("mount", "--bind", str(resolv), "/etc/resolv.conf")
        yield made


@asynccontextmanager
async def serving() -> AsyncIterator[tuple[socket.socket, NameServer]]:
    """The socket of the one that the server asks, which never answers by itself, and the server."""
    story = Story()
    wanted = declared("web")
    story.apply(replace(wanted, spec=replace(wanted.spec, network="bridge")))
    server = NameServer(cast("Engine", Followed(story.machine)), "127.0.0.0/8", SERVER)
    with bound(UPSTREAM, PORT) as upstream:
        running = asyncio.ensure_future(server.run())
        try:
            await until(lambda: server._streams)
            yield upstream, server
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def bound(address: str, port: int = 0) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind((address, port))
    return made


def question(name: str) -> bytes:
    return dns.message.make_query(name, "A").to_wire()


async def answer_to(asking: socket.socket) -> dns.message.Message:
    async with asyncio.timeout(2):
        return dns.message.from_wire(await asyncio.get_running_loop().sock_recv(asking, 4_096))


def taken(upstream: socket.socket) -> list[tuple[bytes, Any]]:
    """Questions that have come there, and whose."""
    found = []
    while True:
        try:
            found.append(upstream.recvfrom(4_096))
        except BlockingIOError:
            return found


def answered(question: bytes, whom: Any) -> tuple[bytes, Any]:
    """An answer, and who gets it."""
    return dns.message.make_response(dns.message.from_wire(question)).to_wire(), whom


async def stream(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(SERVER, PORT, local_addr=(address, 0))


async def datagrams() -> None:
    async with serving() as (upstream, _):
        with bound(GREEDY) as greedy, bound(MODEST) as modest:
            for number in range(FORWARDS_EACH):
                greedy.sendto(question(f"{number}.example"), (SERVER, PORT))
                await asyncio.sleep(0)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await asyncio.get_running_loop().sock_recv(greedy, 4_096)
            greedy.sendto(question("more.example"), (SERVER, PORT))
            greedy.sendto(question("web"), (SERVER, PORT))
            assert (await answer_to(greedy)).answer, "what the server knows itself costs nobody anything"
            asked = taken(upstream)
            assert len(asked) == FORWARDS_EACH, "of the greedy one's, no more than its share has come here"
            upstream.sendto(*answered(*asked[0]))
            await answer_to(greedy)
            async with asyncio.timeout(2):
                more, whom = await asyncio.get_running_loop().sock_recvfrom(upstream, 4_096)
            upstream.sendto(*answered(more, whom))
            told = await answer_to(greedy)
            assert told.question[0].name.to_text() == "more.example.", "it waited until one had ended"
            modest.sendto(question("there.example"), (SERVER, PORT))
            async with asyncio.timeout(2):
                there, whom = await asyncio.get_running_loop().sock_recvfrom(upstream, 4_096)
            upstream.sendto(*answered(there, whom))
            assert (await answer_to(modest)).rcode() == dns.rcode.NOERROR


async def streams() -> None:
    async with serving() as (_, server):
        held = [await stream(GREEDY) for _ in range(STREAMS_EACH)]
        reader, writer = await stream(GREEDY)
        async with asyncio.timeout(2):
            assert await reader.read() == b"", "one more is closed"
        writer.close()
        for who in (GREEDY, MODEST):
            reader, writer = held.pop() if who == GREEDY else await stream(who)
            writer.write(len(question("web")).to_bytes(2, "big") + question("web"))
            async with asyncio.timeout(2):
                assert len(await reader.readexactly(2)) == 2, who
            writer.close()
            await writer.wait_closed()
        await until(lambda: len(server._under_way) < STREAMS_EACH)
        reader, writer = await stream(GREEDY)
        writer.write(len(question("web")).to_bytes(2, "big") + question("web"))
        async with asyncio.timeout(2):
            assert len(await reader.readexactly(2)) == 2, "one has ended, and another may come"
        for _, one in (*held, (reader, writer)):
            one.close()


@pytest.mark.parametrize("suite", [datagrams, streams])
def test_who_asks_more_than_its_share_takes_nothing_from_the_others(
    machine: Site, suite: Callable[[], Awaitable[None]]
) -> None:
    async def main() -> None:
        await suite()

    machine.on_thread(lambda: asyncio.run(main()))
