"""An archive taken apart as it streams by: its members in order, each held to what a copy may contain.

A member's name is relative and without `..`; there are files, directories, symbolic links, and hard links to members
that came before. Everything else is refused: no device and no FIFO is ever made by a copy. Nothing but the present
member's header is kept.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from copies import headers
from copies.errors import CopyError, shown
from copies.headers import BLOCK

DEPTH_MAX = 200
"""Directories below one another. Each of them is open while the copy is in it."""
_NOTES_MAX = 1 << 20
"""All that is said of one member, in however many headers: it is kept until that comes."""
_MAP_MAX = 4 << 20
_SIZE_MAX = (1 << 63) - 1
_ID_MAX = (1 << 32) - 2
"""The last number means `unchanged` to the kernel."""
_TIME_MAX_NS = 1 << 62
_NAME_BYTES = 255
_FILES = (headers.FILE, b"\0", b"7")

Segments = tuple[tuple[int, int], ...]


class Source(Protocol):
    """The archive's bytes, in order."""

    def exactly(self, count: int) -> bytes:
        """So many of them. Raises CopyError when there are fewer."""
        ...

    def pour(self, fd: int, count: int) -> None:
        """So many of them into a file, where that stands. Raises CopyError as above."""
        ...

    def skip(self, count: int) -> None:
        """Pass over so many. Raises CopyError as above."""
        ...


class Entry(NamedTuple):
    """One member. `parts` is its name; `size` is of its content in the archive, `segments` where that goes in a sparse
    file of `real_size`."""

    parts: tuple[str, ...]
    kind: bytes
    mode: int
    uid: int
    gid: int
    mtime_ns: int
    size: int = 0
    link: str = ""
    segments: Segments | None = None
    real_size: int = 0

    @property
    def path(self) -> str:
        """The name in one, for messages."""
        return shown("/".join(self.parts))


