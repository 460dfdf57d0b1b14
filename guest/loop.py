"""What PID 1 waits for: descriptors, ends of processes, and moments. One thread, one poll."""

import os
import select
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Loop:
    """Handlers are called one after another; what one raises ends the loop."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._moments: dict[object, tuple[float, Callable[[], None]]] = {}
        self._running = True

    def watch(self, fd: int, events: int, handler: "Callable[[], None]") -> None:
        """Call `handler` whenever `fd` is ready for `events`, or its other end has gone."""
        self._poll.register(fd, events)
        self._handlers[fd] = handler

    def unwatch(self, fd: int) -> None:
        """No more."""
        self._poll.unregister(fd)
        del self._handlers[fd]

    def process(self, pid: int, ended: "Callable[[int], None]") -> None:
        """Call `ended` once with the exit code of a child, which is negative for a signal."""
        fd = os.pidfd_open(pid)

        def reap() -> None:
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                self.unwatch(fd)
                os.close(fd)
                ended(os.waitstatus_to_exitcode(status))

        self.watch(fd, select.POLLIN, reap)

    def after(self, key: object, seconds: float, handler: "Callable[[], None]") -> None:
        """Call `handler` once, so many seconds from now; another moment of the same `key` takes its place."""
        self._moments[key] = (time.monotonic() + seconds, handler)

    def forget(self, key: object) -> None:
        """Such a moment comes no more."""
        self._moments.pop(key, None)

    def stop(self) -> None:
        """`run` returns."""
        self._running = False

    def run(self) -> None:
        """Until it is stopped."""
        while self._running:
            self.turn()

    def turn(self) -> None:
        """Wait for something, and call whoever waits for it."""
        for fd, _ in self._poll.poll(self._patience_ms()):
            handler = self._handlers.get(fd)
            if handler is not None:  # else it was given up by one before it in this round
                handler()
        now = time.monotonic()
        for key in [key for key, (when, _) in self._moments.items() if when <= now]:
            moment = self._moments.pop(key, None)
            if moment is not None:
                moment[1]()

    def _patience_ms(self) -> int | None:
        if not self._moments:
            return None
        soonest = min(when for when, _ in self._moments.values())
        return max(0, int((soonest - time.monotonic()) * 1_000) + 1)
