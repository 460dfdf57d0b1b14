"""Generated code is imported whole: protobuf's extension does not survive a Ctrl-C in the midst of making a message's
class (SIGSEGV). One that comes meanwhile is raised behind it.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType

from capsulectl.importing import surround

_GENERATED = "_pb2"


def install() -> None:
    """From here on."""
    surround(_around)


def _around(name: str) -> AbstractContextManager[None] | None:
    return _unbroken() if name.endswith(_GENERATED) else None


@contextmanager
def _unbroken() -> Iterator[None]:
    """Raises KeyboardInterrupt in the end, if it was to be raised within."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # nothing is raised here, or whoever imports this is shielded
        return
    interrupted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if interrupted:
        raise KeyboardInterrupt
