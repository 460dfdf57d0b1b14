"""A channel's two ends in one process, over a socket between them: what they do to connections, slow ones and cut ones.

The stream is a socket's instead of a VM's; what is behind it echoes, pours or swallows.
"""

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from channel.frames import FILLING, OPEN, READY, RESET, packed
from channel.protocol import CREDIT_BYTES
from effects.microvms import relay as host
from guest.service import relay as guest
from tests.support.until import until

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1 << 16):
        writer.write(data)
        await writer.drain()
    writer.close()


def answer_to(stream: socket.socket) -> bytes:
    """READY, for the host that has just come."""
    begun = b""
    while len(begun) < len(FILLING + packed(RESET, 0, bytes(16))):
        begun += stream.recv(1 << 20)
    return packed(READY, 0, begun[-17:-1])


class Made:
    """Both relays. `cut` ends the stream between them, as a daemon's end does; the next one is dialled then."""

    def __init__(self, path: Path, guests: Callable[[socket.socket], None]) -> None:
        self.path = path
        self.streams: list[socket.socket] = []
        self._guests = guests
        self.relay = host.Relay("web", self._dial, path)
        self.relay.talking(1)

    async def _dial(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self.streams.append(ours)
        threading.Thread(target=self._guests, args=(theirs,), daemon=True).start()
        return ours

    def cut(self) -> None:
        self.streams[-1].shutdown(socket.SHUT_RDWR)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with asyncio.timeout(20):
            await self.relay.up()
        return await asyncio.open_unix_connection(self.path)


@asynccontextmanager
async def made(
    tmp: Path, serve: Serve = echo, guests: Callable[[socket.socket], None] | None = None
) -> AsyncIterator[Made]:
    target = str(tmp / "agent")
    server = await asyncio.start_unix_server(serve, target)

    def honest(stream: socket.socket) -> None:
        with stream:
            guest.Relay(stream.fileno(), target).run()

    both = Made(tmp / "channel", guests or honest)
    running = asyncio.ensure_future(both.relay.run())
    try:
        async with asyncio.timeout(60):
            yield both
    finally:
        running.cancel()
        await asyncio.wait((running,))
        server.close()
    assert not both.path.exists()


def test_connections_side_by_side_bring_everything_there_and_back(tmp_path: Path) -> None:
    async def main() -> None:
        async with made(tmp_path) as both:

            async def one(size: int) -> None:
                sent = os.urandom(size)
                reader, writer = await both.connect()
                writer.write(sent)
                writer.write_eof()
                assert await reader.read(-1) == sent
                writer.close()

            await both.relay.up()
            await asyncio.gather(*(one(size) for size in (0, 1, 70_000, 3_000_000, 3_000_001)))
            for _ in range(40):  # more than there may be at a time
                await one(10)
            assert both.relay.faults == 0 and len(both.streams) == 1

    asyncio.run(main())


def test_an_end_that_says_its_last_goes_on_hearing(tmp_path: Path) -> None:
    async def main() -> None:
        heard: list[bytes] = []
        done = asyncio.Event()

        async def last_words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"bye")
            writer.write_eof()
            heard.append(await reader.read(-1))
            writer.close()
            done.set()

        async with made(tmp_path, last_words) as both:
            reader, writer = await both.connect()
            assert await reader.read(-1) == b"bye"
            writer.write(b"x" * 1_000_000)
            writer.write_eof()
            await done.wait()
            assert heard == [b"x" * 1_000_000]
            writer.close()

    asyncio.run(main())


def test_one_who_does_not_read_holds_up_nobody_else_and_little_of_his_waits(tmp_path: Path) -> None:
    async def main() -> None:
        slow = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if await reader.readexactly(1) == b"p":
                for _ in range(200):
                    writer.write(bytes(1 << 16))
                    await writer.drain()
                writer.close()
            else:
                await slow.wait()
                writer.write(str(len(await reader.read(-1))).encode())
                writer.close()

        async with made(tmp_path, serve) as both:
            poured, pouring = await both.connect()
            pouring.write(b"p")
            swallowed, swallowing = await both.connect()
            swallowing.write(b"s")
            given = 0
            while True:
                swallowing.write(bytes(1 << 16))
                given += 1 << 16
                try:
                    async with asyncio.timeout(0.5):
                        await swallowing.drain()
                except TimeoutError:
                    break
            assert given < CREDIT_BYTES + (4 << 20), "kernels' buffers and a credit"
            quick, asking = await both.connect()
            asking.write(b"s")
            asking.write_eof()
            slow.set()
            assert await quick.read(-1) == b"0"
            swallowing.write_eof()
            assert int(await swallowed.read(-1)) == given
            assert len(await poured.read(-1)) == 200 << 16
            for writer in (pouring, swallowing, asking):
                writer.close()

    asyncio.run(main())


def test_the_next_stream_begins_anew_whatever_the_last_was_cut_in(tmp_path: Path) -> None:
    async def main() -> None:
        async with made(tmp_path) as both:
            for _ in range(4):
                up = await both.relay.up()
                reader, writer = await both.connect()
                writer.write(os.urandom(3_000_000))
                await reader.readexactly(100_000)
                both.cut()
                await up
                with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                    while True:
                        await reader.readexactly(1)
                writer.close()
            reader, writer = await both.connect()
            writer.write(b"again")
            assert await reader.readexactly(5) == b"again"
            writer.close()
            assert both.relay.faults == 0

    asyncio.run(main())


def test_an_agent_that_is_not_there_ends_the_connection_and_not_the_channel(tmp_path: Path) -> None:
    async def main() -> None:
        def guests(stream: socket.socket) -> None:
            with stream:
                guest.Relay(stream.fileno(), str(tmp_path / "nobody")).run()

        async with made(tmp_path, guests=guests) as both:
            for _ in range(40):
                reader, writer = await both.connect()
                writer.write(b"hello")
                assert await reader.read(-1) == b""
                writer.close()
            assert len(both.streams) == 1

    asyncio.run(main())


def test_a_guest_that_sends_nonsense_is_told_of_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "AGAIN_MAX_S", 0.01)
    nonsense = [b"\xff" * 100_000, packed(OPEN, 1), bytes(10_000_000)]

    def guests(stream: socket.socket) -> None:
        with stream, contextlib.suppress(OSError):
            stream.sendall(b"of before" + answer_to(stream))
            stream.sendall(nonsense.pop(0) if nonsense else b"\xee" * 9)
            stream.recv(1)

    async def main() -> None:
        async with made(tmp_path, guests=guests) as both:
            await until(lambda: both.relay.faults >= 4 and len(both.streams) >= 5, within_s=60)

    with caplog.at_level(logging.WARNING):
        asyncio.run(main())
    (told,) = (record.getMessage() for record in caplog.records if record.name == host.log.name)
    assert "guest of web does not keep to the channel (no frame has the type 255)" in told


def test_a_guest_that_closes_no_connection_loses_its_channel(tmp_path: Path) -> None:
    def guests(stream: socket.socket) -> None:
        with stream:
            stream.sendall(answer_to(stream))
            while stream.recv(1 << 16):
                pass

    async def main() -> None:
        async with made(tmp_path, guests=guests) as both:
            up = await both.relay.up()
            while not up.done():
                _, writer = await asyncio.open_unix_connection(both.path)
                writer.close()
                await asyncio.sleep(0)
            await both.relay.up()
            assert both.relay.faults == 1

    asyncio.run(main())
