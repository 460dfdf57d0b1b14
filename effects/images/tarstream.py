"""A tar as it streams by: members in order, each read or passed over, nothing kept. No I/O of its own.

Formats: ustar, pax and GNU, as docker, podman, buildah and skopeo write them (long names, sizes in base 256); packed
with gzip, bzip2 or xz, or not at all. Source: pax(1), and the GNU tar manual for the rest.
"""

import asyncio
import bz2
import lzma
import tarfile
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Literal, Protocol

import msgspec

from copies.errors import CopyError
from copies.headers import notes_of
from effects.errors import ImageUnreadable

BLOCK_BYTES = 512
PIECE_BYTES = 1 << 20
_NOTES_BYTES = 1 << 20
_MAGIC_BYTES = 6
_PACKED_BYTES = 1 << 16
_XZ_BYTES = 80 << 20
"""What `xz -9` needs to unpack, and a little: a header may ask for gigabytes."""
_SIZE_DIGITS = 19
_MOST_BYTES = (1 << 63) - 1
"""No file is larger."""
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_PAX = (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE)


class Member(msgspec.Struct, frozen=True):
    """One entry. `offset` is where its content begins in the (unpacked) tar, `target` what a link points at."""

    name: str
    kind: Literal["file", "hardlink", "symlink", "other"]
    size: int
    offset: int
    target: str = ""


class TarStream:
    """Reads members one after another. `holes` are contents that were left out of the stream on purpose: where a
    content begins, and how many of its first bytes are missing. Raises ImageUnreadable everywhere."""

    def __init__(self, chunks: AsyncIterator[bytes], holes: Mapping[int, int] | None = None) -> None:
        self._bytes = _Bytes(_unpacked(chunks))
        self._holes = holes or {}
        self._offset = 0
        self._rest = 0

    async def next(self) -> Member | None:
        """The next member, or None at the end. What was not read of the last one is passed over."""
        name, target, size = "", "", -1
        while True:
            await self._pass_over()
            block = await self._block()
            if block is None:
                return None
            try:
                header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
            except tarfile.HeaderError as error:
                raise ImageUnreadable(
                    f"this is no image archive: {error}. Use an OCI or docker-save archive"
                ) from error
            self._rest = _possible(header.size)
            if header.type in _PAX:
                notes = _pax(await self._note())
                name, target = notes.get("path", name), notes.get("linkpath", target)
                size = _number(notes["size"]) if notes.get("size") else size
            elif header.type == tarfile.GNUTYPE_LONGNAME:
                name = _text(await self._note())
            elif header.type == tarfile.GNUTYPE_LONGLINK:
                target = _text(await self._note())
            elif header.type != tarfile.XGLTYPE:
                return self._member(header, name, target, size)

    def _member(self, header: tarfile.TarInfo, name: str, target: str, size: int) -> Member:
        if header.type == tarfile.GNUTYPE_SPARSE:
            raise ImageUnreadable("the archive has a sparse member: make it anew without `--sparse`")
        is_file = header.type in _FILES
        size = header.size if size < 0 else size
        # Only a file has content; some writers give links a size all the same.
        self._rest = size if is_file else 0
        kinds: dict[bytes, Literal["hardlink", "symlink"]] = {
            tarfile.LNKTYPE: "hardlink",
            tarfile.SYMTYPE: "symlink",
        }
        return Member(
            name or header.name,
            "file" if is_file else kinds.get(header.type, "other"),
            self._rest,
            self._offset,
            target or header.linkname,
        )

    async def content(self, skip: int = 0) -> AsyncIterator[bytes]:
        """The present member's bytes behind its first `skip`, in pieces. Those that are a hole cannot be had: `skip`
        must reach over it."""
        hole = self._holes.get(self._offset, 0)
        if skip < hole:
            raise ImageUnreadable("a part of the archive was left out that this machine does not have: push it again")
        await self._advance(skip - hole, hole)
        while self._rest > 0:
            piece = await self._bytes.some(min(self._rest, PIECE_BYTES))
            self._count(len(piece))
            yield piece

    def _count(self, size: int) -> None:
        self._offset += size
        self._rest -= size

    async def _advance(self, present: int, missing: int) -> None:
        """Over `missing` bytes that are not in the stream, and `present` ones that are."""
        self._count(missing)
        while present > 0:
            piece = await self._bytes.some(min(present, PIECE_BYTES))
            self._count(len(piece))
            present -= len(piece)

    async def _pass_over(self) -> None:
        hole = min(self._holes.get(self._offset, 0), self._rest)
        await self._advance(self._rest - hole, hole)
        padding = -self._offset % BLOCK_BYTES
        if padding:
            await self._bytes.exactly(padding)
            self._offset += padding

    async def _block(self) -> bytes | None:
        """A header, or None at the end: an empty block, or nothing more at all."""
        block = await self._bytes.upto(BLOCK_BYTES)
        if not block or not any(block):
            await self._bytes.drain()
            return None
        if len(block) < BLOCK_BYTES:
            raise _cut()
        self._offset += BLOCK_BYTES
        return block

    async def _note(self) -> bytes:
        """The content of a member that only tells of the next one."""
        if self._rest > _NOTES_BYTES:
            raise ImageUnreadable("a header of the archive is larger than any name")
        note = await self._bytes.exactly(self._rest)
        self._count(len(note))
        return note


