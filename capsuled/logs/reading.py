"""One run's log read back: both streams in the order they were seen, from any point, and on as it grows.

Plain output of one stream is read in large pieces and never looked into. Where the two streams mix, or times are
wanted, the index says what came when; a piece then ends with a line, so that lines of the two never mix.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import msgspec

from capsuled.logs.files import INDEX_SUFFIX, SUFFIXES, header_at, path_of
from capsuled.logs.holes import LINE_BYTES, first_line, front_of, line_behind
from capsuled.logs.index import BLOCK_BYTES, HEADER_BYTES, OUT, STREAMS, Cursor, Header, Mark
from capsuled.logs.tail import count_back

READ_BYTES: Final = 1 << 18


class Piece(msgspec.Struct, frozen=True):
    """A part of a log. `at_ms` and `late` are those of its lines' ends, where times were asked for. `dropped`: instead
    of data, so many bytes that are gone; `whole`: with all of the run's log."""

    stream: int
    data: bytes
    at_ms: int = 0
    late: bool = False
    dropped: int = 0
    whole: bool = False


class RunReader:
    """Reads `streams` of one run. Positions are bytes from the beginning of each file, holes included."""

    def __init__(self, directory: Path, uid: int, run: int, streams: tuple[int, ...] = STREAMS) -> None:
        self.run = run
        self.streams = streams
        self._paths = {stream: path_of(directory, uid, run, SUFFIXES[stream]) for stream in streams}
        self._index_path = path_of(directory, uid, run, INDEX_SUFFIX)
        self._fds: dict[int, int] = {}
        self._index = -1
        self._at = dict.fromkeys(streams, 0)
        self._limits: dict[int, int] = {}
        self._had: dict[int, int] = {}
        """How far what was closed could be read: who opens it again may find it gone."""
        self._cursor = Cursor()
        self._last = Mark(0, OUT, 0)

    def close(self) -> None:
        """Let go of the files; whoever reads on opens them again, and goes on where it was."""
        self._had |= self._sizes()
        for fd in (*self._fds.values(), self._index):
            if fd >= 0:
                os.close(fd)
        self._fds, self._index = {}, -1

    def _open(self) -> None:
        for stream, path in self._paths.items():
            if stream not in self._fds:
                try:
                    self._fds[stream] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                except FileNotFoundError:
                    pass
        if self._index < 0:
            try:
                self._index = os.open(self._index_path, os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                pass

    def _sizes(self) -> dict[int, int]:
        """How far each stream may be read."""
        sizes = {stream: os.fstat(fd).st_size for stream, fd in self._fds.items()}
        return {stream: min(size, self._limits.get(stream, size)) for stream, size in sizes.items()}

    # --- where to begin and end ----------------------------------------------------------------------------------

    def since(self, at_ms: int, ended: bool = False) -> None:
        """Begin with the first line that was seen at this time or later. Without an index, with the first there is.

        Half a line at the end may become one later, unless the run has ended.
        """
        ends = self._reached(at_ms - 1)
        whole = self._sizes() if ended else {}
        self._at |= {
            stream: end if end == whole.get(stream) else self._line_start(stream, end) for stream, end in ends.items()
        }
        self._find_block()

    def until(self, at_ms: int) -> None:
        """End with the last line that was seen at this time or before."""
        self._limits = {stream: self._line_start(stream, end) for stream, end in self._reached(at_ms).items()}

    def _reached(self, at_ms: int) -> dict[int, int]:
        """How far each stream was seen to have come by this time; nothing, when there is no index."""
        self._open()
        before: tuple[int, Header] | None = None
        headers = self._headers()
        for number, header in headers:
            if header.at_ms > at_ms:
                break
            before = number, header
        if not headers:
            return {}
        cursor, ends = Cursor(), dict.fromkeys(self.streams, 0)
        if before is None:
            return ends
        cursor.jump(before[0] * BLOCK_BYTES, before[1])
        ends = {stream: before[1].end(stream) for stream in self.streams}
        for mark in self._marks(cursor, self._index_bytes()):
            if mark.at_ms > at_ms:
                break
            if mark.stream in ends:
                ends[mark.stream] = mark.end
        return ends

    def tail(self, lines: int) -> int:
        """Begin `lines` lines before the end, over both streams in their order; never before the present beginning.

        Returns how many of them there are not.
        """
        self._open()
        sizes = self._sizes()
        begin, wanted = dict(sizes), lines
        for stream, end in sizes.items():
            if end > self._at[stream] and os.pread(self._fds[stream], 1, end - 1) not in (b"\n", b""):
                wanted = max(0, wanted - 1)  # a last line without newline is a line, too
        first = {stream: first_line(fd) for stream, fd in self._fds.items()}
        for stream, start, end in self._backwards(sizes):
            low = max(start, self._at[stream], first[stream])
            if low >= end:
                continue
            found, begin[stream] = count_back(self._fds[stream], low, end, wanted)
            wanted -= found
            if wanted < 0:
                self._at |= {one: max(self._at[one], self._line_start(one, at)) for one, at in begin.items()}
                self._find_block()
                return 0
        return wanted

    def _backwards(self, sizes: dict[int, int]) -> Iterator[tuple[int, int, int]]:
        """(stream, start, end) from the newest to the oldest, adjoining."""
        grown = [stream for stream, size in sizes.items() if size > self._at[stream]]
        if len(grown) < 2:
            for stream in grown:
                yield stream, 0, sizes[stream]
            return
        until = dict(sizes)
        for number, header in reversed(self._headers()):
            cursor = Cursor()
            cursor.jump(number * BLOCK_BYTES, header)
            at = {stream: header.end(stream) for stream in sizes}
            spans = []
            for mark in cursor.feed(self._block(number)):
                if mark.stream in at:
                    spans.append((mark.stream, at[mark.stream], mark.end))
                    at[mark.stream] = mark.end
            for stream in reversed(STREAMS):  # what no mark of this block tells of came after it: late, or not yet seen
                if stream in at and until[stream] > at[stream]:
                    yield stream, at[stream], until[stream]
            for stream, start, end in reversed(spans):
                if start < until[stream]:
                    yield stream, start, min(end, until[stream])
            until = {stream: min(until[stream], header.end(stream)) for stream in sizes}
        for stream in reversed(STREAMS):
            if until.get(stream, 0):
                yield stream, 0, until[stream]

    def _line_start(self, stream: int, at: int) -> int:
        """Where the line that goes on at this position begins."""
        fd = self._fds.get(stream)
        if fd is None or at <= 0:
            return 0
        start = max(0, at - LINE_BYTES, front_of(fd))
        if start >= at:
            return at
        found = os.pread(fd, at - start, start).rfind(b"\n")
        return at if found < 0 and start > 0 else start + found + 1

    # --- the index -----------------------------------------------------------------------------------------------

    def _index_bytes(self) -> int:
        return 0 if self._index < 0 else os.fstat(self._index).st_size

    def _headers(self) -> list[tuple[int, Header]]:
        """The index's blocks that can be read."""
        count = -(-self._index_bytes() // BLOCK_BYTES)
        first = front_of(self._index) // BLOCK_BYTES if count else 0
        found = ((number, header_at(self._index, number)) for number in range(first, count))
        return [(number, header) for number, header in found if header is not None]

    def _block(self, number: int) -> bytes:
        start = number * BLOCK_BYTES + HEADER_BYTES
        return os.pread(self._index, BLOCK_BYTES - HEADER_BYTES, start)

    def _marks(self, cursor: Cursor, upto: int) -> Iterator[Mark]:
        while cursor.position < upto:
            before = cursor.position
            yield from cursor.feed(os.pread(self._index, min(LINE_BYTES, upto - before), before))
            if cursor.position == before:
                return

    def _find_block(self) -> None:
        """Pass over index blocks that only tell of what lies before the positions."""
        for number, header in reversed(self._headers()):
            if all(header.end(stream) <= at for stream, at in self._at.items()):
                self._cursor.jump(number * BLOCK_BYTES, header)
                return

    def unread(self) -> int:
        """Bytes behind the last piece."""
        self._open()
        return sum(max(0, size - self._at[stream]) for stream, size in self._sizes().items())

    # --- reading -------------------------------------------------------------------------------------------------

    def pieces(self, *, timed: bool, final: bool, now_ms: int = 0) -> Iterator[Piece]:
        """What there is now behind the last piece. `final`: nothing follows, so half a line is given out, too."""
        self._open()
        # The index first: what it tells of is in the files by then.
        index_bytes = self._index_bytes()
        if self._emptied(index_bytes):
            self._cursor = Cursor()
        yield from self._gone(now_ms)
        sizes = self._sizes()
        grown = [stream for stream, size in sizes.items() if size > self._at[stream]]
        if len(grown) < 2 and not timed:
            for stream in grown:
                yield from self._raw(stream, sizes[stream])
            return
        for mark in self._joined(self._marks(self._cursor, index_bytes), timed):
            if mark.stream in sizes:
                yield from self._lines(mark, min(mark.end, sizes[mark.stream]))
                self._last = mark
        for stream in grown:
            yield from self._rest(stream, sizes[stream], timed, final, now_ms)

    def _gone(self, now_ms: int) -> Iterator[Piece]:
        """What was there when it was closed, and whose file is not any more."""
        for stream, size in self._had.items():
            if stream not in self._fds and size > self._at[stream]:
                missed, self._at[stream] = size - self._at[stream], size
                yield Piece(stream, b"", now_ms, late=True, dropped=missed, whole=True)

    def _emptied(self, index_bytes: int) -> bool:
        """Whether a file is shorter than it was: on a file system without holes, what is in it now is new."""
        short = [stream for stream, fd in self._fds.items() if os.fstat(fd).st_size < self._at[stream]]
        self._at |= dict.fromkeys(short, 0)
        return bool(short) or index_bytes < self._cursor.position

    def _joined(self, marks: Iterator[Mark], timed: bool) -> Iterator[Mark]:
        """Marks of one stream in a row as one, where their times do not matter."""
        held: Mark | None = None
        for mark in marks:
            if mark.stream not in self._at or mark.end <= self._at[mark.stream]:
                continue
            if held is not None and (timed or held.stream != mark.stream):
                yield held
            held = mark
        if held is not None:
            yield held

    def _rest(self, stream: int, size: int, timed: bool, final: bool, now_ms: int) -> Iterator[Piece]:
        """What lies behind the last mark, and half a line before it."""
        seen = size <= self._cursor.end(stream)
        last = self._last
        mark = Mark(last.at_ms, stream, size, last.late) if seen else Mark(now_ms, stream, size, late=True)
        yield from self._lines(mark, size)
        if final or not timed:
            yield from self._raw(stream, size, mark)

    def _lines(self, mark: Mark, end: int) -> Iterator[Piece]:
        """Up to the last line that ends by `end`."""
        stream = mark.stream
        if end - self._at[stream] > READ_BYTES:
            yield from self._raw(stream, end - LINE_BYTES, mark)
        start = self._at[stream]
        if start >= end:
            return
        found = os.pread(self._fds[stream], end - start, start).rfind(b"\n")
        if found >= 0:
            yield from self._raw(stream, start + found + 1, mark)
        elif end - start >= LINE_BYTES:
            yield from self._raw(stream, end, mark)

    def _raw(self, stream: int, end: int, mark: Mark | None = None) -> Iterator[Piece]:
        fd = self._fds[stream]
        at_ms, late = (0, False) if mark is None else (mark.at_ms, mark.late)
        while (at := self._at[stream]) < end:
            data = os.pread(fd, min(READ_BYTES, end - at), at)
            # Looked at after the bytes were read: had the front gone meanwhile, they would be zeros.
            if (front := front_of(fd)) > at:
                start = line_behind(fd, front)
                self._at[stream] = start
                yield Piece(stream, b"", at_ms, late, dropped=start - at)
                continue
            if not data:
                return
            self._at[stream] = at + len(data)
            yield Piece(stream, data, at_ms, late)
