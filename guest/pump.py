"""What the payload writes, from its pipe to the port that leads to the machine's file: within the kernel, by splice(2).

The payload gets a pipe and not the port, because it may open /dev/stdout as often as it likes, which a port does not
stand. The pipe is its back-pressure: when the other side of the port does not read, the payload waits.
"""

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from guest.loop import Loop

_PIECE = 64 << 10
_SPLICE_NONBLOCK = 2


class Pump:
    """One of the two outputs. `port` is open without blocking; `writing` is the payload's end until it has started."""

    def __init__(self, loop: "Loop", port: int) -> None:
        self._loop = loop
        self._port = port
        self._reading, self.writing = os.pipe()
        self.done = False

    def begin(self) -> None:
        """The payload has its end, and we need it no more."""
        os.close(self.writing)
        self._loop.watch(self._reading, select.POLLIN, self._readable)

    def _readable(self) -> None:
        try:
            moved = os.splice(self._reading, self._port, _PIECE, flags=_SPLICE_NONBLOCK)
        except BlockingIOError:
            self._loop.unwatch(self._reading)
            self._loop.watch(self._port, select.POLLOUT, self._writable)
            return
        if not moved:
            self._loop.unwatch(self._reading)
            self.done = True

    def _writable(self) -> None:
        self._loop.unwatch(self._port)
        self._loop.watch(self._reading, select.POLLIN, self._readable)
