"""Standard input, waited for to its end. It is open in other programs, too, and one of them may have made it
non-blocking: a read then finds nothing where only nothing has come yet, which is no end.
"""

import io
import os
import select


def read(most: int) -> bytes:
    """What comes next, at most so many bytes; none at the end. Raises OSError."""
    while True:
        try:
            return os.read(0, most)
        except BlockingIOError:
            select.select((0,), (), ())


def line() -> str:
    """The next line, with its end where it has one; empty at the end. What follows it is left. Raises OSError."""
    typed = bytearray()
    while not typed.endswith(b"\n") and (byte := read(1)):
        typed += byte
    return typed.decode(errors="replace")


def stream() -> io.BufferedReader:
    """The same as a file, of which `read` has as much as was asked for, but at the end, and `read1` what comes next."""
    return io.BufferedReader(_Waited())


class _Waited(io.RawIOBase):
    def readable(self) -> bool:
        return True

    def readinto(self, into: memoryview) -> int:  # type: ignore[override]
        data = read(len(into))
        into[: len(data)] = data
        return len(data)
