"""The name server on the bridge: workloads find each other by name, and the rest of the world by the machine's servers.

It serves while anything is on the bridge, and only the bridge's subnet: an open one would serve anybody's attack on
others. What `names.py` does not know goes, as it came, to the machine's own name servers (name_upstreams.py), and of
one workload no more at a time than leaves the others theirs (name_shares.py).
"""

import asyncio
import logging
import socket
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from capsuled.engine import Engine
from capsuled.name_shares import Line, Peer, Share
from capsuled.name_upstreams import Upstreams, by_datagram, by_stream, framed, message
from capsuled.names import HEADER_BYTES, NAMING, PORT, Answers, addresses_of
from projections.network import in_use

log = logging.getLogger(__name__)

FORWARDS = 512
FORWARDS_EACH = FORWARDS // 4
"""Questions by UDP under way upstream at a time, and of one peer's: what comes beyond waits. So no workload leaves the
others without names."""

STREAMS = 64
STREAMS_EACH = STREAMS // 4
"""Connections at a time, and of one peer's: what comes beyond is closed."""

STREAM_S = 60.0
AGAIN_S = 5.0
"""Whoever has our port tells nobody when he lets go of it."""

_IP_FREEBIND = 15


class NameServer:
    """Serves `nameserver`, the machine's address in `subnet`."""

    def __init__(self, engine: Engine, subnet: str, nameserver: str) -> None:
        self._engine = engine
        self._subnet = IPv4Network(subnet)
        self._address = nameserver
        self._answers = Answers()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._upstreams = Upstreams(nameserver)
        self._forwarding = Line(FORWARDS, FORWARDS_EACH)
        self._streaming = Share(STREAMS, STREAMS_EACH)
        self._datagrams: asyncio.DatagramTransport | None = None
        self._streams: asyncio.Server | None = None
        self._problem = ""

    async def warnings(self) -> tuple[str, ...]:
        """What an operator should know of it now."""
        return (self._problem,) if self._problem else ()

    async def run(self) -> None:
        """Until cancelled: follow the state, and serve."""
        opening: asyncio.Task[None] | None = None
        try:
            async with asyncio.TaskGroup() as group:
                async for machine in self._engine.changes(*NAMING):
                    self._answers.know(addresses_of(machine, self._address), self._address)
                    wanted = in_use(machine)
                    if wanted and opening is None:
                        opening = group.create_task(self._until_open(), name="name server")
                    elif not wanted and opening is not None:
                        opening.cancel()
                        await asyncio.wait([opening])
                        opening = None
                        self._close()
        finally:
            self._close()

    async def _until_open(self) -> None:
        """Return once it is served."""
        while True:
            await self._open()
            if not self._problem:
                return
            await asyncio.sleep(AGAIN_S)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            datagrams = _bound(socket.SOCK_DGRAM, self._address)
            self._datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=datagrams)
            self._streams = await asyncio.start_server(self._stream, sock=_bound(socket.SOCK_STREAM, self._address))
        except OSError as error:
            self._close()
            problem = (
                f"workloads find no names: {self._address}:{PORT} cannot be served ({error.strerror}). Another name "
                "server on this machine may have taken it: bind that one to addresses of its own"
            )
            if problem != self._problem:
                log.warning("%s", problem)
            self._problem = problem
        else:
            self._problem = ""

    def _close(self) -> None:
        self._problem = ""
        if self._datagrams is not None:
            self._datagrams.close()
            self._datagrams = None
        if self._streams is not None:
            self._streams.close()
            self._streams = None
        self._forwarding.clear()
        for task in self._under_way:
            task.cancel()

    # --- questions -----------------------------------------------------------------------------------------------

    def datagram(self, question: bytes, peer: Peer) -> None:
        """A question by UDP. Answered at once when the answer is known."""
        if len(question) < HEADER_BYTES or not self._serves(peer):
            return
        if (answer := self._answers.to(question)) is not None:
            self._send(answer, peer)
        elif self._forwarding.comes(question, peer, asyncio.get_running_loop().time()):
            self._start_forward(question, peer)

    def _start_forward(self, question: bytes, peer: Peer) -> None:
        task = asyncio.get_running_loop().create_task(self._forward(question, peer), name="name server")
        self._under_way.add(task)
        task.add_done_callback(lambda task: self._forwarded(task, peer))

    def _forwarded(self, task: asyncio.Task[Any], peer: Peer) -> None:
        self._under_way.discard(task)
        following = self._forwarding.ended(peer[0], asyncio.get_running_loop().time())
        if following is not None:
            self._start_forward(following.question, following.peer)

    def _serves(self, peer: Peer) -> bool:
        return IPv4Address(peer[0]) in self._subnet

    def _send(self, answer: bytes, peer: Peer) -> None:
        if self._datagrams is not None:
            self._datagrams.sendto(answer, peer)

    async def _forward(self, question: bytes, peer: Peer) -> None:
        self._send(await self._upstreams.ask(question, by_datagram), peer)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Questions by TCP, one after another."""
        task = asyncio.current_task()
        peer: Peer | None = writer.get_extra_info("peername")
        if peer is None or not self._serves(peer) or not self._streaming.take(peer[0]):
            writer.close()  # it may be gone already, and then nobody says who it was
            return
        assert task is not None
        self._under_way.add(task)
        try:
            async with asyncio.timeout(STREAM_S):
                while len(question := await message(reader)) >= HEADER_BYTES:
                    answer = self._answers.to(question) or await self._upstreams.ask(question, by_stream)
                    writer.write(framed(answer))
                    await writer.drain()
        except (TimeoutError, OSError, EOFError):
            return
        finally:
            self._streaming.leave(peer[0])
            self._under_way.discard(task)
            writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.datagram(data, addr)


def _bound(kind: int, address: str) -> socket.socket:
    """A socket on an address that may not be there yet: the bridge comes and goes."""
    made = socket.socket(socket.AF_INET, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, PORT))
    except OSError:
        made.close()
        raise
    return made
