"""The channel's two ends, as state machines without I/O: connections, their halves, and how much each may still send.

The host begins: it fills up what was cut, and says RESET with a number of its own making. With that the connections of
before are gone at both ends. What the host hears until that number comes back, in READY, is of before, and it looks for
nothing else in it. Only the host opens connections; either end closes its half by itself.

What one end may have on its way to the other is bounded by CREDIT, for each connection, and that is the back-pressure:
whoever takes bytes away says so. So a guest cannot make the daemon hold more than `CONNECTIONS_MAX` of them take, and
every byte that it may not send ends the channel.
"""

from typing import NamedTuple

from channel import frames
from channel.frames import BYTES_MAX, CLOSE, CREDIT, CUT, DATA, OPEN, READY, RESET, BadFrame, Frame, Frames

CREDIT_BYTES = 256 << 10
"""Of each connection and each way: so much may be sent that was not taken yet."""
CONNECTIONS_MAX = 16
SKIPPED_MAX = 16 << 20
"""More than this was never on its way when a host came: what all connections may have, and the kernels' buffers."""
_OWED = CREDIT_BYTES // 4
"""Credit is given back in pieces of this size: a frame for each read would be a second stream."""


class Broken(Exception):
    """The other end does not keep to this. The channel is of no use any more."""


class Ready(NamedTuple):
    """Both ends have begun anew: there are no connections, and from now on there may be."""


class Gone(NamedTuple):
    """To a guest: the host has begun anew, or was cut. There are no connections any more."""


class Opened(NamedTuple):
    """To a guest: a connection more."""

    connection: int


class Data(NamedTuple):
    """Bytes of a connection. Whoever has taken them says so: see `took`."""

    connection: int
    content: bytes


class Ended(NamedTuple):
    """The other end sends nothing more on a connection."""

    connection: int


class Room(NamedTuple):
    """More may be sent on a connection."""

    connection: int


Event = Ready | Gone | Opened | Data | Ended | Room


class _Connection:
    """`room`: how much we may send. `allowed`: how much the other end may. `owed`: taken, and not said yet."""

    def __init__(self) -> None:
        self.room = CREDIT_BYTES
        self.allowed = CREDIT_BYTES
        self.owed = 0
        self.ended = False
        self.heard_end = False


class _Channel:
    """What both ends have in common. `outgoing` is what is to be sent, in order; whoever sends it takes it away."""

    def __init__(self) -> None:
        self.outgoing = bytearray()
        self.live = False
        self._frames = Frames()
        self._connections: dict[int, _Connection] = {}
        self._last = 0

    @property
    def connections(self) -> frozenset[int]:
        """Those of which at least a half is open."""
        return frozenset(self._connections)

    def room(self, connection: int) -> int:
        """How many bytes may be sent on it now."""
        found = self._connections.get(connection)
        return 0 if found is None or found.ended else found.room

    def send(self, connection: int, data: bytes | memoryview) -> None:
        """Some bytes, as many as there is room for at most."""
        found = self._connections[connection]
        assert 0 < len(data) <= found.room and not found.ended, "whoever sends looks for room first"
        found.room -= len(data)
        for start in range(0, len(data), BYTES_MAX):
            self.outgoing += frames.packed(DATA, connection, bytes(data[start : start + BYTES_MAX]))

    def end(self, connection: int) -> None:
        """Nothing more is sent on it. Twice is once."""
        found = self._connections.get(connection)
        if found is None or found.ended:
            return
        found.ended = True
        self.outgoing += frames.packed(CLOSE, connection)
        self._forget(connection)

    def took(self, connection: int, count: int) -> None:
        """`count` bytes of it have gone where they lead: the other end may send as many more."""
        found = self._connections.get(connection)
        if found is None or found.heard_end:
            return
        found.owed += count
        if found.owed >= _OWED:
            self.outgoing += frames.credit(connection, found.owed)
            found.allowed += found.owed
            found.owed = 0

    def _forget(self, connection: int) -> None:
        found = self._connections[connection]
        if found.ended and found.heard_end:
            del self._connections[connection]

    def _about_one(self, frame: Frame) -> Event | None:
        """DATA, CLOSE or CREDIT of a connection."""
        found = self._connections.get(frame.connection)
        if found is None:
            if frame.kind == CREDIT and 0 < frame.connection <= self._last:
                return None  # it was given before the other end heard that the connection is closed
            raise Broken(f"connection {frame.connection} is not open")
        if frame.kind == CREDIT:
            return self._more_room(frame, found)
        if found.heard_end:
            raise Broken(f"connection {frame.connection} goes on after its end")
        if frame.kind == CLOSE:
            found.heard_end = True
            self._forget(frame.connection)
            return Ended(frame.connection)
        found.allowed -= len(frame.content)
        if found.allowed < 0:
            raise Broken(f"{-found.allowed:,} bytes more than connection {frame.connection} may send")
        return Data(frame.connection, frame.content)

    def _more_room(self, frame: Frame, found: _Connection) -> Event:
        count = frames.credited(frame)
        found.room += count
        if not count or found.room > CREDIT_BYTES:
            raise Broken(f"{count:,} bytes of credit for connection {frame.connection}, which never were owed to it")
        return Room(frame.connection)


