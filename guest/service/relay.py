"""The guest's end of the channel: bytes between the stream to the host and the unix socket that the agent serves on.

A virtio-serial port is one stream for the life of the machine, with hosts that come and go; vsock has a stream for each
host. When the host has gone, every connection ends at once, and with it whatever was asked for over it.

One thread, no more than the standard library, and nothing without bound: a connection is read while there is room for
it, and none while the stream does not take what was read before.
"""

import errno
import os
import selectors
import socket
import sys
from collections.abc import Callable
from typing import Final

from channel.protocol import Broken, Data, Ended, Gone, GuestChannel, Opened, Room
from channel.vsock import RESERVED, VSOCK_PORT

PIECE = 64 << 10
FULL = 128 << 10
"""With so much to be sent no connection is read."""
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

Carrier = Callable[[], int]
"""Waits for a host; the descriptor of the stream to it, which is the relay's to close."""


def port(path: str) -> Carrier:
    """Hosts that come to a virtio-serial port. It stays open, or what a new host sends at once would be lost."""
    opened = os.open(path, os.O_RDWR | os.O_CLOEXEC)

    def wait() -> int:
        os.set_blocking(opened, True)
        # The kernel lets a write wait until somebody is there, and has no other word for it. A PAD means nothing.
        os.write(opened, b"\0")
        return os.dup(opened)

    return wait


def vsock(number: int = VSOCK_PORT) -> Carrier:
    """Hosts that connect to this port of the machine."""
    listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    listener.bind((socket.VMADDR_CID_ANY, number))
    listener.listen(1)
    return of_hosts_root(listener)


def of_hosts_root(listener: socket.socket) -> Carrier:
    """Only root of the host is let in: not its users, not its containers, and nobody else."""

    def wait() -> int:
        while True:
            stream, (cid, source) = listener.accept()
            if cid == socket.VMADDR_CID_HOST and source < RESERVED:
                return stream.detach()
            stream.close()

    return wait


def serve(carrier: Carrier, target: str) -> None:
    """Relay to the unix socket `target`, one host after another."""
    while True:
        stream = carrier()
        try:
            Relay(stream, target).run()
        except Broken as error:
            print(f"capsule-guest: the channel is begun anew: {error}", file=sys.stderr, flush=True)
            drain(stream)
        finally:
            os.close(stream)


def drain(stream: int) -> None:
    """Until this host has gone: what it sends has no beginning any more."""
    os.set_blocking(stream, True)
    try:
        while os.read(stream, PIECE):
            pass
    except OSError:
        pass


class Relay:
    """One host's time."""

    def __init__(self, stream: int, target: str) -> None:
        self._stream = stream
        self._target = target
        self._channel = GuestChannel()
        self._locals: dict[int, _Local] = {}
        self._selector = selectors.DefaultSelector()

    def run(self) -> None:
        """Until the host has gone. Raises Broken."""
        os.set_blocking(self._stream, False)
        self._selector.register(self._stream, _READ)
        try:
            while True:
                self._attend()
                for key, events in self._selector.select():
                    local: _Local | None = key.data
                    if local is None:
                        if not self._to_and_fro(events):
                            return
                    elif local in self._locals.values():  # or what was read before it ended it
                        local.turn(events)
        finally:
            self._drop()
            self._selector.close()

    def _attend(self) -> None:
        """Wait only for what can be dealt with."""
        outgoing = len(self._channel.outgoing)
        self._selector.modify(self._stream, _READ | _WRITE if outgoing else _READ)
        for local in tuple(self._locals.values()):
            local.watch(outgoing < FULL)

    def _to_and_fro(self, events: int) -> bool:
        """Whether the host is still there."""
        if events & _WRITE:
            self._send()
        if not events & _READ:
            return True
        try:
            data = os.read(self._stream, PIECE)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for event in self._channel.receive(data):
            self._happened(event)
        return bool(data)

    def _send(self) -> None:
        """What cannot be sent waits; whether anybody is there the next read tells."""
        try:
            sent = os.write(self._stream, memoryview(self._channel.outgoing)[:PIECE])
        except OSError:
            return
        del self._channel.outgoing[:sent]

    def _happened(self, event: object) -> None:
        match event:
            case Gone():
                self._drop()
            case Opened(connection):
                self._locals[connection] = _Local(connection, self._channel, self._selector, self._target, self._over)
            case Data(connection, content):
                self._locals[connection].deliver(content)
            case Ended(connection):
                self._locals[connection].ended()
            case Room():
                pass  # looked at before every wait

    def _over(self, connection: int) -> None:
        del self._locals[connection]

    def _drop(self) -> None:
        for local in tuple(self._locals.values()):
            local.close()


