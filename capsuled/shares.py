"""Each address's share of the network's connections: one that wants more keeps no room from the others.

gRPC bounds connections, but not by whom. It asks for the certificate at each new one, before anything was read from it
(tls.py), so that none comes unheard: then the connections are counted, and those that an address opened last beyond its
share are shut down, which gRPC sees as their end. A silent connection costs the machine nothing else, so there is no
hurry.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from capsuled.strangers import host_of

PAUSE_S = 0.05
"""From a new connection to the count: of a flood many are counted at once."""

S = TypeVar("S", bound=socket.socket)


class Connected(msgspec.Struct, frozen=True):
    """One connection. `inode` tells its socket from every other, `fd` is gRPC's own; `host` counts as one address."""

    inode: int
    fd: int
    host: str


class Shares:
    """Of the connections to the `ports` of this process, at most `each` from one address."""

    def __init__(self, each: int) -> None:
        self.ports: Collection[int] = ()
        self._each = each
        self._order: dict[int, int] = {}
        self._seen = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._due: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Count from now on, until `stop`, what came before as well."""
        self._loop = asyncio.get_running_loop()
        self._came()

    def stop(self) -> None:
        """Count no more."""
        self._loop = None
        if self._due is not None:
            self._due.cancel()

    def came(self) -> None:
        """There is a new connection. To be called from any thread."""
        if (loop := self._loop) is not None:
            with contextlib.suppress(RuntimeError):  # it has just ended
                loop.call_soon_threadsafe(self._came)

    def _came(self) -> None:
        if self._loop is not None and self._due is None:
            self._due = self._loop.call_later(PAUSE_S, self._count)

    def _count(self) -> None:
        self._due = None
        for one in self.surplus(tuple(connections(self.ports))):
            shut(one)

    def surplus(self, connected: Collection[Connected]) -> list[Connected]:
        """Those to end: of each address the ones beyond its share, the newest of them. What was seen before is older
        than what was not; of what came since then, nobody can tell."""
        for one in connected:
            if one.inode not in self._order:
                self._seen += 1
                self._order[one.inode] = self._seen
        self._order = {one.inode: self._order[one.inode] for one in connected}
        by_host: dict[str, list[Connected]] = {}
        for one in sorted(connected, key=lambda one: self._order[one.inode]):
            by_host.setdefault(one.host, []).append(one)
        return [one for mine in by_host.values() for one in mine[self._each :]]


def connections(ports: Collection[int]) -> Iterator[Connected]:
    """Everybody who is connected to one of these ports of this process."""
    for copy in _sockets():
        with copy:
            try:
                if copy.getsockname()[1] in ports:
                    host, port = copy.getpeername()[:2]
                    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
                    yield Connected(os.fstat(copy.fileno()).st_ino, copy.fd, host_of(address))
            except OSError:
                continue  # it listens, or has just gone


def shut(one: Connected) -> None:
    """End a connection; whoever has it sees its end. One that has gone meanwhile left its number to another."""
    with contextlib.suppress(OSError), _copied(one.fd) as copy:
        if os.fstat(copy.fileno()).st_ino == one.inode:
            copy.shutdown(socket.SHUT_RDWR)


class _Copy(socket.socket):
    """A second descriptor of a socket of this process. `fd` is the first one."""

    fd = -1


def _sockets() -> Iterator[_Copy]:
    """Every TCP socket of this process; who takes one closes it."""
    for name in os.listdir("/proc/self/fd"):
        try:
            if not os.readlink(f"/proc/self/fd/{name}").startswith("socket:"):
                continue
            copy = _of(_Copy, os.dup(int(name)))
        except OSError:
            continue  # closed while it was looked at, and its number perhaps another file's by then
        copy.fd = int(name)
        if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.type == socket.SOCK_STREAM:
            yield copy
        else:
            copy.close()


def _of(kind: type[S], fd: int) -> S:
    """The socket of a descriptor, which is closed where it is none's. Raises OSError."""
    try:
        return kind(fileno=fd)
    except OSError:
        os.close(fd)
        raise


@contextmanager
def _copied(fd: int) -> Iterator[socket.socket]:
    copy = _of(socket.socket, os.dup(fd))
    try:
        yield copy
    finally:
        copy.close()
