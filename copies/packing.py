"""A tree made an archive as it streams by: one top-level member, parents before what is in them.

Only files, directories and symbolic links go in; a hard link goes as a file of its own. The tree may change meanwhile:
what has gone is left out, a file has the size it had when its turn came, and bytes that it has lost by then are zeros.
Nothing is opened before it is known to be a file or a directory, as opening a device may do something.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from copies import headers
from copies.errors import CopyError, copy_error, shown
from copies.headers import DIRECTORY, FILE, SYMLINK, header, padding
from copies.holes import segments
from copies.opening import Opening, Seen
from copies.reading import DEPTH_MAX

GATHERED = 256 << 10
_INLINE = 64 << 10
_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ESTALE)
_SPARSE_BLOCK = 512


class Region:
    """A part of an open file that is to follow: whoever takes it says in `got` how much of it there was."""

    def __init__(self, fd: int, offset: int, count: int) -> None:
        self.fd = fd
        self.offset = offset
        self.count = count
        self.got = 0


class Owner(NamedTuple):
    """Whom everything in the archive shall belong to."""

    uid: int
    gid: int


class Packer:
    """Makes one archive. Counts `entries`, what was `left_out` (sockets, FIFOs, devices, what a kernel makes up, and
    what has gone meanwhile) and the files that have `changed` under it. `kernels`: whether a directory is such a one.
    """

    def __init__(self, opening: Opening, kernels: Callable[[int], bool], owner: Owner | None = None) -> None:
        self.entries = 0
        self.left_out = 0
        self.changed = 0
        self._opening = opening
        self._kernels = kernels
        self._owner = owner
        self._made = bytearray()

    def pack(
        self, parent: int, name: str, called: str, told: str, contents_only: bool = False
    ) -> Iterator[bytes | Region]:
        """The archive of what `name` is in the directory `parent`, as `called` in the archive; or, of a directory, the
        `contents_only`. Raises CopyError, before the first piece for what cannot be copied at all: it is `told` of."""
        try:
            seen = self._opening.look(parent, name)
        except OSError as error:
            raise copy_error(told, error) from error
        try:
            if stat.S_IFMT(seen.facts.st_mode) not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
                raise CopyError(
                    "NOT_COPYABLE", f"{told} is a device, a socket or a FIFO: only what is in files is copied"
                )
            yield from self._member(seen, "" if contents_only else called, seen.facts.st_dev, 0)
        finally:
            self._opening.forget(seen)
        self._made += headers.END
        yield bytes(self._made)

    def _member(self, seen: Seen, path: str, device: int, depth: int) -> Iterator[bytes | Region]:
        mode = seen.facts.st_mode
        if stat.S_ISREG(mode):
            yield from self._file(seen, path)
        elif stat.S_ISDIR(mode):
            yield from self._directory(seen, path, device, depth)
        elif stat.S_ISLNK(mode):
            self._announce(path, seen.facts, SYMLINK, link=os.fsencode(self._opening.link(seen)))
        else:
            self.left_out += 1

    def _announce(
        self,
        path: str,
        found: os.stat_result,
        kind: bytes,
        size: int = 0,
        link: bytes = b"",
        more: dict[bytes, bytes] | None = None,
    ) -> None:
        self.entries += 1
        uid, gid = self._owner or (found.st_uid, found.st_gid)
        moment = found.st_mtime_ns // 1_000_000_000
        self._made += header(os.fsencode(path), kind, found.st_mode & 0o7777, uid, gid, moment, size, link, more)

    def _directory(self, seen: Seen, path: str, device: int, depth: int) -> Iterator[bytes | Region]:
        if depth >= DEPTH_MAX:
            raise CopyError("NOT_COPYABLE", f"it is nested deeper than {DEPTH_MAX} directories: {shown(path)}")
        readable = self._opened(seen, path)
        try:
            if path:
                self._announce(path, seen.facts, DIRECTORY)
            if seen.facts.st_dev != device and self._kernels(readable):
                self.left_out += 1
            else:
                yield from self._below(readable, seen.facts.st_dev, path, depth)
        finally:
            os.close(readable)

    def _opened(self, seen: Seen, path: str) -> int:
        try:
            return self._opening.open(seen)
        except OSError as error:
            raise copy_error(shown(path or seen.name), error) from error

    def _below(self, readable: int, device: int, path: str, depth: int) -> Iterator[bytes | Region]:
        look, forget, start = self._opening.look, self._opening.forget, f"{path}/" if path else ""
        with os.scandir(readable) as names:
            for one in names:
                try:
                    seen = look(readable, one.name)
                except OSError as error:
                    if error.errno not in _GONE:
                        raise copy_error(shown(start + one.name), error) from error
                    self.left_out += 1
                    continue
                try:
                    yield from self._member(seen, start + one.name, device, depth + 1)
                finally:
                    forget(seen)
                if len(self._made) >= GATHERED:
                    yield self._gathered()

    def _gathered(self) -> bytes:
        made = bytes(self._made)
        self._made.clear()
        return made

    # --- files ---------------------------------------------------------------------------------------------------

    def _file(self, seen: Seen, path: str) -> Iterator[bytes | Region]:
        readable = self._opened(seen, path)
        facts = seen.facts
        try:
            size = facts.st_size
            if size and facts.st_blocks * _SPARSE_BLOCK < size and (found := segments(readable, size)):
                yield from self._sparse(readable, facts, path, found)
                return
            self._announce(path, facts, FILE, size)
            if size > _INLINE:
                yield from self._region(readable, 0, size)
            elif size:
                self._inline(readable, size, path)
            self._made += padding(size)
        finally:
            os.close(readable)

    def _inline(self, readable: int, size: int, path: str) -> None:
        try:
            content = os.read(readable, size)
            while len(content) < size and (more := os.read(readable, size - len(content))):
                content += more
        except OSError as error:
            raise copy_error(shown(path), error) from error
        self._made += content
        if len(content) < size:
            self.changed += 1
            self._made += bytes(size - len(content))

    def _region(self, readable: int, offset: int, size: int) -> Iterator[bytes | Region]:
        yield self._gathered()
        region = Region(readable, offset, size)
        yield region
        if region.got < size:
            self.changed += 1
            yield from zeros(size - region.got)

    def _sparse(
        self, readable: int, facts: os.stat_result, path: str, parts: list[tuple[int, int]]
    ) -> Iterator[bytes | Region]:
        """GNU's pax format 1.0: a map of what is there, in whole blocks, then what is there."""
        text = b"%d\n" % len(parts) + b"".join(b"%d\n%d\n" % one for one in parts)
        text += padding(len(text))
        size = len(text) + sum(length for _, length in parts)
        notes = {
            b"GNU.sparse.major": b"1",
            b"GNU.sparse.minor": b"0",
            b"GNU.sparse.name": os.fsencode(path),
            b"GNU.sparse.realsize": b"%d" % facts.st_size,
        }
        # A tar that knows nothing of it unpacks the map under another name.
        directory, _, base = path.rpartition("/")
        self._announce(f"{directory}/GNUSparseFile.0/{base}"[not directory :], facts, FILE, size, more=notes)
        self._made += text
        for offset, length in parts:
            if length:
                yield from self._region(readable, offset, length)
        self._made += padding(size)


def zeros(count: int) -> Iterator[bytes]:
    """So many, in pieces."""
    while count > 0:
        yield bytes(min(count, GATHERED))
        count -= GATHERED


def contents(pieces: Iterator[bytes | Region], most: int) -> Iterator[bytes]:
    """An archive as bytes alone, in pieces of `most` at most."""
    for piece in pieces:
        if isinstance(piece, Region):
            while piece.got < piece.count:
                part = os.pread(piece.fd, min(piece.count - piece.got, most), piece.offset + piece.got)
                if not part:
                    break
                piece.got += len(part)
                yield part
        else:
            yield from (piece[start : start + most] for start in range(0, len(piece), most))