class _Local:
    """The agent's side of a connection. `over` is told when neither way leads anywhere any more."""

    def __init__(
        self,
        connection: int,
        channel: GuestChannel,
        selector: selectors.BaseSelector,
        target: str,
        over: Callable[[int], None],
    ) -> None:
        self.connection: Final = connection
        self._channel = channel
        self._selector = selector
        self._over = over
        self._waiting = bytearray()
        self._no_more = False
        self._deaf = False
        self._read_out = False
        self._watched = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.setblocking(False)
        try:
            self._socket.connect(target)
        except OSError as error:
            print(f"capsule-guest: no agent: {os.strerror(error.errno or 0)}", file=sys.stderr, flush=True)
            self._read_to_the_end()
            self._deafen()

    def watch(self, may_read: bool) -> None:
        """Be woken for what can be done."""
        wanted = _WRITE if self._waiting else 0
        if may_read and not self._read_out and self._channel.room(self.connection):
            wanted |= _READ
        if wanted == self._watched:
            return
        if not self._watched:
            self._selector.register(self._socket, wanted, self)
        elif wanted:
            self._selector.modify(self._socket, wanted, self)
        else:
            self._selector.unregister(self._socket)
        self._watched = wanted

    def turn(self, events: int) -> None:
        """Something can be done."""
        if events & _WRITE:
            self._write()
        if events & _READ and not self._read_out:
            self._read()

    def deliver(self, content: bytes) -> None:
        """To the agent; the credit of the connection bounds what waits here."""
        if self._deaf:
            self._channel.took(self.connection, len(content))
            return
        self._waiting += content
        self._write()

    def ended(self) -> None:
        """The host sends nothing more."""
        self._no_more = True
        self._shut_when_written()

    def _write(self) -> None:
        try:
            while self._waiting:
                sent = self._socket.send(memoryview(self._waiting)[:PIECE])
                del self._waiting[:sent]
                self._channel.took(self.connection, sent)
        except BlockingIOError:
            return
        except OSError:
            self._deafen()
            return
        self._shut_when_written()

    def _read(self) -> None:
        try:
            data = self._socket.recv(min(PIECE, self._channel.room(self.connection)))
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ECONNRESET:
                raise
            data = b""
        if data:
            self._channel.send(self.connection, data)
            return
        self._read_to_the_end()
        self._close_when_over()

    def _read_to_the_end(self) -> None:
        self._read_out = True
        self._channel.end(self.connection)

    def _deafen(self) -> None:
        """The agent takes nothing more: what still comes is dropped. What it has said before is read all the same."""
        self._deaf = True
        self._channel.took(self.connection, len(self._waiting))
        self._waiting.clear()
        self._close_when_over()

    def _shut_when_written(self) -> None:
        if self._no_more and not self._waiting and not self._deaf:
            self._deaf = True
            try:
                self._socket.shutdown(socket.SHUT_WR)
            except OSError:
                self._read_to_the_end()
        self._close_when_over()

    def _close_when_over(self) -> None:
        if self._no_more and self._deaf and self._read_out:
            self.close()

    def close(self) -> None:
        """Neither way leads anywhere any more."""
        if self._watched:
            self._selector.unregister(self._socket)
            self._watched = 0
        self._socket.close()
        self._over(self.connection)
