"""Signals that would end us on the spot: what is half-done is tidied up first, and what goes on without us is told.
Ctrl-C is Python's own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from capsulectl.errors import Ended
from capsulectl.render import say

_ENDINGS = (signal.SIGHUP, signal.SIGTERM)


@contextmanager
def in_order() -> Iterator[None]:
    """Raises Ended within; one is enough. What is ignored already (`nohup`) stays so."""

    def end(number: int, frame: FrameType | None) -> None:
        for one in before:
            signal.signal(one, signal.SIG_IGN)
        raise Ended(number)

    before = {
        number: signal.signal(number, end) for number in _ENDINGS if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


ASKED = "what was asked for may be done all the same: `capsulectl history` tells"
WAITED = "only the waiting has ended: `capsulectl list` shows how far it is"


@contextmanager
def told(what: str) -> Iterator[None]:
    """Ctrl-C ends this command, and calls nothing off that the capsule was asked for: who pressed it is told, once."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if interrupt.args:
            raise
        say(f"interrupted: {what}")
        raise KeyboardInterrupt(what) from interrupt
