"""A pipe that tells whether anybody has opened it to read: what a device in its place would have been opened by, too."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread


@contextmanager
def watched_pipe(path: Path) -> Iterator[Callable[[], bool]]:
    """It is there; says whether it was opened since. Whoever wants to write waits in open(2) for who reads."""
    os.mkfifo(path)
    held = os.open(path, os.O_PATH | os.O_CLOEXEC)  # it may be moved or removed meanwhile
    writer = Thread(target=lambda: os.close(os.open(f"/proc/self/fd/{held}", os.O_WRONLY | os.O_CLOEXEC)))
    writer.start()

    def was_opened() -> bool:
        writer.join(0.3)
        return not writer.is_alive()

    try:
        yield was_opened
    finally:
        while writer.is_alive():
            os.close(os.open(f"/proc/self/fd/{held}", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
            writer.join(0.05)
        os.close(held)
