"""Chunks of a workload's log as lines: to our two streams (Printer), or as JSON (Records).

What comes without times comes as it was written, half lines too. Where something stands before each line, or each is an
object, a line is whole before it is told: other workloads write to the same streams meanwhile.
"""

import sys
import time
from collections.abc import Iterator
from threading import Lock
from typing import Any, Final

from capsulectl.render import write_line

LINE_BYTES: Final = 1 << 20
"""A longer line is told in pieces, each as a line: who never ends one does not fill our memory."""


class Lines:
    """The lines of one log, without their newlines, each with the chunk that its end came in. What one chunk begins is
    held back until another ends it, or until nobody does any more."""

    def __init__(self) -> None:
        self._run = 0
        self._begun: dict[bool, tuple[bytes, Any]] = {}

    def of(self, chunk: Any) -> Iterator[tuple[bytes, Any]]:
        """Those that are told now. What the capsule says of missing lines is none of them."""
        if chunk.run != self._run:
            yield from self.end()
            self._run = chunk.run
        if chunk.dropped_bytes:  # behind what is missing another line begins
            if chunk.stderr in self._begun:
                yield self._begun.pop(chunk.stderr)
            return
        begun, _ = self._begun.pop(chunk.stderr, (b"", None))
        *ended, rest = (begun + chunk.data).split(b"\n")  # by newline alone: a carriage return is a progress bar's
        for line in ended:
            yield from ((piece, chunk) for piece in _pieces(line))
        *long, rest = _pieces(rest)
        yield from ((piece, chunk) for piece in long)
        if rest:
            self._begun[chunk.stderr] = rest, chunk

    def end(self) -> Iterator[tuple[bytes, Any]]:
        """What was not ended is a line, too."""
        while self._begun:
            yield self._begun.pop(next(iter(self._begun)))


class Printer:
    """Chunks of one log to our two streams: whole lines, where something stands before each; else as they come."""

    _turn = Lock()

    def __init__(self, prefix: str, timestamps: bool) -> None:
        self._prefix = prefix.encode()
        self._timestamps = timestamps
        self._lines = Lines()
        self._run = 0
        self._open: set[bool] = set()  # the streams in the middle of a line; of what comes as it comes

    def print(self, chunk: Any) -> None:
        """Print what is to be printed now. What the capsule says of missing lines is no output of the workload's."""
        with self._turn:
            if self._prefix or self._timestamps:
                for line, of in self._lines.of(chunk):
                    self._whole(line, of)
                if chunk.dropped_bytes:
                    _write(True, self._prefix + chunk.data)
            else:
                self._as_it_comes(chunk)

    def end(self) -> None:
        """There is no more of it."""
        with self._turn:
            for line, of in self._lines.end():
                self._whole(line, of)

    def _whole(self, line: bytes, of: Any) -> None:
        at = stamp(of.at_unix_ns, of.late) if self._timestamps else b""
        _write(of.stderr, self._prefix + at + line + b"\n")

    def _as_it_comes(self, chunk: Any) -> None:
        """Its bytes. A line that nobody ends any more (its run is over, or its rest is missing) ends before them."""
        stderr = chunk.stderr or bool(chunk.dropped_bytes)
        over = {False, True} if chunk.run != self._run else {chunk.stderr, stderr} if chunk.dropped_bytes else set()
        for one in sorted(over & self._open):
            _write(one, b"\n")
        self._open -= over
        self._run = chunk.run
        _write(stderr, chunk.data)
        (self._open.discard if chunk.data.endswith(b"\n") else self._open.add)(stderr)


class Records:
    """Chunks of one log to JSON, an object a line of the workload's; a line that comes in pieces is put together."""

    _turn = Lock()

    def __init__(self, name: str, serial: bool) -> None:
        self._name = name
        self._serial = serial
        self._lines = Lines()

    def print(self, chunk: Any) -> None:
        """Print what is whole by now. What the capsule says of missing lines is no output of the workload's."""
        for line, of in self._lines.of(chunk):
            self._record(line, of)
        if chunk.dropped_bytes:
            with self._turn:
                _write(True, chunk.data)

    def end(self) -> None:
        """There is no more of it."""
        for line, of in self._lines.end():
            self._record(line, of)

    def _record(self, line: bytes, of: Any) -> None:
        record: dict[str, Any] = {
            "workload": self._name,
            "stream": "serial" if self._serial else "stderr" if of.stderr else "stdout",
        }
        if of.at_unix_ns:  # of a console's lines nobody knows it
            record["time"] = stamp(of.at_unix_ns, late=False).decode().strip()
        record["text"] = line.decode(errors="replace")
        with self._turn:
            write_line(record | ({"late": True} if of.late else {}))


def stamp(at_ns: int, late: bool) -> bytes:
    """A wall time in the operator's own time zone (RFC 3339), and a blank; `~` before one that is only the latest."""
    local = time.localtime(at_ns // 1_000_000_000)
    zone = time.strftime("%z", local)
    text = f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{at_ns % 1_000_000_000 // 1_000_000:03d}{zone[:3]}:{zone[3:]}"
    return f"{'~' if late else ''}{text} ".encode()


def _pieces(line: bytes) -> list[bytes]:
    """The line, cut where it is too long, and not within a letter (UTF-8)."""
    pieces, at = [], 0
    while len(line) - at > LINE_BYTES:
        end = at + LINE_BYTES
        while end > at + LINE_BYTES - 3 and line[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(line[at:end])
        at = end
    return [*pieces, line[at:]]


def _write(stderr: bool, data: bytes) -> None:
    """At once."""
    target = (sys.stderr if stderr else sys.stdout).buffer
    target.write(data)
    target.flush()
