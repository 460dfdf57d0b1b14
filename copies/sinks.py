"""Where an archive goes: a pipe, into which large contents go straight from their files."""

import errno
import os
import select
from collections.abc import Callable

from copies.packing import Region
from copies.sources import PIECE
from copies.waiting import NOBODY, Waiting


class Sink:
    """What an archive is written into; `beside`: see Waiting. `sent` counts bytes; `moved` is told of them."""

    def __init__(self, pipe: int, beside: int = NOBODY, moved: Callable[[int], object] = lambda count: None) -> None:
        self.sent = 0
        self._moved = moved
        self._pipe = pipe
        self._waiting = Waiting(pipe, select.POLLOUT, beside)
        os.set_blocking(pipe, False)

    def take(self, piece: bytes | Region) -> None:
        """All of it. Raises CopyError, and BrokenPipeError once nobody reads."""
        if isinstance(piece, Region):
            self._region(piece)
            return
        left = memoryview(piece)
        while left:
            self._waiting.wait()
            try:
                done = os.write(self._pipe, left)
            except BlockingIOError:
                continue
            self._went(done)
            left = left[done:]

    def _region(self, region: Region) -> None:
        while region.got < region.count:
            self._waiting.wait()
            try:
                done = self._spliced(region)
            except BlockingIOError:
                continue
            if not done:
                return
            self._went(done)
            region.got += done

    def _went(self, count: int) -> None:
        self.sent += count
        self._moved(count)

    def _spliced(self, region: Region) -> int:
        count, offset = min(region.count - region.got, PIECE), region.offset + region.got
        try:
            return os.splice(region.fd, self._pipe, count, offset_src=offset, flags=os.SPLICE_F_NONBLOCK)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
        return os.write(self._pipe, os.pread(region.fd, count, offset))  # a file system that cannot be spliced from
