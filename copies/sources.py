"""Where an archive's bytes come from: pieces that a stream brings, or a pipe, from which large contents go straight
into their files."""

import errno
import os
import select
from collections.abc import Callable, Iterator

from copies.errors import CopyError
from copies.waiting import NOBODY, Waiting

PIECE = 1 << 20
_SPLICED = 64 << 10
"""Below this, what is read along with the headers is quicker than a call for each file."""


class Pieces:
    """See reading.Source. `taken` counts bytes; `moved` is told of them."""

    def __init__(
        self, pieces: Iterator[bytes] | Iterator[memoryview], moved: Callable[[int], object] = lambda count: None
    ) -> None:
        self.taken = 0
        self._pieces = pieces
        self._moved = moved
        self._piece = memoryview(b"")

    def exactly(self, count: int) -> bytes:
        """See reading.Source."""
        if count <= len(self._piece):
            return bytes(self._some(count))
        parts = []
        while count > 0:
            parts.append(bytes(self._some(count)))
            count -= len(parts[-1])
        return b"".join(parts)

    def pour(self, fd: int, count: int) -> None:
        """See reading.Source."""
        while count > 0:
            count -= _written(fd, self._some(count))

    def skip(self, count: int) -> None:
        """See reading.Source."""
        while count > 0:
            count -= len(self._some(count))

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """The pieces that are yet to come, as they come."""
        for piece in self._pieces:
            self._took(len(piece))
            yield piece

    def drain(self) -> None:
        """Read to the end: whoever sends is to see it taken."""
        self._piece = memoryview(b"")
        for _ in self:
            pass

    def _some(self, most: int) -> memoryview:
        """At least one byte and `most` at most."""
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                raise _cut()
            self._took(len(piece))
            self._piece = memoryview(piece)
        found, self._piece = self._piece[:most], self._piece[most:]
        return found

    def _took(self, count: int) -> None:
        self.taken += count
        self._moved(count)


class Pipe(Pieces):
    """The same, out of a pipe; `beside`: see Waiting. `ended` is called where the pipe ends, and may say why."""

    def __init__(
        self,
        pipe: int,
        beside: int = NOBODY,
        moved: Callable[[int], object] = lambda count: None,
        ended: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(self._read(), moved)
        self._pipe = pipe
        self._waiting = Waiting(pipe, select.POLLIN, beside)
        self._ended = ended

    def _read(self) -> Iterator[bytes]:
        while True:
            self._waiting.wait()
            piece = os.read(self._pipe, PIECE)
            if not piece:
                self._ended()
                return
            yield piece

    def pour(self, fd: int, count: int) -> None:
        """See reading.Source."""
        ready = min(count, len(self._piece))
        if count - ready < _SPLICED:
            super().pour(fd, count)
            return
        super().pour(fd, ready)
        left = count - ready
        while left:
            self._waiting.wait()
            try:
                moved = os.splice(self._pipe, fd, min(left, PIECE))
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                super().pour(fd, left)  # a file system that cannot be spliced to
                return
            if not moved:
                self._ended()
                raise _cut()
            self._took(moved)
            left -= moved


def _cut() -> CopyError:
    return CopyError("ARCHIVE_CUT", "the archive ended before its end-of-archive marker")


def _written(fd: int, piece: memoryview) -> int:
    done = 0
    while done < len(piece):
        done += os.write(fd, piece[done:])
    return done
