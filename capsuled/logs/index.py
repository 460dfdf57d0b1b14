"""The index of one run's log: which bytes of its two files the daemon saw when, and so in which order. Pure.

A file of 4 KiB blocks, only ever appended to. A block begins with a header, `<4sIQQQ`: magic, CRC-32 of the rest, wall
time in ms, and how far standard output and standard error were indexed by then. Marks follow, two LEB128 numbers each:
`(milliseconds since the last) << 2 | stream` and how many bytes the stream had grown. No mark begins with a zero byte,
so zeros end a block. A block is self-contained: the front of an index can go, and a torn block costs itself only.

What lies between the last mark of a block and the next block's header was written while nobody looked: its time is
"at the header's or before", which a mark says by `late`.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

import msgspec

OUT: Final = 1
ERR: Final = 2
STREAMS: Final = (OUT, ERR)
BLOCK_BYTES: Final = 4096

_HEADER = struct.Struct("<4sIQQQ")
HEADER_BYTES: Final = _HEADER.size
_MAGIC = b"CLI1"
_BODY = slice(8, _HEADER.size)


class Mark(msgspec.Struct, frozen=True):
    """At wall time `at_ms` the stream was seen to have grown to `end`. `late`: at that time or earlier."""

    at_ms: int
    stream: int
    end: int
    late: bool = False


class Header(msgspec.Struct, frozen=True):
    """The beginning of a block: everything up to these ends was indexed before it, or is late."""

    at_ms: int
    out: int
    err: int

    def end(self, stream: int) -> int:
        """How far the stream was indexed."""
        return self.out if stream == OUT else self.err


class Writer:
    """Turns marks into bytes to append. `position` is where the next bytes belong in the file."""

    def __init__(self, file_bytes: int, at_ms: int, out: int, err: int) -> None:
        """Goes on behind `file_bytes` bytes that are there, in a new block: all up to `out` and `err` is late."""
        self.position = -(-file_bytes // BLOCK_BYTES) * BLOCK_BYTES
        self._at_ms = at_ms
        self._ends = {OUT: out, ERR: err}
        self._begun = False

    def end(self, stream: int) -> int:
        """How far the stream is indexed."""
        return self._ends[stream]

    def opening(self) -> bytes:
        """The block's header, without a mark: what was written while nobody looked gets its latest time."""
        return b"" if self._begun else self._open(self._at_ms)

    def add(self, at_ms: int, stream: int, end: int) -> bytes:
        """The bytes that record this growth; `end` must be beyond the last. A clock set back begins a new block."""
        growth = end - self._ends[stream]
        assert growth > 0, "a mark records growth"
        data = b""
        mark = _number(max(0, at_ms - self._at_ms) << 2 | stream) + _number(growth)
        room = BLOCK_BYTES - self.position % BLOCK_BYTES
        if not self._begun or at_ms < self._at_ms or len(mark) > room or room == BLOCK_BYTES:
            data = bytes(room) if self._begun and room != BLOCK_BYTES else b""
            self.position += len(data)
            data += self._open(at_ms)
            mark = _number(stream) + _number(growth)
        self._at_ms = at_ms
        self._ends[stream] = end
        self.position += len(mark)
        return data + mark

    def _open(self, at_ms: int) -> bytes:
        self._begun, self._at_ms = True, at_ms
        body = _HEADER.pack(_MAGIC, 0, at_ms, self._ends[OUT], self._ends[ERR])[_BODY]
        self.position += _HEADER.size
        return _MAGIC + struct.pack("<I", zlib.crc32(body)) + body


def header_of(block: bytes) -> Header | None:
    """The header of a block, or None for a hole or damage."""
    if len(block) < _HEADER.size:
        return None
    magic, crc, at_ms, out, err = _HEADER.unpack_from(block)
    if magic != _MAGIC or crc != zlib.crc32(block[_BODY]):
        return None
    return Header(at_ms, out, err)


class Cursor:
    """Reads marks in their order, as far as the index reaches; asked again, it goes on where it was.

    `position` is the next byte to read. What a block's header says is late comes as a late mark before its own.
    """

    def __init__(self) -> None:
        self.position = 0
        self._at_ms = 0
        self._ends = {OUT: 0, ERR: 0}
        self._sound = False

    def feed(self, data: bytes) -> Iterator[Mark]:
        """The marks in `data`, which lies at `position`. Half a mark at the end stays for the next time."""
        start, at = self.position, 0
        while at < len(data):
            offset = (start + at) % BLOCK_BYTES
            if offset == 0:
                header = header_of(data[at : at + _HEADER.size])
                if header is None and len(data) - at < _HEADER.size:
                    return
                self._sound = header is not None
                if header is None:
                    at += min(BLOCK_BYTES, len(data) - at)
                    self.position = start + at
                    continue
                at += _HEADER.size
                self._at_ms = header.at_ms
                self.position = start + at
                yield from self._late(header)
                continue
            left = BLOCK_BYTES - offset
            if not self._sound or data[at] == 0:
                # A zero is the end of a block only when the next has begun; till then more may come here.
                if self._sound and at + left >= len(data):
                    return
                at += left
                self.position = start + at
                continue
            try:
                word, then = _read(data, at)
                growth, then = _read(data, then)
            except IndexError:
                return
            at = then
            self.position = start + at
            stream = word & 3
            if stream not in self._ends:
                self._sound = False
                continue
            self._at_ms += word >> 2
            self._ends[stream] += growth
            yield Mark(self._at_ms, stream, self._ends[stream])

    def jump(self, position: int, header: Header) -> None:
        """Go on with the block at `position`, whose header this is; what is late by it is passed over."""
        self.position = position + _HEADER.size
        self._at_ms, self._ends, self._sound = header.at_ms, {OUT: header.out, ERR: header.err}, True

    def end(self, stream: int) -> int:
        """How far the marks that were read reach."""
        return self._ends[stream]

    def _late(self, header: Header) -> Iterator[Mark]:
        before, self._ends = self._ends, {OUT: header.out, ERR: header.err}
        for stream in STREAMS:
            if self._ends[stream] > before[stream]:
                yield Mark(header.at_ms, stream, self._ends[stream], late=True)


def droppable(headers: list[Header | None], out: int, err: int, keep_blocks: int) -> int:
    """How many blocks at the front may go: all about bytes before `out` and `err`, or more than `keep_blocks`."""
    count = 0
    for header in headers[1:]:
        if header is not None and (header.out > out or header.err > err):
            break
        count += 1
    return max(count, len(headers) - keep_blocks, 0)


def _number(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
