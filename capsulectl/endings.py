"""Signals that would end us on the spot: what is half-done is tidied up first. Ctrl-C is Python's own."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from capsulectl.errors import Ended

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
