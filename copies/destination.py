"""Where a copy goes: the same rules at both ends.

A path that ends in `/`, or is a directory, takes the entries beneath it; otherwise the one top-level entry takes the
path's name. Directories on the way that do not exist are made.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from copies.errors import CopyError, copy_error, shown

Open = Callable[[str], int]
"""Opens a directory by a path, links followed as far as that is right at this end."""


class Destination(NamedTuple):
    """`base` is the directory that exists, open; `makes` those below it that are to be made; `name` what the entry is
    to be called there, empty if the entries go beneath under their own names."""

    base: int
    makes: tuple[str, ...]
    name: str


def arranged(missing: tuple[str, ...], beneath: bool) -> tuple[tuple[str, ...], str]:
    """The rules: which of the parts that do not exist as directories are made, and which is the entry's name."""
    if not missing or beneath:
        return missing, ""
    return missing[:-1], missing[-1]


@contextmanager
def destination(path: str, open_directory: Open) -> Iterator[Destination]:
    """What `path` means. Raises CopyError."""
    if not path or "\0" in path:
        raise CopyError("PATH_BAD", "the destination must be a path")
    start = "/" if path.startswith("/") else ""
    parts = [part for part in path.split("/") if part and part != "."]
    beneath = path.endswith(("/", "/.", "/..")) or path in (".", "..")
    base, kept = _deepest(start, parts, open_directory)
    try:
        missing = tuple(parts[kept:])
        if ".." in missing:
            raise CopyError("PATH_BAD", f"{shown(path)} leads back out of a directory that does not exist")
        makes, name = arranged(missing, beneath)
        if makes:
            _check_free(base, makes[0], path)
        yield Destination(base, makes, name)
    finally:
        os.close(base)


def _deepest(start: str, parts: list[str], open_directory: Open) -> tuple[int, int]:
    """The longest part of the path that is a directory, open, and how many parts that is."""
    for kept in range(len(parts), -1, -1):
        path = start + "/".join(parts[:kept])
        try:
            return open_directory(path or "."), kept
        except (FileNotFoundError, NotADirectoryError):
            if not kept:
                raise CopyError("PATH_MISSING", f"{path or 'the working directory'} is not there") from None
        except OSError as error:
            raise copy_error(shown(path), error) from error
    raise AssertionError("the root is there")


def _check_free(base: int, name: str, path: str) -> None:
    """A directory is to be made here: then nothing else may have its name."""
    try:
        os.stat(name, dir_fd=base, follow_symlinks=False)
    except FileNotFoundError:
        return
    except OSError as error:
        raise copy_error(shown(path), error) from error
    raise CopyError("NOT_A_DIRECTORY", f"{shown(path)}: {shown(name)} exists and is no directory")


@contextmanager
def made(where: Destination) -> Iterator[int]:
    """The directory that the entries go to, open, with those before it made. Raises OSError."""
    opened = [os.dup(where.base)]
    try:
        for name in where.makes:
            try:
                os.mkdir(name, 0o755, dir_fd=opened[-1])
            except FileExistsError:
                pass
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            opened.append(os.open(name, flags, dir_fd=opened[-1]))
        yield opened[-1]
    finally:
        for fd in opened:
            os.close(fd)
