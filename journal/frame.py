"""A group of entries as the front log holds it: one frame, put there by one write and made durable by one barrier.

      16  the log's own mark: random bytes that nobody else knows, so no text in an entry can pass for a frame
       8  generation: each life's is one more than what it found
       8  seq of the first entry
       4  how many entries
       4  bytes of their values in all
      32  hash of the last entry's header
       4  CRC-32 of the 72 bytes above
   4 * n  the length of each value
     ...  the values, as LMDB is to hold them (journal/entry.py), and zeroes up to a whole block

Numbers are big-endian. The entries' own chain is the frame's checksum, and costs nothing: each header is hashed by the
next one's `prev`, the last by the frame's head, each body by its header. A frame begins on a block of its own, so that
no block that holds something acknowledged is ever written again while it is needed, and none has to be read first.

Where a frame stands says nothing, what it says is all (TigerBeetle's log is read like that). The old content of a place
that was used again is told from new by being in LMDB already. Only the numbers of a torn group, which was never
acknowledged, come again in the next life, and so might the group: a later write over it that is torn, too, can by
chance bring the very bytes that it lacked. So a frame counts only up to where one of a later generation begins.
Groups that are whole or not there, chained to the one before, are etcd's; a log that is written over in place, with
a random mark in its frames, is SQLite's.
"""

import struct
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple
from zlib import crc32

from journal.entry import HASH_BYTES, MalformedEntry, check, unpack
from journal.space import room_for

BLOCK_BYTES = 4096
MARK_BYTES = 16
_HEADER = struct.Struct(f">{MARK_BYTES}sQQII{HASH_BYTES}s")
_CRC = struct.Struct(">I")
_LENGTH_BYTES = 4


class Frame(NamedTuple):
    """Entries `first` and on, and the hash of the last. `claimed_bytes` is what was promised of LMDB's file for them;
    a frame that was read from a log has what it takes at most."""

    first: int
    values: list[bytes]
    head: bytes
    claimed_bytes: int

    @property
    def last(self) -> int:
        """The seq of its last entry."""
        return self.first + len(self.values) - 1


class Found(NamedTuple):
    """What was once begun in a log: a group of entries `first` to `last`; `frame` is None when it is not whole, or not
    asked for."""

    generation: int
    first: int
    last: int
    frame: Frame | None


def joined(frames: Sequence[Frame]) -> Frame:
    """Frames that follow one another, as one."""
    if len(frames) == 1:
        return frames[0]
    values = list(chain.from_iterable(frame.values for frame in frames))
    return Frame(frames[0].first, values, frames[-1].head, sum(frame.claimed_bytes for frame in frames))


def pack(mark: bytes, generation: int, frame: Frame) -> bytes:
    """The bytes of a frame, whole blocks."""
    lengths = list(map(len, frame.values))
    size = sum(lengths)
    header = _HEADER.pack(mark, generation, frame.first, len(lengths), size, frame.head)
    table = struct.pack(f">{len(lengths)}I", *lengths)
    used = len(header) + _CRC.size + len(table) + size
    return b"".join((header, _CRC.pack(crc32(header)), table, *frame.values, bytes(-used % BLOCK_BYTES)))


def find(content: bytes, mark: bytes, after: int) -> Iterator[Found]:
    """The groups in a log, in no order; those are looked into that hold an entry behind `after`."""
    at = content.find(mark)
    while at >= 0:
        found = _at(content, at, after) if at % BLOCK_BYTES == 0 else None
        if found is not None:
            yield found
        at = content.find(mark, at + 1)


def _at(content: bytes, at: int, after: int) -> Found | None:
    """The group that begins there; None when its header is torn."""
    begin = at + _HEADER.size + _CRC.size
    if content[begin - _CRC.size : begin] != _CRC.pack(crc32(content[at : begin - _CRC.size])):
        return None
    _, generation, first, count, size, head = _HEADER.unpack_from(content, at)
    found = Found(generation, first, first + count - 1, None)
    values = begin + _LENGTH_BYTES * count
    if found.last <= after or values + size > len(content):
        return found
    lengths = struct.unpack_from(f">{count}I", content, begin)
    if sum(lengths) != size:
        return found
    cut = _cut(content, values, lengths)
    frame = Frame(first, cut, head, room_for(cut))
    return found._replace(frame=frame) if _whole(frame) else found


def _cut(content: bytes, at: int, lengths: tuple[int, ...]) -> list[bytes]:
    values = []
    for length in lengths:
        values.append(content[at : at + length])
        at += length
    return values


def _whole(frame: Frame) -> bool:
    """Whether every entry is what was written: nothing is excised before it stands in LMDB."""
    link = b""
    for seq, value in enumerate(frame.values, frame.first):
        try:
            stored = unpack(value)
        except MalformedEntry:
            return False
        if stored.excised or check(stored, seq, link or stored.header.prev) is not None:
            return False
        link = stored.hash
    return link == frame.head
