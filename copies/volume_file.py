"""A volume in one file: what is data of it, compressed, with a checksum over all of it; holes stay holes.

    "capsule-volume 1\\n" | JSON line (name, size, about how much is data, when it was so, release) | zlib stream of
    (u64 offset, u32 length, data)* and a closing record (offset 2^64 - 1, u32 length, JSON with counts and SHA-256)

The checksum is of the JSON line and of all that stands before the closing record in the zlib stream. Pieces come in
order and do not overlap; what no piece covers is zeroes. Whoever reads a file holds a piece or two of it at a time,
however large it is.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

MAGIC = b"capsule-volume 1\n"
LEVEL = 1
"""Of the compression: the disk waits for it, and a higher one takes twice the time for a few hundredths."""
PIECE_BYTES_MAX = 1 << 20
TITLE_BYTES_MAX = 4_096
_CLOSING = (1 << 64) - 1
_HEAD_BYTES = 12
_BLOCK = 1 << 18


class BadVolumeFile(Exception):
    """Raised when a file is cut, altered, or none of a volume at all."""


class Title(NamedTuple):
    """The file's first line: what it holds. `at_unix_ns` is when the volume was so."""

    name: str
    size_bytes: int
    data_bytes: int
    at_unix_ns: int
    release: str


class Sink(Protocol):
    """What takes a volume's content."""

    def write(self, offset: int, content: bytes) -> None:
        """Put this there. Raises OSError."""
        ...


def packed(title: Title, pieces: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """The file, in blocks. `pieces` are offsets and what stands there; zeroes need not be among them."""
    line = json.dumps(title._asdict()).encode()
    yield MAGIC + line + b"\n"
    squeeze, checksum, count, data_bytes = zlib.compressobj(LEVEL), hashlib.sha256(line), 0, 0
    for offset, content in pieces:
        head = offset.to_bytes(8, "big") + len(content).to_bytes(4, "big")
        checksum.update(head)
        checksum.update(content)
        count, data_bytes = count + 1, data_bytes + len(content)
        if block := squeeze.compress(head) + squeeze.compress(content):
            yield block
    closing = json.dumps({"pieces": count, "data_bytes": data_bytes, "sha256": checksum.hexdigest()}).encode()
    yield squeeze.compress(_CLOSING.to_bytes(8, "big") + len(closing).to_bytes(4, "big") + closing) + squeeze.flush()


class Unpacking:
    """Takes a file as it comes. Once there is a `title`, `into` says where the content goes, before more is fed.

    Raises BadVolumeFile: what went into the sink until then counts for nothing.
    """

    def __init__(self) -> None:
        self.title: Title | None = None
        self._sink: Sink | None = None
        self._size_bytes = 0
        self._start = b""
        self._inflate = zlib.decompressobj()
        self._ready = bytearray()
        self._checksum = hashlib.sha256()
        self._pieces = self._data_bytes = self._upto = 0
        self._closed = False

    def feed(self, block: bytes) -> None:
        """The next bytes of the file."""
        if self.title is None:
            self._start += block
            self._read_title()
        else:
            self._inflated(block)

    def into(self, sink: Sink) -> None:
        """The content goes there: what has come of it, and what comes."""
        self._sink = sink
        rest, self._start = self._start, b""
        self._inflated(rest)

    def _inflated(self, block: bytes) -> None:
        assert self._sink is not None, "the content comes once there is a place for it"
        try:
            while block:
                self._ready += self._inflate.decompress(block, _BLOCK)
                block = self._inflate.unconsumed_tail
                self._take()
                if self._inflate.eof and (block or self._inflate.unused_data):
                    raise BadVolumeFile("the file goes on behind its end")
        except zlib.error as error:
            raise BadVolumeFile("the file is altered: its compressed data is damaged") from error

    def finish(self) -> None:
        """All has come. Raises BadVolumeFile unless it is whole and its checksum is right."""
        if self._sink is None:
            raise BadVolumeFile("the file ends within its first line")
        if not self._closed or not self._inflate.eof or self._ready:
            raise BadVolumeFile("the file is cut: its end is missing")

    def _read_title(self) -> None:
        if not self._start.startswith(MAGIC[: len(self._start)]):
            raise BadVolumeFile("this is no volume's file: its first line is not `capsule-volume 1`")
        line, found, rest = self._start[len(MAGIC) :].partition(b"\n")
        if not found:
            if len(self._start) > TITLE_BYTES_MAX:
                raise BadVolumeFile("the file's title has no end")
            return
        self.title = title_of(line)
        self._checksum.update(line)
        self._size_bytes = self.title.size_bytes
        self._start = rest

    def _take(self) -> None:
        """Every whole record that is there."""
        at, ready = 0, memoryview(self._ready)
        try:
            while len(ready) - at >= _HEAD_BYTES:
                offset = int.from_bytes(ready[at : at + 8], "big")
                length = int.from_bytes(ready[at + 8 : at + _HEAD_BYTES], "big")
                if self._closed or length > PIECE_BYTES_MAX:
                    raise BadVolumeFile("the file is altered inside a record")
                end = at + _HEAD_BYTES + length
                if len(ready) < end:
                    break
                if offset == _CLOSING:
                    self._close(bytes(ready[at + _HEAD_BYTES : end]))
                else:
                    self._checksum.update(ready[at:end])
                    self._put(offset, bytes(ready[at + _HEAD_BYTES : end]))
                at = end
        finally:
            ready.release()
        del self._ready[:at]

    def _put(self, offset: int, content: bytes) -> None:
        if offset < self._upto or offset + len(content) > self._size_bytes:
            raise BadVolumeFile("the file is altered: a piece of it lies outside the volume, or in another's place")
        assert self._sink is not None
        self._sink.write(offset, content)
        self._upto = offset + len(content)
        self._pieces, self._data_bytes = self._pieces + 1, self._data_bytes + len(content)

    def _close(self, record: bytes) -> None:
        counted = {"pieces": self._pieces, "data_bytes": self._data_bytes, "sha256": self._checksum.hexdigest()}
        if _json(record) != counted:
            raise BadVolumeFile("the checksum is wrong: the file is not the one that was written")
        self._closed = True


def title_of(line: bytes) -> Title:
    """The title in a file's second line. Raises BadVolumeFile."""
    found = _json(line)
    kinds = {"name": str, "size_bytes": int, "data_bytes": int, "at_unix_ns": int, "release": str}
    if not isinstance(found, dict) or any(type(found.get(name)) is not kind for name, kind in kinds.items()):
        raise BadVolumeFile("the file's title cannot be read")
    return Title(**{name: found[name] for name in kinds})


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
