"""What was unpacked aside, brought to its place: by renaming, so that a file is there whole or not at all.

First everything is compared, so that a tree that does not fit changes nothing. A directory that exists takes the new
entries in and stays what it is; a file or a link that exists is replaced. Neither takes the other's place.
"""

import errno
import os
import stat

from copies.errors import CopyError, copy_error, shown
from copies.holes import segments
from copies.opening import Opening
from copies.sources import PIECE
from copies.staging import STEM, Closed, identity, remove, set_facts

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Settler:
    """Moves a tree of names from one directory into another. `closed` as the Unpacker has it; `moved` counts what has
    its place."""

    def __init__(self, owners: bool, opening: Opening, closed: Closed) -> None:
        self.moved = 0
        self._owners = owners
        self._opening = opening
        self._closed = closed

    def settle(self, staged: int, target: int, path: str, renamed: str = "") -> None:
        """Everything in `staged` goes into `target`; with `renamed` it is one entry, which takes that name. `path` is
        what messages call the place. Raises CopyError, before anything has moved for what does not fit."""
        names = [(name, renamed or name) for name in os.listdir(staged)]
        paths = [path if renamed else f"{path.rstrip('/')}/{name}" for name, _ in names]
        for (name, new), told in zip(names, paths, strict=True):
            self._compare(staged, name, target, new, told)
        for (name, new), told in zip(names, paths, strict=True):
            self._move(staged, name, target, new, told)

    def _compare(self, staged: int, name: str, target: int, new: str, path: str) -> None:
        try:
            there = os.stat(new, dir_fd=target, follow_symlinks=False)
        except FileNotFoundError:
            return
        except OSError as error:
            raise copy_error(shown(path), error) from error
        here = os.stat(name, dir_fd=staged, follow_symlinks=False)
        if stat.S_ISDIR(here.st_mode) != stat.S_ISDIR(there.st_mode):
            raise CopyError("PATH_IN_THE_WAY", _in_the_way(path, here.st_mode, there.st_mode))
        if not stat.S_ISDIR(here.st_mode):
            return
        below, beside = self._both(staged, name, target, new, path)
        try:
            for one in os.listdir(below):
                self._compare(below, one, beside, one, f"{path}/{one}")
        finally:
            os.close(below)
            os.close(beside)

    def _both(self, staged: int, name: str, target: int, new: str, path: str) -> tuple[int, int]:
        below = os.open(name, _DIRECTORY, dir_fd=staged)
        try:
            return below, os.open(new, _DIRECTORY, dir_fd=target)
        except OSError as error:
            os.close(below)
            raise copy_error(shown(path), error) from error

    def _move(self, staged: int, name: str, target: int, new: str, path: str) -> None:
        try:
            if self._is_directory(target, new) and self._is_directory(staged, name):
                self._into(staged, name, target, new, path)
            else:
                self._place(staged, name, target, new)
                self.moved += 1
                if self._closed and self._is_directory(target, new):
                    self._close(target, new)
        except OSError as error:
            raise copy_error(shown(path), error) from error

    def _into(self, staged: int, name: str, target: int, new: str, path: str) -> None:
        below, beside = self._both(staged, name, target, new, path)
        try:
            for one in os.listdir(below):
                self._move(below, one, beside, one, f"{path}/{one}")
        finally:
            os.close(below)
            os.close(beside)

    @staticmethod
    def _is_directory(parent: int, name: str) -> bool:
        try:
            return stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            return False

    def _place(self, staged: int, name: str, target: int, new: str) -> None:
        try:
            os.rename(name, new, src_dir_fd=staged, dst_dir_fd=target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._carry_over(staged, name, target, new)

    def _close(self, parent: int, name: str) -> None:
        """What is in its place now may shut out its owner, the innermost first."""
        fd = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            for one in os.listdir(fd):
                if self._is_directory(fd, one):
                    self._close(fd, one)
            mode = self._closed.get(identity(os.fstat(fd)))
            if mode is not None:
                os.fchmod(fd, mode)
        finally:
            os.close(fd)

    def _carry_over(self, staged: int, name: str, target: int, new: str) -> None:
        """To a file system that is mounted below the target: copied under a name of its own first."""
        found = os.stat(name, dir_fd=staged, follow_symlinks=False)
        aside = f"{STEM}{os.urandom(8).hex()}"
        try:
            if stat.S_ISLNK(found.st_mode):
                os.symlink(os.readlink(name, dir_fd=staged), aside, dir_fd=target)
                set_facts(target, aside, found, self._owners, self._opening)
            elif stat.S_ISDIR(found.st_mode):
                self._carry_directory(staged, name, target, aside, found)
            else:
                self._carry_file(staged, name, target, aside)
            os.rename(aside, new, src_dir_fd=target, dst_dir_fd=target)
        except BaseException:
            remove(target, aside)
            raise

    def _carry_directory(self, staged: int, name: str, target: int, aside: str, found: os.stat_result) -> None:
        os.mkdir(aside, 0o700, dir_fd=target)
        below, beside = self._both(staged, name, target, aside, aside)
        try:
            for one in os.listdir(below):
                self._carry_over(below, one, beside, one)
            if (mode := self._closed.get(identity(found))) is not None:
                self._closed[identity(os.fstat(beside))] = mode
        finally:
            os.close(below)
            os.close(beside)
        set_facts(target, aside, found, self._owners, self._opening)

    def _carry_file(self, staged: int, name: str, target: int, aside: str) -> None:
        seen = self._opening.look(staged, name)
        try:
            source = self._opening.open(seen)
            try:
                _copy(source, target, aside)
            finally:
                os.close(source)
        finally:
            self._opening.forget(seen)
        set_facts(target, aside, seen.facts, self._owners, self._opening)


def _copy(source: int, target: int, name: str) -> None:
    """What is there of it: a hole stays one, or a file of an image's size would fill the other file system."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    made = os.open(name, flags, 0o600, dir_fd=target)
    try:
        size = os.fstat(source).st_size
        for offset, length in segments(source, size) or ((0, size),):
            end = offset + length
            while offset < end and (piece := os.pread(source, min(end - offset, PIECE), offset)):
                offset += os.pwrite(made, piece, offset)
        os.ftruncate(made, size)
    finally:
        os.close(made)


def _in_the_way(path: str, here: int, there: int) -> str:
    if stat.S_ISDIR(here):
        is_link = stat.S_ISLNK(there)
        return (
            f"{shown(path)} is {'a symbolic link' if is_link else 'no directory'} there, and a directory in what is "
            f"copied: neither takes the other's place. {'Copy to where it leads, or remove' if is_link else 'Remove'} "
            f"it first{'' if is_link else ', or copy to another name'}"
        )
    return f"{shown(path)} is a directory there, and none in what is copied: remove it first, or copy to another name"
