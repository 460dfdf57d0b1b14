"""The endpoint's HTTP, against clients of every kind: those who ask as they should, and those who do not."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from capsuled.listening import CannotListen
from capsuled.metrics.server import CONTENT_TYPE, Bounds, MetricsServer

BODY = b"capsule_up 1\n" * 100
GET = b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n"
BOUNDS = Bounds(connections=3, head_s=0.5, page_s=1.0, body_s=0.5, fresh_s=0.2)


class Page:
    """What is served; it takes so long to make, and counts how often it was."""

    def __init__(self, body: bytes = BODY) -> None:
        self.body = body
        self.made = 0
        self.takes_s = 0.01
        self.fault: Exception | None = None

    async def __call__(self) -> bytes:
        self.made += 1
        await asyncio.sleep(self.takes_s)
        if self.fault is not None:
            raise self.fault
        return self.body


@asynccontextmanager
async def serving(page: Page, bounds: Bounds = BOUNDS) -> AsyncIterator[int]:
    async with served(MetricsServer(page, bounds)) as port:
        yield port


@asynccontextmanager
async def served(server: MetricsServer) -> AsyncIterator[int]:
    address = await server.start("127.0.0.1:0")
    try:
        yield int(address.rpartition(":")[2])
    finally:
        await server.stop()


async def said(port: int, request: bytes) -> bytes:
    """Everything that comes until the server is done; what a reset cuts off is cut off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        writer.write(request)
        await writer.drain()
    answer = bytearray()
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            answer += data
    writer.close()
    return bytes(answer)


