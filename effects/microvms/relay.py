"""The daemon's end of a VM's channel: a unix socket that gRPC dials, and behind it the stream of bytes to the guest.

The stream is dialled again for as long as the VM is there: it ends when the daemon's life does, when the guest does not
keep to the channel, and when nobody in the guest answers. Each time both ends begin anew, and who was connected is cut.

What the guest sends is not trusted: it can hold up its own channel and nothing else. It is read a piece at a time, no
more of it waits here than its credit, and what is no frame ends the stream, which is then left alone for a while.

Nor is it blamed for what this machine lacks: without a descriptor or an inode of our own all is begun anew until there
is one, and that is counted.
"""

import asyncio
import contextlib
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from channel.frames import NONCE_BYTES
from channel.protocol import Broken, Data, Ended, Gone, HostChannel, Opened, Ready, Room

log = logging.getLogger(__name__)

PIECE = 64 << 10
FULL = 128 << 10
"""With so much on its way to the guest no connection is read."""

READY_S = 30.0
"""For the guest to answer that it has begun anew. It may still be booting: then it is asked again."""

DIAL_S = 0.5
"""Until the next try where nobody listens yet, or nobody any more."""

UNASKED_BYTES, LEFT_BYTES = 256 << 10, 4 << 20
"""So much a guest may say between two questions, while no exec and no copy goes on, beyond what may still be on its way
of one that ended: answers are far smaller, and what goes beyond only keeps the daemon busy."""

AGAIN_S, AGAIN_MAX_S = 0.1, 5.0
GOOD_S = 60.0
"""A stream that lasted so long was a good one: the next is dialled at once."""

_NOBODY = frozenset({errno.ENODEV, errno.ENOENT, errno.ENXIO, errno.EAGAIN, errno.EHOSTUNREACH, errno.ETIMEDOUT})
"""What a dial fails with, beside a ConnectionError, where nobody is on the other side, or does not answer."""

Dial = Callable[[], Awaitable[socket.socket]]
"""A new stream to the guest, connected. Raises OSError."""


def chardev(path: Path) -> Dial:
    """The stream that QEMU serves on a unix socket. Its directory is opened first: the path may be a long one."""

    async def dial() -> socket.socket:
        stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            stream.setblocking(False)
            await asyncio.get_running_loop().sock_connect(stream, f"/proc/self/fd/{directory}/{path.name}")
        except BaseException:
            stream.close()
            raise
        finally:
            os.close(directory)
        return stream

    return dial


