"""What waits for the capsule waits in a thread of its own: what a signal raises comes up in the main thread, and that
stands in a wait of ours meanwhile.

Raised in the midst of gRPC's code it may leave one of its locks held, for which the next call would wait for ever; and
what is raised in a destructor is noted and forgotten.
"""

import contextlib
import signal
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """What `work` returns or raises. Where a signal raises first, `work` is left to itself: whoever catches that
    cancels the call that it waits for, or ends the program. For the main thread only."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    its = theirs.dup()  # it may outlive us, and has nothing that we close
    returned: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            returned.append(work())
        except BaseException as error:
            raised.append(error)
        with its, contextlib.suppress(OSError):  # nobody waits any more, or has not read yet what he was woken by
            its.send(b"\0")

    # The kernel may give a signal to any thread: only so does the main one hear of it at once.
    try:
        signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        threading.Thread(target=run, daemon=True).start()
        while not (returned or raised):
            ours.recv(1)
    finally:
        signal.set_wakeup_fd(-1)
        ours.close()
        theirs.close()
    if raised:
        raise raised[0]
    return returned[0]
