"""Pictures of a page made small: a PNG with 256 colours at most, each other one shown by the nearest of them.

The format is W3C's (https://www.w3.org/TR/png/): chunks of length, kind, content and checksum; rows of pixels, each
behind the number of the filter that it was put through.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterator

_MAGIC = b"\x89PNG\r\n\x1a\n"
_BYTES = {2: 3, 6: 4}
"""Of a pixel, by the kind of colour: red, green and blue, and how much of them."""

ALIKE = 60
"""Colours no further apart than this (the sum of the squares of what is between their parts) are shown as one."""


def small(png: bytes) -> bytes:
    """The same picture, of 8 bits a colour and not interlaced, in fewer bytes."""
    width, height, _, kind = struct.unpack(">IIBB", _content(png, b"IHDR")[:10])
    step = _BYTES[kind]
    rows = list(_rows(zlib.decompress(_content(png, b"IDAT")), width * step, step))
    counts = Counter(row[at : at + 3] for row in rows for at in range(0, len(row), step))
    palette = _palette([colour for colour, _ in counts.most_common()])
    places = {colour: palette.index(_nearest(colour, palette)) for colour in counts}
    packed = b"".join(b"\0" + bytes(places[row[at : at + 3]] for at in range(0, len(row), step)) for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(packed, 9)), (b"IEND", b""))
    return _MAGIC + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def _content(png: bytes, wanted: bytes) -> bytes:
    """What all chunks of a kind hold together."""
    found, at = b"", len(_MAGIC)
    while at < len(png):
        length, name = struct.unpack(">I4s", png[at : at + 8])
        if name == wanted:
            found += png[at + 8 : at + 8 + length]
        at += length + 12
    return found


def _rows(data: bytes, stride: int, step: int) -> Iterator[bytes]:
    """The rows without their filters."""
    above = bytearray(stride)
    for start in range(0, len(data), stride + 1):
        row = bytearray(data[start + 1 : start + 1 + stride])
        for at in range(stride):
            left = row[at - step] if at >= step else 0
            corner = above[at - step] if at >= step else 0
            row[at] = (row[at] + _foretold(data[start], left, above[at], corner)) & 255
        yield bytes(row)
        above = row


def _foretold(filter_: int, left: int, above: int, corner: int) -> int:
    """What a filter takes a byte to be, from those around it."""
    if filter_ < 3:
        return (0, left, above)[filter_]
    if filter_ == 3:
        return (left + above) // 2
    guess = left + above - corner
    return min((left, above, corner), key=lambda one: abs(guess - one))


def _palette(colours: list[bytes]) -> list[bytes]:
    """Of colours, the most frequent first, such as no other of them is all but like: a rare one has its place, too."""
    found: list[bytes] = []
    for one in colours:
        if len(found) < 256 and (not found or _apart(one, _nearest(one, found)) > ALIKE):
            found.append(one)
    return found


def _nearest(colour: bytes, palette: list[bytes]) -> bytes:
    return min(palette, key=lambda one: _apart(one, colour))


def _apart(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))