class HostChannel(_Channel):
    """The daemon's end: made anew for every stream that it has to the guest. `nonce` is by chance."""

    def __init__(self, nonce: bytes) -> None:
        super().__init__()
        self.outgoing += frames.FILLING + frames.packed(RESET, 0, nonce)
        self._awaited = frames.packed(READY, 0, nonce)
        self._before = b""
        self._skipped = 0

    def open(self) -> int | None:
        """A connection more; None while there are as many as there may be."""
        assert self.live, "whoever opens waits for Ready"
        if len(self._connections) >= CONNECTIONS_MAX:
            return None
        self._last += 1
        self._connections[self._last] = _Connection()
        self.outgoing += frames.packed(OPEN, self._last)
        return self._last

    def receive(self, data: bytes) -> list[Event]:
        """What has come of these bytes. Raises Broken."""
        events: list[Event] = []
        if not self.live:
            found = self._looked_for(data)
            if found is None:
                return events
            self.live = True
            events.append(Ready())
            data = found
        try:
            taken = self._frames.of(data)
        except BadFrame as error:
            raise Broken(str(error)) from error
        if self._frames.pads:
            raise Broken("PADs, which no guest sends behind READY")
        for frame in taken:
            if frame.kind not in (DATA, CLOSE, CREDIT):
                raise Broken(f"a frame of the type {frame.kind}, which no guest sends")
            event = self._about_one(frame)
            if event is not None:
                events.append(event)
        return events

    def _looked_for(self, data: bytes) -> bytes | None:
        """What follows READY, once that is there."""
        self._before += data
        _, found, rest = self._before.partition(self._awaited)
        if found:
            self._before = b""
            return rest
        kept = self._before[-len(self._awaited) + 1 :]
        self._skipped += len(self._before) - len(kept)
        self._before = kept
        if self._skipped > SKIPPED_MAX:
            raise Broken(f"{self._skipped:,} bytes, and READY was not among them")
        return None


class GuestChannel(_Channel):
    """The guest's end. It stays the same one when the host begins anew."""

    def receive(self, data: bytes) -> list[Event]:
        """What has come of these bytes. Raises Broken: then only a stream that begins anew can mend it."""
        try:
            taken = self._frames.of(data)
        except BadFrame as error:
            raise Broken(str(error)) from error
        events: list[Event] = []
        for frame in taken:
            if frame.kind == RESET:
                events += [*self._gone(), Ready()]
                self.live = True
                self.outgoing += frames.packed(READY, 0, frame.content)
            elif frame is CUT:
                events += self._gone()
            elif self.live:
                events += self._heard(frame)
        return events

    def _gone(self) -> list[Event]:
        """What was not sent yet is of before. So may a part of a frame be that was sent: the host knows."""
        self.outgoing.clear()
        self._connections.clear()
        self._last = 0
        was, self.live = self.live, False
        return [Gone()] if was else []

    def _heard(self, frame: Frame) -> list[Event]:
        if frame.kind == READY:
            raise Broken("READY, which no host sends")
        if frame.kind == OPEN:
            if frame.connection <= self._last or len(self._connections) >= CONNECTIONS_MAX:
                raise Broken(f"connection {frame.connection} cannot be opened")
            self._last = frame.connection
            self._connections[frame.connection] = _Connection()
            return [Opened(frame.connection)]
        event = self._about_one(frame)
        return [] if event is None else [event]
