"""The machine's own name servers: what the bridge's does not know itself is asked of them, one after another.

One that is silent comes last for a while: else each question would wait for it anew, and a LAN whose first server is
down would have names as slowly as that. That one name found no answer is no such silence: it may be the name's, whose
own server is down, and everybody else would lose what only the first server knows.
"""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

from capsuled.names import HEADER_BYTES, PORT, unavailable

UPSTREAM_S = 3.0
SIGN_S = 1.0
"""For the answer to `SIGN_OF_LIFE`."""

SILENT_S = 10.0
"""From a server's silence to the next question that tries it in its place again; the others wait for what that one
finds."""

SIGN_OF_LIFE = b"\x00\x01\x01\x00\x00\x01" + bytes(6) + b"\x09localhost\x00\x00\x01\x00\x01"
"""A question that a server answers at once, by itself: the address of `localhost`. RFC 6761, 6.3, 4."""

_RCODE = 0x0F
_REFUSALS = (2, 4, 5)
"""SERVFAIL, NOTIMP and REFUSED: the server does not know, where others may. RFC 1035, 4.1.1."""

_MESSAGE_BYTES = 65_535
_RESOLV = Path("/etc/resolv.conf")

Way = Callable[[bytes, str], Awaitable[bytes]]
"""Asks a server a question. Raises OSError or EOFError."""


class Upstreams:
    """All of /etc/resolv.conf's but `own`: the machine may ask there, and would be asked by itself, for ever."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._silent_until: dict[tuple[Way, str], float] = {}
        self._answered_s: dict[tuple[Way, str], float] = {}

    async def ask(self, question: bytes, way: Way) -> bytes:
        """The first answer that a server gives, rather one that is none of `_REFUSALS`, as the machine's own resolver
        does; unavailable when none does."""
        refusal = b""
        for server in self._in_order(way):
            asked_s = _now_s()
            answer = await self._answer(question, way, server, UPSTREAM_S)
            if answer is None:
                if await self._answers_nobody(way, server, asked_s):
                    self._silent_until[way, server] = _now_s() + SILENT_S
                continue
            if len(answer) >= HEADER_BYTES and answer[3] & _RCODE not in _REFUSALS:
                return answer
            refusal = refusal or answer
        return refusal or unavailable(question)

    async def _answer(self, question: bytes, way: Way, server: str, within_s: float) -> bytes | None:
        """None when there is none. One that answers is silent no more."""
        try:
            async with asyncio.timeout(within_s):
                answer = await way(question, server)
        except (TimeoutError, OSError, EOFError):
            return None
        self._answered_s[way, server] = _now_s()
        self._silent_until.pop((way, server), None)
        return answer

    async def _answers_nobody(self, way: Way, server: str, since_s: float) -> bool:
        """Whether it has not answered any question since, nor does one that depends on no name: else who asks for a
        name that nobody answers would hold the server in the last place, for all."""

        def answered() -> bool:
            return self._answered_s.get((way, server), float("-inf")) >= since_s

        if not answered():
            await self._answer(SIGN_OF_LIFE, way, server, SIGN_S)
        return not answered()

    def _in_order(self, way: Way) -> list[str]:
        """For one question: the silent ones last. Those whose time is over it tries again in their place; for all
        others they are silent until it has found out."""
        there = [server for server in upstreams() if server != self._own]
        self._silent_until = {key: until for key, until in self._silent_until.items() if key[1] in there}
        self._answered_s = {key: at for key, at in self._answered_s.items() if key[1] in there}
        now_s = _now_s()
        last = {server for server in there if self._silent_until.get((way, server), now_s) > now_s}
        again = [(way, server) for server in there if (way, server) in self._silent_until and server not in last]
        self._silent_until |= dict.fromkeys(again, now_s + SILENT_S)
        return sorted(there, key=last.__contains__)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def upstreams(path: Path = _RESOLV) -> tuple[str, ...]:
    """The machine's own name servers, read anew: a machine's network changes. A line that has no address names none, as
    for the machine's own resolver (resolv.conf(5)): it would have to be looked up first, with everything waiting."""
    try:
        words = [line.split() for line in path.read_text(errors="replace").splitlines()]
    except OSError:
        return ()
    named = (line[1] for line in words if len(line) > 1 and line[0] == "nameserver")
    return tuple(server for server in named if _is_address(server))


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


async def by_datagram(question: bytes, server: str) -> bytes:
    """The server's answer by UDP. Waits for ever."""
    loop = asyncio.get_running_loop()
    # A link-local address (`fe80::1%eth0`) is one of a link, which only this tells by its number.
    there = socket.getaddrinfo(server, PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)
    family, *_, address = there[0]
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as out:
        out.connect(address)
        await loop.sock_sendall(out, question)
        while (answer := await loop.sock_recv(out, _MESSAGE_BYTES))[:2] != question[:2]:
            pass  # a late answer to an earlier question, or somebody's guess
        return answer


async def by_stream(question: bytes, server: str) -> bytes:
    """The same by TCP."""
    reader, writer = await asyncio.open_connection(server, PORT)
    try:
        writer.write(framed(question))
        return await message(reader)
    finally:
        writer.close()


def framed(one: bytes) -> bytes:
    """A message behind its length: so it goes by TCP. RFC 1035, 4.2.2."""
    return struct.pack(">H", len(one)) + one


async def message(reader: asyncio.StreamReader) -> bytes:
    """One message that came behind its length. Raises EOFError at the end."""
    return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
