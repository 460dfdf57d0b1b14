"""`GET /metrics` by HTTP/1.1, to whoever reaches the address: no key is asked for, so by itself only this machine does.

One request a connection. A client that is slow, or sends more than a request's head, costs one of few places for a few
seconds. However many ask, one page is made at a time, and none while the last one is younger than a second; it has a
few seconds to be made in, too.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import h11
import msgspec

from capsuled.listening import CannotListen, obstacle

log = logging.getLogger(__name__)

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_READ_BYTES = 4_096

Render = Callable[[], Awaitable[bytes]]


class Bounds(msgspec.Struct, frozen=True):
    """What a scraper may cost. `head_s` is for its whole request, `page_s` for making what it asked for, `body_s` for
    taking the answer. A page is served for `fresh_s` from when it was done."""

    connections: int = 16
    head_bytes: int = 8 << 10
    head_s: float = 5.0
    page_s: float = 8.0
    body_s: float = 10.0
    fresh_s: float = 1.0


class Answer(msgspec.Struct, frozen=True):
    """A status, a body, and what `Allow` says where the method was at fault."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    allow: str = ""


class MetricsServer:
    """Serves what `render` makes."""

    def __init__(self, render: Render, bounds: Bounds = Bounds()) -> None:
        self._render = render
        self._bounds = bounds
        self._turn = asyncio.Lock()
        self._page: bytes | None = None
        self._done_at = float("-inf")
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def start(self, address: str, chosen: str = "with --metrics") -> str:
        """Listen; the address with the port that was got. `chosen` says where another address would be. Raises
        CannotListen."""
        host, _, port = address.rpartition(":")
        try:
            self._server = await asyncio.start_server(
                self._serve,
                host.strip("[]"),
                int(port),
                limit=self._bounds.head_bytes,
                backlog=self._bounds.connections,
            )
        except OSError as error:
            what = f"cannot be listened on for metrics: {obstacle(address)}"
            raise CannotListen(0, f"{what}, or choose another address {chosen}", address) from error
        return f"{host}:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Nobody is served any more, and nobody waited for."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._bounds.connections:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            await self._answer(reader, writer)
        except (OSError, TimeoutError, h11.ProtocolError):
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=self._bounds.head_bytes)
        try:
            async with asyncio.timeout(self._bounds.head_s):
                request = await _request(connection, reader)
        except h11.RemoteProtocolError as error:
            answer, bare = Answer(error.error_status_hint, b"this is no request that can be read\n"), False
        else:
            if request is None:
                return
            answer, bare = await self._reply(request), request.method == b"HEAD"
        reason = HTTPStatus(answer.status).phrase
        head = h11.Response(status_code=answer.status, headers=_headers(answer), reason=reason)
        writer.write(connection.send(head) or b"")
        if not bare:
            writer.write(answer.body)
        async with asyncio.timeout(self._bounds.body_s):
            await writer.drain()
            writer.write_eof()
            # Whoever has sent more than a head would lose the answer to the reset that unread bytes end in.
            with contextlib.suppress(OSError):
                while await reader.read(_READ_BYTES):
                    pass

    async def _reply(self, request: h11.Request) -> Answer:
        path = request.target.partition(b"?")[0]
        if path != PATH.encode():
            return Answer(404, f"the figures are at {PATH}\n".encode())
        if request.method not in (b"GET", b"HEAD"):
            return Answer(405, b"they can only be read\n", allow="GET, HEAD")
        page = await self._fresh()
        if page is None:
            return Answer(500, b"something went wrong inside capsuled: `capsulectl capsule logs` has the details\n")
        return Answer(200, page, CONTENT_TYPE)

    async def _fresh(self) -> bytes | None:
        """The page; None where it cannot be made. Whoever comes while one is made gets that one, or that it failed: a
        queue in which each makes their own would take up all places."""
        now = asyncio.get_running_loop().time
        asked_at = now()
        async with self._turn:
            young = self._page is not None and now() - self._done_at < self._bounds.fresh_s
            if not young and self._done_at < asked_at:
                self._page = await self._made()
                self._done_at = now()
            return self._page

    async def _made(self) -> bytes | None:
        limit = asyncio.timeout(self._bounds.page_s)
        try:
            async with limit:
                return await self._render()
        except Exception:
            if limit.expired():
                log.error("the figures for Prometheus took longer than %g s: they are not made", self._bounds.page_s)
            else:
                log.exception("the figures for Prometheus could not be made")
        return None


async def _request(connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
    """The request's head; None for who left without one. Raises h11.RemoteProtocolError."""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            return event
        if event is not h11.NEED_DATA:
            return None
        connection.receive_data(await reader.read(_READ_BYTES))


def _headers(answer: Answer) -> list[tuple[str, str]]:
    found = [
        ("content-type", answer.content_type),
        ("content-length", str(len(answer.body))),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
        ("connection", "close"),
    ]
    return [*found, ("allow", answer.allow)] if answer.allow else found
