"""The daemon's own log as records: how a line is written, and how it is taken apart again.

A record is `TIME LEVEL SOURCE: MESSAGE`, with the time in RFC 3339 and its zone; its further lines are indented, so
that nothing that is logged can pass for a record of its own.
"""

import logging
import re
import time
from collections.abc import Iterator
from datetime import datetime

import msgspec

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_BEGIN = re.compile(
    rb"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d) (" + "|".join(LEVELS).encode() + rb") (\S+): ",
    re.MULTILINE,
)
_INDENT = "  "
RECORD_BYTES = 1 << 20
"""A record that is longer comes in parts."""


class LineFormat(logging.Formatter):
    """Formats a record as this module reads it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """RFC 3339, in the machine's zone, to the millisecond."""
        local = time.localtime(record.created)
        zone = time.strftime("%z", local)
        moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{int(record.created * 1_000) % 1_000:03d}"
        return f"{moment}{zone[:3]}:{zone[3:]}"

    def format(self, record: logging.LogRecord) -> str:
        """With its traceback, if it has one. What would move a terminal's cursor is written out."""
        lines = super().format(record).split("\n")
        return f"\n{_INDENT}".join(line if line.isprintable() else _printable(line) for line in lines)


def _printable(line: str) -> str:
    return "".join(one if one.isprintable() or one == "\t" else f"\\x{ord(one):02x}" for one in line)


class Record(msgspec.Struct, frozen=True):
    """`data` as it stands in the file, whole lines. The rest is empty of lines that no record of ours begins."""

    data: bytes
    moment: bytes = b""
    level: str = ""
    source: bytes = b""
    begin: int = 0

    @property
    def at_ns(self) -> int:
        """When it was written; 0 where that is not known."""
        if not self.moment:
            return 0
        return round(datetime.fromisoformat(self.moment.decode()).timestamp() * 1_000) * 1_000_000

    @property
    def message(self) -> str:
        """Without what stands before it, and without the indent of its further lines."""
        return self.data[self.begin :].decode(errors="replace").rstrip("\n").replace(f"\n{_INDENT}", "\n")


class Parser:
    """Takes a growing log apart, piece by piece."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[Record]:
        """The records that are whole with `data`; the last one is, once no data says that this is all so far. A line
        that is being written waits for its end."""
        over = not data
        data = self._rest + data
        end = data.rfind(b"\n") + 1 if over or len(data) > RECORD_BYTES else _last_beginning(data)
        self._rest = data[end:]
        yield from _records(data[:end])


def _last_beginning(data: bytes) -> int:
    """Where the last record begins; what stands before it is whole."""
    last = 0
    for found in _BEGIN.finditer(data):
        last = found.start()
    return last


def _records(data: bytes) -> Iterator[Record]:
    found = list(_BEGIN.finditer(data))
    starts = [one.start() for one in found]
    if data and (not starts or starts[0] > 0):
        yield Record(data[: starts[0] if starts else len(data)])
    for one, end in zip(found, [*starts, len(data)][1:], strict=True):
        moment, level, source = one.groups()
        yield Record(data[one.start() : end], moment, level.decode(), source, one.end() - one.start())
