"""What a monitor gets open, as it may not open anything itself: files, sockets, memory and its link. Blocking."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from effects import held
from effects.microvms import vsock
from effects.network import taps

_WORDS_BYTES = 4_096


class Opened:
    """Descriptors, all closed in the end: the monitor has copies of its own then. Each raises OSError."""

    def __init__(self) -> None:
        self._descriptors: list[int] = []

    def _kept(self, fd: int) -> int:
        self._descriptors.append(fd)
        return fd

    def keep(self, fd: int) -> None:
        """One that was opened elsewhere."""
        self._kept(fd)

    def close(self) -> None:
        """All that is left."""
        for fd in self._descriptors:
            os.close(fd)
        self._descriptors.clear()

    def lock(self, path: Path) -> int | None:
        """Held until the last process that has it is gone; None where somebody holds it."""
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except BaseException:
            os.close(fd)
            raise
        return self._kept(fd)

    def disk(self, path: Path, *, read_only: bool) -> int:
        """A file or device that nobody else has as a disk to write to. Raises BlockingIOError where somebody has."""
        return self._kept(held.opened(path, shared=read_only))

    def memory(self, name: str, content: bytes) -> int:
        """A disk in memory, which nobody can change any more."""
        fd = self._kept(os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING))
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        return self._kept(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC))

    def appended(self, path: Path) -> int:
        """A file that what comes is added to."""
        return self._kept(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))

    def listening(self, path: Path) -> int:
        """A socket that answers at `path`."""
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as made:
            made.bind(str(path))
            path.chmod(0o600)
            made.listen(1)
            return self._kept(made.detach())

    def vsock(self, wish: int) -> tuple[int, int] | None:
        """A number on vsock, `wish` or one near it, and the device that has it; None where the machine has no vsock."""
        found = vsock.opened(wish)
        return None if found is None else (found[1], self._kept(found[0]))

    def tap(self, port: str) -> int:
        """The machine's end of a link, which is there already."""
        return self._kept(taps.opened(port))

    def words(self) -> tuple[int, int]:
        """Where the monitor says what is wrong with it, and what it said: a pipe that takes a page and then nothing
        more, whoever reads or does not. The first end is the caller's to close."""
        said, say = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # who may have no more pipes of a user's gets a small one anyway
            fcntl.fcntl(say, fcntl.F_SETPIPE_SZ, _WORDS_BYTES)
        return said, self._kept(say)


@contextmanager
def opening() -> Iterator[Opened]:
    """See Opened."""
    opened = Opened()
    try:
        yield opened
    finally:
        opened.close()
