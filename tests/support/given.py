"""What a test gives to whoever reads standard input."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def given(content: bytes) -> Iterator[None]:
    """Within, standard input is this."""
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.seek(0)
        with standing(file.fileno()):
            yield


@contextmanager
def given_slowly(pieces: Sequence[bytes], pause_s: float = 0.05) -> Iterator[None]:
    """The same, of a pipe into which one piece comes after the other, and that another program made non-blocking."""
    reads, writes = os.pipe()
    os.set_blocking(reads, False)

    def write() -> None:
        for piece in pieces:
            time.sleep(pause_s)
            os.write(writes, piece)
        time.sleep(pause_s)
        os.close(writes)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with standing(reads):
            yield
    finally:
        writer.join()
        os.close(reads)


@contextmanager
def standing(number: int) -> Iterator[None]:
    """Within, standard input is what this file descriptor is of."""
    before = os.dup(0)
    os.dup2(number, 0)
    try:
        yield
    finally:
        os.dup2(before, 0)
        os.close(before)
