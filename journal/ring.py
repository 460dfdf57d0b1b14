"""Where the next frame goes in a log that is written round and round, and what may not be written over yet. No I/O."""

from collections import deque
from typing import NamedTuple


class _Kept(NamedTuple):
    start: int
    end: int
    last: int


class Ring:
    """Places in `size` bytes. What is kept is in use from its place on, until `release` says that it is not."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._next = 0
        self._kept: deque[_Kept] = deque()
        self.used = 0
        """Bytes that are kept."""

    def place(self, size: int) -> int | None:
        """Where so many bytes fit behind the newest, or at the beginning again; None until something is released."""
        if not self._kept:
            return 0 if size > self.size - self._next else self._next
        oldest = self._kept[0].start
        if self._next <= oldest:  # come round: up to the oldest
            return self._next if size <= oldest - self._next else None
        if size <= self.size - self._next:
            return self._next
        return 0 if size <= oldest else None

    def keep(self, start: int, size: int, last: int) -> None:
        """A frame up to entry `last` goes there."""
        self._kept.append(_Kept(start, start + size, last))
        self._next = start + size
        self.used += size

    def release(self, upto: int) -> None:
        """Frames up to entry `upto` are needed no more."""
        while self._kept and self._kept[0].last <= upto:
            kept = self._kept.popleft()
            self.used -= kept.end - kept.start