class Archive:
    """Iterate over it for the entries; the content of a file must be taken by `pour` before the next one, or is passed
    over. It ends at the end-of-archive marker. Raises CopyError everywhere."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._left = 0
        self._padding = 0
        self._noted_bytes = 0

    def __iter__(self) -> Iterator[Entry]:
        exactly = self._source.exactly
        while True:
            self._pass_over()
            self._noted_bytes = 0
            notes: dict[bytes, bytes] = {}
            while True:
                block = exactly(BLOCK)
                if not block[0] and block == bytes(BLOCK):
                    self._end(notes)
                    return
                found = headers.parse(block)
                if found.kind == headers.PAX:
                    notes.update(headers.notes_of(self._note(found.size)))
                elif found.kind == headers.LONG_NAME:
                    notes[b"path"] = self._note(found.size).partition(b"\0")[0]
                elif found.kind == headers.LONG_LINK:
                    notes[b"linkpath"] = self._note(found.size).partition(b"\0")[0]
                elif found.kind == headers.PAX_GLOBAL:
                    self._note(found.size)
                else:
                    break
            entry = self._entry(found, notes)
            if entry.parts or entry.kind != headers.DIRECTORY:
                yield entry

    def pour(self, fd: int, count: int) -> None:
        """Content into a file."""
        self._left -= count
        self._source.pour(fd, count)

    def _end(self, notes: dict[bytes, bytes]) -> None:
        if notes or self._source.exactly(BLOCK) != bytes(BLOCK):
            raise headers.bad()

    def _pass_over(self) -> None:
        if self._left or self._padding:
            self._source.skip(self._left + self._padding)
            self._left = self._padding = 0

    def _note(self, size: int) -> bytes:
        self._noted_bytes += size
        if self._noted_bytes > _NOTES_MAX:
            raise CopyError("BAD_ARCHIVE", "a header of the archive is larger than any name")
        content = self._source.exactly(size)
        self._source.skip(-size % BLOCK)
        return content

    def _entry(self, found: headers.Header, notes: dict[bytes, bytes]) -> Entry:
        if not notes and found.kind in _FILES and not found.name.endswith(b"/"):  # nearly every one
            entry = Entry(
                _parts(found.name), headers.FILE, found.mode, _id(found.uid), _id(found.gid),
                _time(found.mtime * 1_000_000_000), found.size,
            )  # fmt: skip
        else:
            entry = self._noted(found, notes)
        if not entry.parts and entry.kind != headers.DIRECTORY:
            raise CopyError("BAD_ARCHIVE", "a member of the archive has no name")
        self._left, self._padding = entry.size, -entry.size % BLOCK
        return self._mapped(entry) if entry.segments is not None else entry

    def _noted(self, found: headers.Header, notes: dict[bytes, bytes]) -> Entry:
        sparse = notes.get(b"GNU.sparse.major") == b"1"
        name = (notes.get(b"GNU.sparse.name") if sparse else None) or notes.get(b"path") or found.name
        kind = headers.FILE if found.kind in _FILES else found.kind
        if kind == headers.FILE and name.endswith(b"/"):  # how archives older than ustar wrote directories
            kind = headers.DIRECTORY
        size = headers.decimal(notes[b"size"]) if b"size" in notes else found.size
        parts = _parts(name)
        link = notes.get(b"linkpath", found.link)
        if kind in (headers.HARDLINK, headers.SYMLINK) and (not link or b"\0" in link):
            raise CopyError("BAD_ARCHIVE", f"the link {shown('/'.join(parts))} leads to no name")
        if kind not in (headers.FILE, headers.DIRECTORY, headers.SYMLINK, headers.HARDLINK):
            raise CopyError("BAD_ARCHIVE", f"{shown('/'.join(parts))} is {_kind_words(kind)}: a copy has none")
        if any(key.startswith(b"GNU.sparse.") for key in notes) and not sparse:
            raise CopyError("BAD_ARCHIVE", f"{shown('/'.join(parts))} is sparse in an old way: use tar's version 1.0")
        is_file = kind == headers.FILE
        return Entry(
            parts,
            kind,
            found.mode,
            _id(headers.decimal(notes[b"uid"]) if b"uid" in notes else found.uid),
            _id(headers.decimal(notes[b"gid"]) if b"gid" in notes else found.gid),
            _time(headers.seconds(notes[b"mtime"]) if b"mtime" in notes else found.mtime * 1_000_000_000),
            _size(size) if is_file else 0,
            os.fsdecode(link),
            () if sparse and is_file else None,
            _size(headers.decimal(notes.get(b"GNU.sparse.realsize", b""))) if sparse else 0,
        )

    def _mapped(self, entry: Entry) -> Entry:
        """A sparse member's content begins with where the rest of it goes."""
        numbers = self._numbers()
        segments: list[tuple[int, int]] = []
        end = 0
        for _ in range(next(numbers)):
            offset, length = next(numbers), next(numbers)
            if offset < end:
                raise headers.bad()
            end = offset + length
            segments.append((offset, length))
        if end > entry.real_size or sum(length for _, length in segments) != self._left:
            raise headers.bad()
        return entry._replace(segments=tuple(segments), size=self._left)

    def _numbers(self) -> Iterator[int]:
        """A number a line, in whole blocks, of which no more are read than are asked for."""
        rest, read = b"", 0
        while True:
            if self._left < BLOCK or read >= _MAP_MAX or len(rest) > headers.DIGITS:
                raise headers.bad()
            *lines, rest = (rest + self._source.exactly(BLOCK)).split(b"\n")
            self._left -= BLOCK
            read += BLOCK
            yield from map(headers.decimal, lines)


def _parts(name: bytes) -> tuple[str, ...]:
    """A name's parts. Raises CopyError for one that leads elsewhere."""
    text = os.fsdecode(name)
    parts = tuple(part for part in text.split("/") if part and part != ".")
    if name[:1] == b"/" or ".." in parts or b"\0" in name:
        raise CopyError("BAD_ARCHIVE", f"the name {shown(text)} in the archive leads out of it")
    if len(parts) > DEPTH_MAX:
        raise CopyError("BAD_ARCHIVE", f"the archive is nested deeper than {DEPTH_MAX} directories")
    if len(name) > _NAME_BYTES and any(len(os.fsencode(part)) > _NAME_BYTES for part in parts):
        raise CopyError("BAD_ARCHIVE", f"a name in the archive is longer than {_NAME_BYTES} bytes: {shown(text)}")
    return parts


def linked(entry: Entry) -> tuple[str, ...]:
    """The name of the member that a hard link means. Raises CopyError."""
    parts = _parts(os.fsencode(entry.link))
    if not parts:
        raise CopyError("BAD_ARCHIVE", f"the link {entry.path} leads to no name")
    return parts


def _kind_words(kind: bytes) -> str:
    words = {b"3": "a device", b"4": "a device", b"6": "a FIFO", headers.OLD_SPARSE: "sparse in an old way"}
    return words.get(kind, "of a kind that nobody knows")


def _id(number: int) -> int:
    if number > _ID_MAX:
        raise headers.bad()
    return number


def _size(size: int) -> int:
    if size > _SIZE_MAX:
        raise headers.bad()
    return size


def _time(moment_ns: int) -> int:
    if not -_TIME_MAX_NS < moment_ns < _TIME_MAX_NS:
        raise headers.bad()
    return moment_ns
