"""Entries unpacked aside: in a directory of their own beside their place, which nobody but its owner may enter.

Every directory on the way is opened by the descriptor of the one above it and never through a link, so that nothing
lands elsewhere, whatever somebody does to these directories meanwhile.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from copies.errors import CopyError, copy_error, shown
from copies.headers import DIRECTORY, FILE, HARDLINK, SYMLINK
from copies.opening import Opening
from copies.reading import Archive, Entry, linked

Made = TypeVar("Made")

STEM = ".capsule-cp."
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAKE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_PLACE = (errno.ENOTDIR, errno.ELOOP, errno.EISDIR)


class Powers(NamedTuple):
    """What an unpacking may do: give files to other `owners`, and let them be executed as these (`set_id`)."""

    owners: bool
    set_id: bool


Closed = dict[tuple[int, int], int]
"""Modes by what `identity` says."""


def identity(found: os.stat_result) -> tuple[int, int]:
    """What stays the same of a file while it is moved."""
    return found.st_dev, found.st_ino


@contextmanager
def staged(parent: int) -> Iterator[int]:
    """A new directory in `parent`, open, which is gone afterwards with all that is in it."""
    name = STEM + os.urandom(8).hex()
    os.mkdir(name, 0o700, dir_fd=parent)
    try:
        fd = os.open(name, _OPEN, dir_fd=parent)
        try:
            yield fd
        finally:
            os.close(fd)
    finally:
        remove(parent, name)


def remove(parent: int, name: str) -> None:
    """Leave nothing of a name, as far as that is possible."""
    try:
        os.unlink(name, dir_fd=parent)
        return
    except IsADirectoryError:
        pass
    except PermissionError:
        pass  # how some systems say that it is a directory
    except OSError:
        return
    try:
        fd = os.open(name, _OPEN, dir_fd=parent)
        try:
            for one in os.listdir(fd):
                remove(fd, one)
        finally:
            os.close(fd)
        os.rmdir(name, dir_fd=parent)
    except OSError:
        return


def set_facts(parent: int, name: str, found: os.stat_result, owners: bool, opening: Opening) -> None:
    """Owner, mode and time of `found` for what was just made. Raises OSError, also where it is another kind by now."""
    if owners:
        os.chown(name, found.st_uid, found.st_gid, dir_fd=parent, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        seen = opening.look(parent, name)
        try:
            if stat.S_IFMT(seen.facts.st_mode) != stat.S_IFMT(found.st_mode):
                raise OSError(errno.ESTALE, "somebody put something else in its place", name)
            fd = opening.open(seen)
            try:
                os.fchmod(fd, found.st_mode & 0o7777)
            finally:
                os.close(fd)
        finally:
            opening.forget(seen)
    os.utime(name, ns=(found.st_mtime_ns, found.st_mtime_ns), dir_fd=parent, follow_symlinks=False)


class _Open(NamedTuple):
    """A directory that is open; `entry` is what it shall be when nothing more comes into it."""

    name: str
    fd: int
    entry: Entry | None


class Unpacker:
    """Unpacks one archive into the directory `root`. `single`: it may have one top-level member only; `only`: and that
    must be called so. Counts `entries`. `closed` are the directories that shut out their owner, each with its mode:
    they are given that once they have their place, for nobody but root moves or removes what is in such a one."""

    def __init__(self, root: int, powers: Powers, single: bool = False, only: str = "") -> None:
        self.entries = 0
        self.closed: Closed = {}
        self._root = root
        self._powers = powers
        self._single = single
        self._only = only
        self._top = only
        self._open: list[_Open] = []

    def unpack(self, archive: Archive) -> None:
        """To its end-of-archive marker. Raises CopyError."""
        try:
            for entry in archive:
                self._check_top(entry)
                try:
                    self._make(archive, entry)
                except OSError as error:
                    raise copy_error(entry.path, error) from error
                self.entries += 1
            while self._open:
                self._leave()
        finally:
            for one in self._open:
                os.close(one.fd)

    def _check_top(self, entry: Entry) -> None:
        if self._only and entry.parts[0] != self._only:
            raise CopyError("BAD_ARCHIVE", f"{shown(self._only)} was asked for, and {entry.path} came")
        if self._single and self._top not in ("", entry.parts[0]):
            raise CopyError(
                "BAD_ARCHIVE",
                "the archive has more than one entry at its top, and the destination is no directory: end it with a / "
                "to have them beneath it",
            )
        self._top = entry.parts[0]

    def _make(self, archive: Archive, entry: Entry) -> None:
        *above, name = entry.parts
        parent = self._parent(above, entry)
        if entry.kind == FILE:
            self._file(archive, entry, name, parent)
        elif entry.kind == DIRECTORY:
            self._enter(name, parent, entry, entry.path)
        elif entry.kind == SYMLINK:
            self._anew(name, parent, entry, lambda: os.symlink(entry.link, name, dir_fd=parent))
            if self._powers.owners:
                os.chown(name, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            os.utime(name, ns=(entry.mtime_ns, entry.mtime_ns), dir_fd=parent, follow_symlinks=False)
        elif entry.kind == HARDLINK:
            self._link(entry, name, parent)

    # --- directories ---------------------------------------------------------------------------------------------

    def _parent(self, above: list[str], entry: Entry) -> int:
        """The directory that the entry is in, open; those that no member told of are made."""
        same = 0
        for one, name in zip(self._open, above, strict=False):
            if one.name != name:
                break
            same += 1
        while len(self._open) > same:
            self._leave()
        for name in above[same:]:
            self._enter(name, self._here(), None, entry.path)
        return self._here()

    def _here(self) -> int:
        return self._open[-1].fd if self._open else self._root

    def _enter(self, name: str, parent: int, told: Entry | None, path: str) -> None:
        made = True
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            made = False
        try:
            fd = os.open(name, _OPEN, dir_fd=parent)
        except OSError as error:
            if error.errno in _NO_PLACE:
                raise CopyError("BAD_ARCHIVE", f"{path}: a part of it is no directory in the archive") from error
            raise
        if made and told is None:
            os.fchmod(fd, 0o755)
        self._open.append(_Open(name, fd, told))

    def _leave(self) -> None:
        """Nothing more is put into the last one: now its mode may forbid it, and its time stays."""
        one = self._open.pop()
        try:
            if one.entry is not None:
                self._set(one.fd, one.entry)
                self._keep_open(one.fd)
        except OSError as error:
            raise copy_error(one.name, error) from error
        finally:
            os.close(one.fd)

    def _keep_open(self, directory: int) -> None:
        found = os.fstat(directory)
        mode = stat.S_IMODE(found.st_mode)
        if not self._powers.owners and mode & stat.S_IRWXU != stat.S_IRWXU:
            os.fchmod(directory, mode | stat.S_IRWXU)
            self.closed[identity(found)] = mode

    # --- files ---------------------------------------------------------------------------------------------------

    def _file(self, archive: Archive, entry: Entry, name: str, parent: int) -> None:
        mode = entry.mode & 0o777
        try:
            fd = os.open(name, _MAKE, mode, dir_fd=parent)
        except FileExistsError:
            fd = self._anew(name, parent, entry, lambda: os.open(name, _MAKE, mode, dir_fd=parent))
        try:
            if entry.segments is None:
                if entry.size:
                    archive.pour(fd, entry.size)
            else:
                for offset, length in entry.segments:
                    os.lseek(fd, offset, os.SEEK_SET)
                    archive.pour(fd, length)
                os.ftruncate(fd, entry.real_size)
            self._set(fd, entry)
        finally:
            os.close(fd)

    def _set(self, fd: int, entry: Entry) -> None:
        if self._powers.owners:
            os.fchown(fd, entry.uid, entry.gid)
        os.fchmod(fd, entry.mode if self._powers.set_id else entry.mode & 0o1777)
        os.utime(fd, ns=(entry.mtime_ns, entry.mtime_ns))

    def _anew(self, name: str, parent: int, entry: Entry, make: Callable[[], Made]) -> Made:
        """Make a name that an earlier member of the archive may have: the later one counts."""
        try:
            return make()
        except FileExistsError:
            try:
                os.unlink(name, dir_fd=parent)
            except (IsADirectoryError, PermissionError) as error:
                message = f"{entry.path} stands in the archive as a directory, and as something else"
                raise CopyError("BAD_ARCHIVE", message) from error
            return make()

    def _link(self, entry: Entry, name: str, parent: int) -> None:
        """A second name for a member that came before."""
        *above, last = linked(entry)
        opened = [os.dup(self._root)]
        try:
            for one in above:
                opened.append(os.open(one, _OPEN, dir_fd=opened[-1]))
            mode = os.stat(last, dir_fd=opened[-1], follow_symlinks=False).st_mode
            # A symbolic link may have several names as well, and is not followed for that.
            if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                raise CopyError("BAD_ARCHIVE", f"the link {entry.path} leads to what is no file")
            self._anew(
                name,
                parent,
                entry,
                lambda: os.link(last, name, src_dir_fd=opened[-1], dst_dir_fd=parent, follow_symlinks=False),
            )
        except OSError as error:
            if error.errno in (*_NO_PLACE, errno.ENOENT):
                message = f"the link {entry.path} leads to no file that came before it"
                raise CopyError("BAD_ARCHIVE", message) from error
            raise
        finally:
            for fd in opened:
                os.close(fd)
