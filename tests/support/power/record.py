"""The log of a disk: its operations in their order. Each: u8 kind, u64 offset, u64 acknowledged, u32 length, data."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

WRITE, FLUSH = 1, 2
_FRAME = struct.Struct("<BQQI")


class Operation(NamedTuple):
    """One write or flush; `acknowledged` is the life's counter when it came."""

    kind: int
    offset: int
    acknowledged: int
    data: bytes


def put(log: BinaryIO, kind: int, offset: int, acknowledged: int, data: bytes) -> None:
    """Add one operation."""
    log.write(_FRAME.pack(kind, offset, acknowledged, len(data)))
    log.write(data)


def operations(log: Path) -> Iterator[Operation]:
    """All of them."""
    with log.open("rb") as file:
        while frame := file.read(_FRAME.size):
            kind, offset, acknowledged, length = _FRAME.unpack(frame)
            yield Operation(kind, offset, acknowledged, file.read(length))
