"""The name server on the bridge: workloads find each other by name, and the rest of the world by the machine's servers.

It serves while anything is on the bridge, and only the bridge's subnet: an open one would serve anybody's attack on
others. What `names.py` does not know goes, as it came, to the name servers of /etc/resolv.conf.
"""

import asyncio
import logging
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from capsuled.engine import Engine
from capsuled.names import NAMING, Answers, addresses_of, unavailable
from projections.network import in_use

log = logging.getLogger(__name__)

PORT = 53
UPSTREAM_S = 3.0
FORWARDS = 256
FORWARDS_EACH = FORWARDS // 4
"""Questions under way upstream at a time, and of one peer's: what comes beyond is told to try again. So no workload
leaves the others without names."""

STREAMS = 64
STREAMS_EACH = STREAMS // 4
"""Connections at a time, and of one peer's: what comes beyond is closed."""

STREAM_S = 60.0
AGAIN_S = 5.0
"""Whoever has our port tells nobody when he lets go of it."""

_IP_FREEBIND = 15
_HEADER_BYTES = 12
_RCODE = 0x0F
_REFUSALS = (2, 4, 5)
"""SERVFAIL, NOTIMP and REFUSED: the server does not know, where others may. RFC 1035, 4.1.1."""

_MESSAGE_BYTES = 65_535
_RESOLV = Path("/etc/resolv.conf")

Peer = tuple[str, int]
Forward = Callable[[bytes, str], Awaitable[bytes]]


class NameServer:
    """Serves `nameserver`, the machine's address in `subnet`."""

    def __init__(self, engine: Engine, subnet: str, nameserver: str) -> None:
        self._engine = engine
        self._subnet = IPv4Network(subnet)
        self._address = nameserver
        self._answers = Answers()
        self._under_way: set[asyncio.Task[Any]] = set()
        self._forwarding: Counter[str] = Counter()
        self._streaming: Counter[str] = Counter()
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
        for task in self._under_way:
            task.cancel()

    # --- questions -----------------------------------------------------------------------------------------------

    def datagram(self, question: bytes, peer: Peer) -> None:
        """A question by UDP. Answered at once when the answer is known."""
        if len(question) < _HEADER_BYTES or not self._serves(peer):
            return
        answer = self._answers.to(question)
        if answer is None and _is_full(self._forwarding, peer, FORWARDS, FORWARDS_EACH):
            answer = unavailable(question)
        if answer is not None:
            self._send(answer, peer)
            return
        task = asyncio.get_running_loop().create_task(self._forward(question, peer), name="name server")
        self._under_way.add(task)
        self._forwarding[peer[0]] += 1
        task.add_done_callback(lambda task: self._forwarded(task, peer))

    def _forwarded(self, task: asyncio.Task[Any], peer: Peer) -> None:
        self._under_way.discard(task)
        _less(self._forwarding, peer)

    def _serves(self, peer: Peer) -> bool:
        return IPv4Address(peer[0]) in self._subnet

    def _send(self, answer: bytes, peer: Peer) -> None:
        if self._datagrams is not None:
            self._datagrams.sendto(answer, peer)

    async def _forward(self, question: bytes, peer: Peer) -> None:
        self._send(await self._asked(question, _by_datagram), peer)

    async def _stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Questions by TCP, one after another."""
        task = asyncio.current_task()
        peer: Peer | None = writer.get_extra_info("peername")
        if peer is None or not self._serves(peer) or _is_full(self._streaming, peer, STREAMS, STREAMS_EACH):
            writer.close()  # it may be gone already, and then nobody says who it was
            return
        assert task is not None
        self._streaming[peer[0]] += 1
        self._under_way.add(task)
        try:
            async with asyncio.timeout(STREAM_S):
                while len(question := await _message(reader)) >= _HEADER_BYTES:
                    answer = self._answers.to(question) or await self._asked(question, _by_stream)
                    writer.write(struct.pack(">H", len(answer)) + answer)
                    await writer.drain()
        except (TimeoutError, OSError, EOFError):
            return
        finally:
            _less(self._streaming, peer)
            self._under_way.discard(task)
            writer.close()

    async def _asked(self, question: bytes, forward: Forward) -> bytes:
        """The first answer that one of the machine's name servers gives, rather one that is none of `_REFUSALS`, as the
        machine's own resolver does; unavailable when none does."""
        refusal = b""
        for server in upstreams():
            if server == self._address:
                continue  # the machine asks here: asking it would be asking ourselves, for ever
            try:
                async with asyncio.timeout(UPSTREAM_S):
                    answer = await forward(question, server)
            except (TimeoutError, OSError, EOFError):
                continue
            if len(answer) >= _HEADER_BYTES and answer[3] & _RCODE not in _REFUSALS:
                return answer
            refusal = refusal or answer
        return refusal or unavailable(question)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._server.datagram(data, addr)


def _is_full(under_way: Counter[str], peer: Peer, all_together: int, each: int) -> bool:
    """Whether there is no room for one more of this peer's."""
    return under_way[peer[0]] >= each or under_way.total() >= all_together


def _less(under_way: Counter[str], peer: Peer) -> None:
    """One of the peer's has ended; who has none is not counted any more."""
    under_way[peer[0]] -= 1
    if not under_way[peer[0]]:
        del under_way[peer[0]]


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


def upstreams(path: Path = _RESOLV) -> tuple[str, ...]:
    """The machine's own name servers, read anew: a machine's network changes."""
    try:
        words = [line.split() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return ()
    return tuple(line[1] for line in words if len(line) > 1 and line[0] == "nameserver")


async def _by_datagram(question: bytes, server: str) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as out:
        out.connect((server, PORT))
        await loop.sock_sendall(out, question)
        while (answer := await loop.sock_recv(out, _MESSAGE_BYTES))[:2] != question[:2]:
            pass  # a late answer to an earlier question, or somebody's guess
        return answer


async def _by_stream(question: bytes, server: str) -> bytes:
    reader, writer = await asyncio.open_connection(server, PORT)
    try:
        writer.write(struct.pack(">H", len(question)) + question)
        return await _message(reader)
    finally:
        writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """One message behind its length. Raises EOFError at the end."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
