"""Where an archive's bytes come from: pieces that a stream brings, or a pipe, from which large contents go straight
into their files."""

import errno
import os
from collections.abc import Iterator

from copies.errors import CopyError

PIECE = 1 << 20
_SPLICED = 64 << 10
"""Below this, what is read along with the headers is quicker than a call for each file."""


class Pieces:
    """See reading.Source. `taken` counts bytes."""

    def __init__(self, pieces: Iterator[bytes] | Iterator[memoryview]) -> None:
        self.taken = 0
        self._pieces = pieces
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

    def drain(self) -> None:
        """Read to the end: whoever sends is to see it taken."""
        self._piece = memoryview(b"")
        while piece := next(self._pieces, b""):
            self.taken += len(piece)

    def _some(self, most: int) -> memoryview:
        """At least one byte and `most` at most."""
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                raise CopyError("ARCHIVE_CUT", "the archive ended before its end-of-archive marker")
            self.taken += len(piece)
            self._piece = memoryview(piece)
        found, self._piece = self._piece[:most], self._piece[most:]
        return found


class Pipe(Pieces):
    """The same, out of a pipe."""

    def __init__(self, pipe: int) -> None:
        super().__init__(iter(lambda: os.read(pipe, PIECE), b""))
        self._pipe = pipe

    def pour(self, fd: int, count: int) -> None:
        """See reading.Source."""
        ready = min(count, len(self._piece))
        if count - ready < _SPLICED:
            super().pour(fd, count)
            return
        super().pour(fd, ready)
        left = count - ready
        while left:
            try:
                moved = os.splice(self._pipe, fd, min(left, PIECE))
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                super().pour(fd, left)  # a file system that cannot be spliced to
                return
            if not moved:
                raise CopyError("ARCHIVE_CUT", "the archive ended before its end-of-archive marker")
            self.taken += moved
            left -= moved


def _written(fd: int, piece: memoryview) -> int:
    done = 0
    while done < len(piece):
        done += os.write(fd, piece[done:])
    return done
