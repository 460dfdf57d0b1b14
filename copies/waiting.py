"""Waiting for a pipe that an archive goes through, and for whoever may call the copy off, at once."""

import select

from copies.errors import CopyError

NOBODY = -1


class Waiting:
    """Waits until `pipe` is ready for `event`; `beside` is a socket to whoever asked for the copy, or NOBODY. The pipe
    itself tells nothing of him: its other end may be in a client's hands."""

    def __init__(self, pipe: int, event: int, beside: int = NOBODY) -> None:
        self._beside = beside
        self._poll = select.poll()
        self._poll.register(pipe, event)
        if beside != NOBODY:
            self._poll.register(beside, select.POLLRDHUP)

    def wait(self) -> None:
        """Raises CopyError once nobody asks any more."""
        if any(fd == self._beside for fd, _ in self._poll.poll()):
            raise CopyError("CALLED_OFF", "the copy was called off: nothing was changed")
