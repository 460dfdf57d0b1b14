"""The channel's frames: how several connections share the one stream of bytes between a daemon and a guest.

`type u8, connection u32, length u32, bytes, 0xA5`, numbers big-endian, at most 64 KiB of bytes. PAD is one byte alone.
A stream that was cut leaves a frame half sent: whoever comes next fills it up with PADs, and as no frame ends in a PAD,
the one that they filled is known for it.

It does no I/O: bytes come in, frames and bytes come out.
"""

import struct
from typing import NamedTuple

PAD, RESET, READY, OPEN, DATA, CLOSE, CREDIT = range(7)
BYTES_MAX = 64 << 10
NONCE_BYTES = 16

_HEADER = struct.Struct(">BII")
_CREDIT = struct.Struct(">I")
_PAD, _END = b"\0", 0xA5
_PIECE = 1 << 10
"""PADs are looked at in pieces: who puts one between any two frames must not have all that follows copied for each."""
_ENDING = bytes([_END])
_LENGTHS = {
    RESET: (NONCE_BYTES, NONCE_BYTES),
    READY: (NONCE_BYTES, NONCE_BYTES),
    OPEN: (0, 0),
    DATA: (1, BYTES_MAX),
    CLOSE: (0, 0),
    CREDIT: (_CREDIT.size, _CREDIT.size),
}
"""Of each type: the fewest and the most bytes."""

FILLING = _PAD * (_HEADER.size + BYTES_MAX)
"""Fills up whatever frame was cut: all of the largest but its first byte."""


class BadFrame(Exception):
    """What came is no frame; where the next one begins cannot be told."""


class Frame(NamedTuple):
    """One of them. `connection` is 0 in those that are about the stream as a whole."""

    kind: int
    connection: int
    content: bytes


CUT = Frame(PAD, 0, b"")
"""What stands for a frame that PADs filled up, and for nothing else."""


def packed(kind: int, connection: int, content: bytes = b"") -> bytes:
    """A frame as it goes over the stream."""
    return _HEADER.pack(kind, connection, len(content)) + content + _ENDING


def credit(connection: int, count: int) -> bytes:
    """`count` bytes more may be sent."""
    return packed(CREDIT, connection, _CREDIT.pack(count))


def credited(frame: Frame) -> int:
    """How many bytes more such a frame allows."""
    return int(_CREDIT.unpack(frame.content)[0])


class Frames:
    """Takes a stream apart. Never holds more than one frame that is not whole. `pads` counts those between frames."""

    def __init__(self) -> None:
        self.pads = 0
        self._held = bytearray()

    def of(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes, CUT among them. Raises BadFrame, and is of no use after that."""
        self._held += data
        found, position, end = [], 0, len(self._held)
        while position < end:
            if self._held[position] == PAD:
                piece = self._held[position : position + _PIECE]
                run = len(piece) - len(piece.lstrip(_PAD))
                self.pads += run
                position += run
                continue
            content = position + _HEADER.size
            if content > end:
                break
            kind, connection, length = _HEADER.unpack_from(self._held, position)
            _check(kind, length)
            if content + length >= end:
                break
            found.append(self._whole(kind, connection, content, length))
            position = content + length + 1
        del self._held[:position]
        return found

    def _whole(self, kind: int, connection: int, content: int, length: int) -> Frame:
        mark = self._held[content + length]
        if mark == PAD:
            return CUT
        if mark != _END:
            raise BadFrame(f"a frame of the type {kind} ends in {mark:#04x}")
        least, most = _LENGTHS[kind]
        if not least <= length <= most:
            raise BadFrame(f"a frame of the type {kind} has {length:,} bytes")
        with memoryview(self._held) as held:
            return Frame(kind, connection, bytes(held[content : content + length]))


def _check(kind: int, length: int) -> None:
    if kind not in _LENGTHS:
        raise BadFrame(f"no frame has the type {kind}")
    if length > BYTES_MAX:
        raise BadFrame(f"a frame of {length:,} bytes; the most is {BYTES_MAX:,}")