class _Bytes:
    """A stream of chunks, read by count."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = memoryview(b"")

    async def some(self, most: int) -> bytes:
        """At least one byte and `most` at most, without joining chunks. Raises ImageUnreadable at the end."""
        if not self._chunk and not await self._more():
            raise _cut()
        piece, self._chunk = self._chunk[:most], self._chunk[most:]
        # A chunk that is used whole is handed on as it came.
        return piece.obj if isinstance(piece.obj, bytes) and len(piece) == len(piece.obj) else bytes(piece)

    async def upto(self, count: int) -> bytes:
        """`count` bytes, fewer only at the end."""
        parts: list[bytes] = []
        while count > 0 and (self._chunk or await self._more()):
            parts.append(await self.some(count))
            count -= len(parts[-1])
        return b"".join(parts)

    async def exactly(self, count: int) -> bytes:
        """`count` bytes. Raises ImageUnreadable when there are fewer."""
        found = await self.upto(count)
        if len(found) < count:
            raise _cut()
        return found

    async def drain(self) -> None:
        """Read to the end: whoever sends is to see it taken."""
        self._chunk = memoryview(b"")
        while await self._more():
            self._chunk = memoryview(b"")

    async def _more(self) -> bool:
        async for chunk in self._chunks:
            if chunk:
                self._chunk = memoryview(chunk)
                return True
        return False


class _Unpacker(Protocol):
    """One packed stream. However small its bytes, what they unpack to is had in pieces."""

    def some(self, packed: bytes) -> bytes:
        """What `packed` unpacks to, PIECE_BYTES at most; with nothing new, more of what was given before."""
        ...

    @property
    def hungry(self) -> bool:
        """Whether all that was given is unpacked."""
        ...

    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given behind the end."""
        ...


class _Gzip:
    """See _Unpacker."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(wbits=31)
        self._full = False

    def some(self, packed: bytes) -> bytes:
        piece = self._stream.decompress(self._stream.unconsumed_tail + packed, PIECE_BYTES)
        self._full = len(piece) == PIECE_BYTES
        return piece

    @property
    def hungry(self) -> bool:
        return not self._full and not self._stream.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data


class _Blocks:
    """See _Unpacker: bzip2 and xz, which keep what they have not unpacked yet."""

    def __init__(self, stream: bz2.BZ2Decompressor | lzma.LZMADecompressor) -> None:
        self._stream = stream

    def some(self, packed: bytes) -> bytes:
        return self._stream.decompress(packed, PIECE_BYTES)

    @property
    def hungry(self) -> bool:
        return self._stream.needs_input

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data


def _bzip2() -> _Unpacker:
    return _Blocks(bz2.BZ2Decompressor())


def _xz() -> _Unpacker:
    return _Blocks(lzma.LZMADecompressor(memlimit=_XZ_BYTES))


def _unpacker_for(head: bytes) -> Callable[[], _Unpacker] | None:
    if head.startswith(b"\x1f\x8b"):
        return _Gzip
    if head.startswith(b"BZh"):
        return _bzip2
    if head.startswith(b"\xfd7zXZ\0"):
        return _xz
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        raise ImageUnreadable("the archive is packed with zstd as a whole: unpack it first (`zstd -d`)")
    return None


async def _unpacked(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The tar itself, whatever it is packed in; several packed streams behind one another are one."""
    head = b""
    async for chunk in chunks:
        head += chunk
        if len(head) >= _MAGIC_BYTES:
            break
    make = _unpacker_for(head)
    if make is None:
        yield head
        async for chunk in chunks:
            yield chunk
        return
    unpacker = make()
    try:
        async for piece in _small(head, chunks):
            while piece.strip(b"\0") or (piece and not unpacker.eof):
                if unpacker.eof:
                    unpacker = make()
                # On a thread: a piece of bzip2 takes tens of milliseconds, and everything else waits for the loop.
                yield await asyncio.to_thread(unpacker.some, piece)
                while not (unpacker.eof or unpacker.hungry):
                    yield await asyncio.to_thread(unpacker.some, b"")
                piece = unpacker.unused_data if unpacker.eof else b""
    except (zlib.error, OSError, lzma.LZMAError, EOFError) as error:
        raise ImageUnreadable(f"the archive is packed, and cannot be unpacked: {error}") from error
    if not unpacker.eof:
        raise _cut()


async def _small(head: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Small pieces: that many packed bytes are kept until they are unpacked."""
    for start in range(0, len(head), _PACKED_BYTES):
        yield head[start : start + _PACKED_BYTES]
    async for chunk in chunks:
        for start in range(0, len(chunk), _PACKED_BYTES):
            yield chunk[start : start + _PACKED_BYTES]


def _pax(content: bytes) -> dict[str, str]:
    try:
        found = notes_of(content)
    except CopyError as error:
        raise _unreadable() from error
    return {key.decode("utf-8", "replace"): value.decode("utf-8", "surrogateescape") for key, value in found.items()}


def _number(digits: str) -> int:
    if len(digits) > _SIZE_DIGITS or not digits.isdecimal():
        raise _unreadable()
    return _possible(int(digits))


def _possible(size: int) -> int:
    if not 0 <= size <= _MOST_BYTES:
        raise _unreadable()
    return size


def _unreadable() -> ImageUnreadable:
    return ImageUnreadable("a header of the archive cannot be read")


def _text(content: bytes) -> str:
    return content.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _cut() -> ImageUnreadable:
    return ImageUnreadable("the archive ends in the middle: it was cut short, or is no image archive")
