"""capsulectl, to which a signal comes at the worst moment: when a thread that reads a session's output has just taken
the lock of gRPC's channel, and another one, which sends a key that was pressed, holds the call's and waits for that.

python -m tests.support.worst_moment NUMBER ARGUMENT...
"""

import os
import signal
import sys
import threading
import time
from typing import Any

from capsulectl.__main__ import main

MEANWHILE_S = 0.3
PROMPT = b"# "

_enter: Any = threading.Condition.__enter__
_write = os.write
_number = signal.Signals(int(sys.argv.pop(1)))
_entered = 0
"""Locks that the reading thread took since the prompt: the call's own is the first, the channel's the second."""
_prompted = False


def _seen(fd: int, data: Any) -> int:
    global _prompted
    _prompted = _prompted or PROMPT in bytes(data)
    return _write(fd, data)


def _entering(self: threading.Condition) -> bool:
    global _entered
    got = _enter(self)
    if _prompted and sys._getframe(1).f_code.co_name == "_next":
        _entered += 1
        if _entered == 2:
            time.sleep(MEANWHILE_S)
            os.kill(os.getpid(), _number)
    return bool(got)


if __name__ == "__main__":
    os.write = _seen
    threading.Condition.__enter__ = _entering  # type: ignore[method-assign]
    main()
