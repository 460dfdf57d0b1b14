"""The appender: makes groups durable in the front log, on a thread of its own, one write and one barrier each.

Whoever waited while one was written shares the next. It wants little of the interpreter, for the disk waits for what it
does between two barriers: no LMDB, no head file, no index; those are the mover's.
"""

import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from journal.frame import Frame, joined
from journal.frontlog import FrontLog
from journal.mover import Mover, Snapshot, Wake
from journal.space import COMMIT_BYTES
from journal.tail import Tail

LULL_S = 0.02
"""How long nothing must have been appended before what is less urgent has its turn."""
SWITCH_S = 1e-4
"""How long a thread may keep the interpreter that another waits for. Python's own 5 ms are many barriers: as long would
the disk wait for its next group while the loop puts one together."""
GROUP_BYTES = COMMIT_BYTES // 2
"""What is written at once, if a single append is not larger."""

Item = Frame | Snapshot | Wake


class Appender:
    """Takes appends, each as a frame of its own; snapshots, which follow what they stand on; and Wake.CLOSE at the end.

    `tell` takes what the loop has to know: up to which entry all is durable, and what ended the thread.
    """

    def __init__(self, front: FrontLog, tail: Tail, mover: Mover, tell: Callable[[int | BaseException], None]) -> None:
        self._front = front
        self._tail = tail
        self._mover = mover
        self._tell = tell
        self._untold = 0
        """Up to here all is durable, and nobody was told."""
        self._asked = False
        """Whether the mover was asked to make room, and has not done so yet."""
        self._queue: SimpleQueue[Item] = SimpleQueue()
        self.ask = self._queue.put
        self._thread = threading.Thread(target=self._run, name="journal-appender", daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the end. Blocking."""
        self._thread.join()

    def _run(self) -> None:
        sys.setswitchinterval(min(SWITCH_S, sys.getswitchinterval()))
        try:
            last: Item | None = None
            while last is not Wake.CLOSE:
                frames, last = self._take()
                if frames:
                    self._write(joined(frames))
                if isinstance(last, Snapshot):
                    self._mover.ask(last)
            self._announce()
        except BaseException as error:  # the loop must learn of whatever ended this thread
            self._announce()
            self._tell(error)
        finally:
            self._mover.ask(Wake.CLOSE)

    def _take(self) -> tuple[list[Frame], Item | None]:
        """What is queued, as much of it as is written at once, and what stands behind it that is no append."""
        frames: list[Frame] = []
        size, item = 0, self._next()
        while isinstance(item, Frame):
            frames.append(item)
            size += item.claimed_bytes
            if size > GROUP_BYTES or self._queue.empty():
                return frames, None
            item = self._queue.get()
        return frames, item

    def _next(self) -> Item:
        """The next that is queued; who waits for what is durable is told before this rests."""
        if self._queue.empty():
            self._announce()
            try:
                return self._queue.get(timeout=LULL_S)
            except Empty:
                self._mover.ask(Wake.LULL)
        return self._queue.get()

    def _write(self, frame: Frame) -> None:
        content = self._front.packed(frame)
        # What came while the last group was written goes to the disk before that one is told of: whom it wakes then
        # works beside the disk, instead of the disk waiting for them.
        self._announce()
        if len(content) > self._front.size:
            self._mover.put_through(frame)
        else:
            if not self._front.has_room(len(content)):
                self._mover.ask(Wake.FILLS)
            self._front.write(content, frame.last)
            self._tail.add(frame)
            if self._front.fills and not self._asked:
                self._mover.ask(Wake.FILLS)
            self._asked = self._front.fills
        self._untold = frame.last

    def _announce(self) -> None:
        if self._untold:
            self._tell(self._untold)
            self._untold = 0