class Relay:
    """One VM's. `path` is the socket's, short enough for one; its directory is the daemon's own, and made where it is
    not there. `faults` counts what the guest did wrong, `lacks` what this machine did not have for the way to it."""

    def __init__(self, name: str, dial: Dial, path: Path) -> None:
        self._name = name
        self._dial = dial
        self._path = path
        self._stream: _Stream | None = None
        self._changed = asyncio.Condition()
        self._over = False
        self._talks = 0
        self._unasked_bytes = 0
        self.faults = 0
        self.lacks = 0
        self._lacking = False

    @property
    def unused(self) -> bool:
        """Whether there is a stream on which nobody of ours has come yet, which is no guest's doing: gRPC may lack a
        descriptor for its own end."""
        stream = self._live()
        return stream is not None and not stream.used

    def asked(self) -> None:
        """A question was put: it may be answered."""
        self._unasked_bytes = min(self._unasked_bytes, 0)

    def talking(self, how_many: int) -> None:
        """So many more calls go on, or fewer, that bring what a guest has to say without being asked again."""
        self._talks += how_many
        self._unasked_bytes = -LEFT_BYTES

    def heard(self, count: int) -> None:
        """So many bytes have come. Raises Broken."""
        self._unasked_bytes += 0 if self._talks else count
        if self._unasked_bytes > UNASKED_BYTES:
            raise Broken(f"{self._unasked_bytes:,} bytes that nobody asked for")

    async def run(self) -> None:
        """Until it is cancelled."""
        try:
            while True:
                try:
                    await self._serve()
                except OSError as error:
                    self._lack(error)
                await asyncio.sleep(DIAL_S)
        finally:
            async with self._changed:
                self._over = True
                self._changed.notify_all()

    async def _serve(self) -> None:
        """Until it is cancelled. Raises OSError for what this machine itself lacks."""
        loop = asyncio.get_running_loop()
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path.unlink(missing_ok=True)
        server = await loop.create_unix_server(lambda: _Local(self._live()), self._path)
        try:
            pause_s = AGAIN_S
            while True:
                began = loop.time()
                if not await self._one_stream():
                    await asyncio.sleep(DIAL_S)
                    continue
                pause_s = AGAIN_S if loop.time() - began > GOOD_S else min(2 * pause_s, AGAIN_MAX_S)
                await asyncio.sleep(pause_s)
        finally:
            server.close()
            # It must not stand in a cancellation's place, and whoever serves next takes the file away.
            with contextlib.suppress(OSError):
                self._path.unlink()

    async def up(self) -> "asyncio.Future[None]":
        """Waits until there is a stream on which both ends have begun; what it gives is done when that has ended.
        Raises ConnectionError once there will be none any more."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._over or self._live() is not None)
        if self._stream is None:
            raise ConnectionError("the relay has ended")
        return self._stream.ended

    def _live(self) -> "_Stream | None":
        stream = self._stream
        return stream if stream is not None and stream.channel.live and not stream.ended.done() else None

    async def _one_stream(self) -> bool:
        """Whether there was one. Raises OSError for what this machine itself lacks."""
        try:
            connected = await self._dial()
        except OSError as error:
            if not isinstance(error, ConnectionError) and error.errno not in _NOBODY:
                raise
            log.debug("no channel to %s yet: %s", self._name, error)
            return False
        stream = _Stream(self.heard)
        try:
            await asyncio.get_running_loop().create_connection(lambda: stream, sock=connected)
        except BaseException:
            connected.close()
            raise
        self._lacking = False
        self._stream = stream
        try:
            await asyncio.wait((stream.begun,), timeout=READY_S)
            if stream.channel.live:
                async with self._changed:
                    self._changed.notify_all()
                await asyncio.wait((stream.ended,))
        finally:
            self._stream = None
            stream.close()
        if stream.why is not None:
            self._fault(stream.why)
        return True

    def _lack(self, error: OSError) -> None:
        """Said once, until there is a stream."""
        self.lacks += 1
        told = log.debug if self._lacking else log.warning
        self._lacking = True
        told(
            "no way can be made to the guest of %s, as this machine itself lacks something (%s): it is tried again; "
            "exec, copies and stats fail meanwhile, and the guest's silence is not held against it",
            self._name,
            error,
        )

    def _fault(self, error: Broken) -> None:
        """Whoever sends nonsense may send it for ever: it is said once."""
        self.faults += 1
        told = log.debug if self.faults > 1 else log.warning
        told(
            "the guest of %s does not keep to the channel (%s): it is begun anew, as it will be each time; exec, "
            "copies and stats fail meanwhile",
            self._name,
            error,
        )


class _Stream(asyncio.Protocol):
    """One stream to the guest. `begun` is done when it has or never will, `ended` when it has; `why` it was broken;
    `used`: somebody of ours has come to it."""

    def __init__(self, heard: Callable[[int], None]) -> None:
        loop = asyncio.get_running_loop()
        self._heard = heard
        self.channel = HostChannel(os.urandom(NONCE_BYTES))
        self.begun: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()
        self.why: Broken | None = None
        self.full = False
        self.used = False
        self._locals: dict[int, _Local] = {}
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(FULL)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        if self.ended.done():
            return
        try:
            if self.channel.live:
                self._heard(len(data))
            for event in self.channel.receive(data):
                self._happened(event)
        except Broken as error:
            self.close(error)
            return
        self.flush()

    def pause_writing(self) -> None:
        """See asyncio."""
        self.full = True
        for local in self._locals.values():
            local.attend()

    def resume_writing(self) -> None:
        """See asyncio."""
        self.full = False
        for local in self._locals.values():
            local.attend()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio."""
        self.close()

    def opened(self, local: "_Local") -> int | None:
        """A connection more, and its number."""
        self.used = True
        number = self.channel.open()
        if number is None:
            self.close(Broken(f"it closes none of {len(self.channel.connections)} connections"))
            return None
        self._locals[number] = local
        return number

    def left(self, number: int) -> None:
        """Neither way of a connection leads anywhere any more."""
        self._locals.pop(number, None)

    def flush(self) -> None:
        """Send what is to be sent."""
        outgoing = self.channel.outgoing
        if outgoing and self._transport is not None and not self.ended.done():
            self._transport.write(bytes(outgoing))
        outgoing.clear()

    def close(self, why: Broken | None = None) -> None:
        """Nothing more comes or goes."""
        if self.ended.done():
            return
        self.why = why
        self.ended.set_result(None)
        if not self.begun.done():
            self.begun.set_result(None)
        for local in tuple(self._locals.values()):
            local.cut()
        if self._transport is not None:
            self._transport.abort()

    def _happened(self, event: object) -> None:
        match event:
            case Ready():
                self.begun.set_result(None)
            case Data(connection, content):
                self._locals[connection].deliver(content)
            case Ended(connection):
                self._locals[connection].no_more()
            case Room(connection):
                if connection in self._locals:
                    self._locals[connection].attend()
            case Opened() | Gone():
                raise AssertionError("only a guest hears of these")