def run(main: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await main()

    asyncio.run(bounded())


def parts(answer: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    return first, dict(one.split(": ", 1) for one in rest), body


@pytest.mark.parametrize(
    ("request_", "first", "body"),
    [
        (GET, "HTTP/1.1 200 OK", BODY),
        (b"GET /metrics?x=1 HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n", "HTTP/1.1 200 OK", BODY),
        (b"GET /metrics HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK", BODY),
        (b"HEAD /metrics HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 200 OK", b""),
        (GET + GET, "HTTP/1.1 200 OK", BODY),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 404 Not Found", b"the figures are at /metrics\n"),
        (b"GET /metrics/x HTTP/1.1\r\nhost: x\r\n\r\n", "HTTP/1.1 404 Not Found", b"the figures are at /metrics\n"),
        (b"POST /metrics HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc", "HTTP/1.1 405 Method Not Allowed", b"they can only be read\n"),
        (b"\x16\x03\x01 TLS\r\n\r\n", "HTTP/1.1 400 Bad Request", b"this is no request that can be read\n"),
        (b"GET /metrics HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request", b"this is no request that can be read\n"),
        (b"GET /" + b"a" * 20_000, "HTTP/1.1 431 Request Header Fields Too Large", b"this is no request that can be read\n"),
    ],
)  # fmt: skip
def test_an_answer_for_each_request_and_one_a_connection(request_: bytes, first: str, body: bytes) -> None:
    async def main() -> None:
        async with serving(Page()) as port:
            status, headers, got = parts(await said(port, request_))
            assert (status, got) == (first, body)
            assert headers.get("connection", "close") == "close" and headers["x-content-type-options"] == "nosniff"
            if "200" in first:
                assert headers["content-type"] == CONTENT_TYPE and headers["content-length"] == str(len(BODY))
            assert ("allow" in headers) == ("405" in first)

    run(main)


def test_who_says_nothing_or_goes_on_for_ever_is_cut_off() -> None:
    async def main() -> None:
        async with serving(Page()) as port:
            begun = time.monotonic()
            assert await said(port, b"GET /metr") == b""
            assert BOUNDS.head_s <= time.monotonic() - begun < BOUNDS.head_s + 5
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(ConnectionError):
                for _ in range(100):  # a letter at a time buys no time
                    writer.write(b"x")
                    await writer.drain()
                    await asyncio.sleep(0.05)
            with contextlib.suppress(ConnectionError):
                assert await reader.read() == b""
            assert time.monotonic() - begun < 10
            writer.close()

    run(main)


def test_who_does_not_take_the_answer_loses_it_and_its_place() -> None:
    async def main() -> None:
        async with serving(Page(b"x" * (32 << 20))) as port:
            slow = [await asyncio.open_connection("127.0.0.1", port, limit=1) for _ in range(BOUNDS.connections)]
            for _, writer in slow:
                writer.write(GET)
            await asyncio.sleep(BOUNDS.body_s + 1)
            assert (await said(port, b"HEAD /metrics HTTP/1.1\r\nhost: x\r\n\r\n")).startswith(b"HTTP/1.1 200")
            for _, writer in slow:
                writer.close()

    run(main)


def test_more_than_there_are_places_for_are_sent_away_and_places_come_back() -> None:
    async def main() -> None:
        async with serving(Page()) as port:
            waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(BOUNDS.connections)]
            await asyncio.sleep(0.05)
            assert await said(port, GET) == b""
            waiting[0][1].write(GET)
            assert (await waiting[0][0].read()).startswith(b"HTTP/1.1 200")
            for _, writer in waiting:
                writer.close()
            await asyncio.sleep(0.05)
            assert (await said(port, GET)).startswith(b"HTTP/1.1 200")

    run(main)


def test_a_page_is_made_once_for_all_who_ask_at_a_time_and_anew_when_it_is_old() -> None:
    async def main() -> None:
        page = Page()
        server = MetricsServer(page, Bounds(connections=16, fresh_s=60))
        async with served(server) as port:
            answers = await asyncio.gather(*(said(port, GET) for _ in range(10)))
            assert all(one.endswith(BODY) for one in answers) and page.made == 1
            server._done_at -= 60  # a minute passes
            await said(port, GET)
            assert page.made == 2

    run(main)


def test_who_asks_while_a_page_is_made_gets_that_one_however_long_it_takes() -> None:
    async def main() -> None:
        page = Page()
        server = MetricsServer(page, BOUNDS)
        page.takes_s = 2 * BOUNDS.fresh_s
        async with served(server) as port:
            answers = await asyncio.gather(*(said(port, GET) for _ in range(BOUNDS.connections)))
            assert all(one.endswith(BODY) for one in answers) and page.made == 1
            assert (await said(port, GET)).endswith(BODY) and page.made == 1, "it is as young as when it was done"

    run(main)


@pytest.mark.parametrize("hangs", [True, False])
def test_a_page_that_is_never_done_or_fails_keeps_nobody_in_a_queue(
    hangs: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        page = Page()
        page.takes_s = 60 if hangs else BOUNDS.page_s / 2
        page.fault = RuntimeError("secret words")
        async with serving(page) as port:
            begun = time.monotonic()
            answers = await asyncio.gather(*(said(port, GET) for _ in range(BOUNDS.connections)))
            assert time.monotonic() - begun < 2 * BOUNDS.page_s
            assert {parts(one)[0] for one in answers} == {"HTTP/1.1 500 Internal Server Error"} and page.made == 1
            page.takes_s, page.fault = 0.01, None
            assert (await said(port, GET)).endswith(BODY)

    run(main)
    assert f"took longer than {BOUNDS.page_s:g} s: " in caplog.text if hangs else "could not be made" in caplog.text


def test_a_page_that_cannot_be_made_is_said_and_the_next_one_tried(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        page = Page()
        page.fault = RuntimeError("secret words")
        async with serving(page) as port:
            first, _, body = parts(await said(port, GET))
            assert first == "HTTP/1.1 500 Internal Server Error" and b"capsule logs" in body and b"secret" not in body
            page.fault = None
            assert (await said(port, GET)).endswith(BODY)

    run(main)
    assert "could not be made" in caplog.text


def test_nobody_is_waited_for_at_the_end() -> None:
    async def main() -> None:
        server = MetricsServer(Page(), Bounds(head_s=60))
        port = int((await server.start("127.0.0.1:0")).rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            await server.stop()
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()
        with pytest.raises(ConnectionError):
            await asyncio.open_connection("127.0.0.1", port)

    run(main)


def test_an_address_that_cannot_be_had_is_told_with_what_helps() -> None:
    async def main() -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            with pytest.raises(
                CannotListen, match=r"another program does already.*choose another address with --metrics"
            ):
                await MetricsServer(Page()).start(f"127.0.0.1:{port}")
        with pytest.raises(CannotListen, match="none of this machine's addresses"):
            await MetricsServer(Page()).start("192.0.2.99:0")

    run(main)


def test_the_other_loopback_is_served_too() -> None:
    async def main() -> None:
        server = MetricsServer(Page())
        address = await server.start("[::1]:0")
        reader, writer = await asyncio.open_connection("::1", int(address.rpartition(":")[2]))
        writer.write(GET)
        assert address.startswith("[::1]:") and (await reader.read()).endswith(BODY)
        writer.close()
        await server.stop()

    run(main)
