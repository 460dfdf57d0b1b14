"""The places for connections to the page. Whoever has not said the word has his only as long as nobody else comes: any
user of this machine can connect, and must keep nobody out who was let in."""

import contextlib
import io
import socket
import threading
import time


class Room:
    """So many `places`, asked by the threads of the connections and by the one that takes them."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._lock = threading.Lock()
        self._strangers: dict[socket.socket, None] = {}
        self._known: set[socket.socket] = set()

    def enter(self, connection: socket.socket) -> bool:
        """Whether it has a place now; where all are taken, that of the stranger who is here for longest."""
        with self._lock:
            if len(self._strangers) + len(self._known) >= self._places:
                if not self._strangers:
                    return False
                oldest = next(iter(self._strangers))
                del self._strangers[oldest]
                with contextlib.suppress(OSError):  # it has just gone by itself
                    oldest.shutdown(socket.SHUT_RDWR)  # its thread hears of it, and closes it
            self._strangers[connection] = None
            return True

    def know(self, connection: socket.socket) -> None:
        """It has said the word, and keeps its place. One that lost it a moment ago stays as it is: it is closed."""
        with self._lock:
            if connection in self._strangers:
                del self._strangers[connection]
                self._known.add(connection)

    def leave(self, connection: socket.socket) -> None:
        """It is over."""
        with self._lock:
            self._strangers.pop(connection, None)
            self._known.discard(connection)


class Heads(io.RawIOBase):
    """What a connection says, each head of a request within `patience_s` in all, however little comes at a time. What
    is sent has as long for each piece."""

    def __init__(self, connection: socket.socket, patience_s: float) -> None:
        self._connection = connection
        self._patience_s = patience_s
        self.begin()

    def begin(self) -> None:
        """The next head's time begins."""
        self._until_s = time.monotonic() + self._patience_s

    def readable(self) -> bool:
        """Always."""
        return True

    def readinto(self, into: "memoryview") -> int:  # type: ignore[override]
        """Raises TimeoutError once the time is over."""
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        self._connection.settimeout(left_s)
        try:
            return self._connection.recv_into(into)
        finally:
            self._connection.settimeout(self._patience_s)