class _Local(asyncio.BufferedProtocol):
    """gRPC's side of a connection."""

    def __init__(self, stream: _Stream | None) -> None:
        self._stream = stream
        self._number = 0
        self._buffer = memoryview(bytearray(PIECE))
        self._owed = 0
        self._slow = False
        self._read_out = False
        self._heard_end = False
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio. Without a stream it leads nowhere."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        number = self._stream.opened(self) if self._stream is not None else None
        if self._stream is None or number is None:
            self._stream = None
            transport.abort()
            return
        self._number = number
        transport.set_write_buffer_limits(PIECE)
        self._stream.flush()
        self.attend()

    def attend(self) -> None:
        """Read only what there is room for."""
        if self._read_out or self._transport.is_closing() or self._stream is None:
            return
        if self._stream.full or not self._stream.channel.room(self._number):
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def get_buffer(self, hint: int) -> memoryview:
        """See asyncio."""
        room = self._stream.channel.room(self._number) if self._stream is not None else 0
        return self._buffer[: max(1, min(room, PIECE))]

    def buffer_updated(self, count: int) -> None:
        """See asyncio."""
        if self._stream is not None:
            self._stream.channel.send(self._number, self._buffer[:count])
            self._stream.flush()
            self.attend()

    def eof_received(self) -> bool:
        """See asyncio. What the guest says may still come."""
        self._ended()
        return not self._heard_end

    def deliver(self, content: bytes) -> None:
        """To gRPC. The credit of the connection bounds what waits here."""
        if not self._transport.is_closing():
            self._transport.write(content)
        self._owed += len(content)
        if not self._slow:
            self._took()

    def no_more(self) -> None:
        """The guest sends nothing more."""
        self._heard_end = True
        if self._read_out:
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()
        self._leave()

    def pause_writing(self) -> None:
        """See asyncio."""
        self._slow = True

    def resume_writing(self) -> None:
        """See asyncio."""
        self._slow = False
        self._took()

    def connection_lost(self, error: Exception | None) -> None:
        """See asyncio. What still comes from the guest is dropped."""
        self._slow, self._lost = False, True
        self._ended()
        self._took()
        self._leave()

    def cut(self) -> None:
        """The stream has ended."""
        self._stream = None
        self._transport.abort()

    def _leave(self) -> None:
        if self._lost and self._heard_end and self._stream is not None:
            self._stream.left(self._number)

    def _took(self) -> None:
        if self._stream is not None and self._owed:
            self._stream.channel.took(self._number, self._owed)
            self._owed = 0
            self._stream.flush()

    def _ended(self) -> None:
        self._read_out = True
        if self._stream is not None:
            self._stream.channel.end(self._number)
            self._stream.flush()
