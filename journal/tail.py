"""The journal's tail: entries that are durable in the front log while LMDB may not hold them yet, for whoever reads.

The daemon keeps its own as it writes; at an opening it is read from the log. Readers take a view of it first and then
look into LMDB: an entry only ever goes from here to there, so in one of the two it is found. Entries of both are one
and the same chain, so it does no harm when the tail still holds what LMDB holds already.
"""

import threading
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from pathlib import Path

from journal.entry import unpack
from journal.frame import BLOCK_BYTES, Frame, find

_TITLE = b"capsule-front 1\n"


class View:
    """The tail at one moment, in order. Nothing changes it."""

    def __init__(self, frames: tuple[Frame, ...]) -> None:
        self._frames = frames

    @property
    def first(self) -> int:
        """The seq of its first entry; 0 when there is none."""
        return self._frames[0].first if self._frames else 0

    @property
    def last(self) -> int:
        """The seq of its last entry; 0 when there is none."""
        return self._frames[-1].last if self._frames else 0

    def get(self, seq: int) -> bytes | None:
        """Entry `seq`, as it is stored."""
        found = self.between(seq, seq)
        return found[0] if found else None

    def between(self, first: int, last: int) -> list[bytes]:
        """Entries `first` to `last`, as far as they are here."""
        begin = bisect_left(self._frames, first, key=lambda frame: frame.last)
        end = bisect_right(self._frames, last, key=lambda frame: frame.first)
        values: list[bytes] = []
        for frame in self._frames[begin:end]:
            values += frame.values[max(0, first - frame.first) : last - frame.first + 1]
        return values


class Tail:
    """The frames, oldest first. `begun` is the newest group's first seq, also when that group is torn; `generation` the
    newest in the log. `problem` says why the log could not be read."""

    def __init__(self, frames: Iterable[Frame] = (), begun: int = 0, generation: int = 0, problem: str = "") -> None:
        self._frames = list(frames)
        self._lock = threading.Lock()
        self.begun = begun
        self.generation = generation
        self.problem = problem

    def view(self) -> View:
        """What it holds now."""
        with self._lock:
            return View(tuple(self._frames))

    def add(self, frame: Frame) -> None:
        """A group that is durable."""
        with self._lock:
            self._frames.append(frame)

    def oldest(self, most_bytes: int) -> list[Frame]:
        """Frames from the oldest on, of about so many bytes, one at least if there is any."""
        with self._lock:
            taken, size = 0, 0
            while taken < len(self._frames) and size < most_bytes:
                size += sum(map(len, self._frames[taken].values))
                taken += 1
            return self._frames[:taken]

    def newest(self) -> Frame | None:
        """The frame that was added last."""
        with self._lock:
            return self._frames[-1] if self._frames else None

    def drop(self, upto: int) -> None:
        """LMDB durably holds everything up to entry `upto`."""
        with self._lock:
            while self._frames and self._frames[0].last <= upto:
                del self._frames[0]

    def misfit(self, seq: int, link: bytes) -> str:
        """What is wrong with this tail behind entry `seq`, whose hash is `link`, in words; empty when it fits.

        A torn group at the end is not: it was never acknowledged.
        """
        for frame in self.view()._frames:
            if frame.first != seq + 1 or unpack(frame.values[0]).header.prev != link:
                return f"entry {seq + 1} is missing: the front log goes on with entry {frame.first}"
            seq, link = frame.last, frame.head
        return self.cut(seq)

    def cut(self, seq: int) -> str:
        """What is wrong when the journal ends at entry `seq`, in words: a group is begun only once all before it is
        durable."""
        if self.begun <= seq + 1:
            return ""
        return f"the tail is cut: entry {self.begun - 1} was written and the journal now ends at {seq}"


def title(mark: bytes) -> bytes:
    """How the log begins that has this mark."""
    return (_TITLE + mark).ljust(BLOCK_BYTES, b"\0")


def read_tail(path: Path, mark: bytes, after: int) -> Tail:
    """What the log holds behind entry `after`, or of groups that go beyond it. Changes nothing.

    It is read twice, for the daemon may be writing it: a group that the first look saw begun proves that all before it
    were there when the second look began, so what is taken up to that one has no gap.
    """
    try:
        tail = _titled(path.read_bytes(), mark, after)
        return _titled(path.read_bytes(), mark, after, tail.begun) if tail.begun else tail
    except OSError as error:
        return Tail(
            problem=f"the front log {path} cannot be read: {error.strerror}. The newest entries may stand in it alone"
        )


def _titled(content: bytes, mark: bytes, after: int, upto: int | None = None) -> Tail:
    if not content.startswith(_TITLE + mark):
        return Tail(problem="the front log is not this journal's, or is damaged where it begins")
    return tail_of(content, mark, after, upto)


def tail_of(content: bytes, mark: bytes, after: int, upto: int | None = None) -> Tail:
    """The same of a log's content, up to the group that begins with `upto`."""
    found = list(find(content, mark, after))
    begins: dict[int, int] = {}
    for one in found:
        begins[one.generation] = min(one.first, begins.get(one.generation, one.first))
    counted = [
        one
        for one in found
        if one.last > after
        and (upto is None or one.first <= upto)
        and all(one.last < first for generation, first in begins.items() if generation > one.generation)
    ]
    counted.sort(key=lambda one: one.first)
    frames = [one.frame for one in counted if one.frame is not None]
    return Tail(frames, begun=counted[-1].first if counted else 0, generation=max(begins, default=0))
