"""Files of this side: ours are private, and replaced whole or not at all; what an operator names is read to a bound."""

import contextlib
import errno
import functools
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from capsulectl import standard_input
from capsulectl.endings import in_order
from capsulectl.errors import USAGE, Failure
from journal.durable import sync_directory

_UNSET = "an empty word is no file: is a variable unset?"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP)
"""What a link meets on a file system that has none, as FAT."""
TEXT_BYTES_MOST = 8 << 20
"""Of a text that is read: twice what a call takes."""


def file_text(path: str) -> str:
    """The text of a file. Raises Failure, also where it has no end, as a device."""
    return _text(path, lambda: open(path, "rb"))


def input_text() -> str:
    """The text that standard input is, to its end. Raises Failure, also where that does not come."""
    return _text("standard input", lambda: contextlib.nullcontext(standard_input.stream()))


def file_bytes(path: str, most: int) -> bytes:
    """What a file holds. Raises Failure, also where that is more than `most`."""
    return _bytes(path, lambda: open(path, "rb"), most)


def to_send(name: str) -> tuple[BufferedReader, int]:
    """An open file, or standard input for `-`, and how many bytes it has, 0 where nobody knows. Its `read1` is what has
    come: a capsule hears of that, and does not wait until there is more. Raises Failure."""
    return (standard_input.stream(), 0) if name == "-" else file_to_send(name)


def file_to_send(name: str) -> tuple[BufferedReader, int]:
    """An open file and its size. Raises Failure, also for a device, which may have no end."""
    try:
        found = os.stat(name)
        if stat.S_ISCHR(found.st_mode):
            raise Failure(f"{name} is a device, which may have no end: name a file", USAGE)
        return open(name, "rb"), found.st_size
    except OSError as error:
        raise _unreadable(name, error) from error


def _text(name: str, opened: Callable[[], AbstractContextManager[BinaryIO]]) -> str:
    try:
        return _bytes(name, opened, TEXT_BYTES_MOST).decode()
    except UnicodeDecodeError as error:
        raise Failure(f"{name} cannot be read: it is no text in UTF-8", USAGE) from error


def _bytes(name: str, opened: Callable[[], AbstractContextManager[BinaryIO]], most: int) -> bytes:
    try:
        with opened() as source:
            data = source.read(most + 1)
    except OSError as error:
        raise _unreadable(name, error) from error
    if len(data) > most:
        bound = f"{most >> 20} MiB" if most >> 20 else f"{most >> 10} KiB"
        raise Failure(f"{name} has more than {bound}: is it the right one?", USAGE)
    return data


def _unreadable(name: str, error: OSError) -> Failure:
    if not name.strip():
        return Failure(_UNSET, USAGE)
    hint = ". Only files are read: fetch it first" if "://" in name else ""
    return Failure(f"{name} cannot be read: {error.strerror}{hint}", USAGE)


def check_new(name: str, force: bool) -> Path:
    """Where a file is to be written that the operator named. Raises Failure where one is already, or something else."""
    if not name.strip():
        raise Failure(_UNSET, USAGE)
    target = Path(name)
    if target.exists() and not target.is_file():
        raise Failure(f"{name} is no file that could be replaced: name one", USAGE)
    if target.exists() and not force:
        raise Failure(f"{name} exists: say --force to replace it", USAGE)
    if not target.parent.is_dir():
        raise Failure(f"{name} cannot be written: there is no directory {target.parent}", USAGE)
    return target


@contextlib.contextmanager
def new_file(target: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file that has its name once the block has ended well and all of it is on the disk, for good; otherwise there is
    none. Two that are written to one name at once do not meet: whole is either. Raises Failure where it cannot be
    written, and Ended by a signal."""
    scratch = target.with_name(f".{target.name}.{os.urandom(8).hex()}.part")
    with in_order():
        try:
            with open(scratch, "xb", opener=lambda path, flags: os.open(path, flags, mode)) as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            scratch.replace(target)
            sync_directory(target.parent)
        except OSError as error:
            raise Failure(f"{target} cannot be written: {error.strerror}") from error
        finally:
            scratch.unlink(missing_ok=True)


def to_write(name: str, force: bool) -> Path | None:
    """Where a file is to be written that the operator named; None for `-`, standard output. Raises Failure."""
    check_no_option(name)
    return None if name == "-" else check_new(name, force)


def check_no_option(name: str) -> None:
    """Where `-` is taken for a file, what begins with it is, too. Raises Failure for that."""
    if name.startswith("-") and name != "-":
        raise Failure(f"unknown option {name}", USAGE)


@contextlib.contextmanager
def written(target: Path | None) -> Iterator[BinaryIO]:
    """A new file that is private, or standard output."""
    if target is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with new_file(target, 0o600) as out:
        yield out


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file atomically: mode 0600, in a directory of mode 0700. Raises Failure."""
    _write(path, content, os.replace)


def first_file(path: Path, content: bytes) -> None:
    """A file of ours that is new; one that somebody else made meanwhile stays as it is. Raises Failure."""
    _write(path, content, _linked)


def _linked(scratch: str, path: Path) -> None:
    try:
        os.link(scratch, path)
    except FileExistsError:
        pass
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        os.replace(scratch, path)  # nothing better can be had there
        return
    os.unlink(scratch)


def own_directory(path: Path) -> None:
    """Have a directory to keep our files in: one that we make is for us alone. One that is there is somebody's as it
    is, and its mode is not ours to change: that others may write there is said. Raises OSError."""
    try:
        path.mkdir(parents=True, mode=0o700)
    except FileExistsError:
        mode = path.stat().st_mode
        if mode & (stat.S_IWGRP | stat.S_IWOTH) and not mode & stat.S_ISVTX:
            _warn_of(path)


@functools.cache
def _warn_of(path: Path) -> None:
    """Once, however many files a command keeps there."""
    from capsulectl.render import say

    say(f"capsulectl: WARNING: others may put files in {path}, in place of what is kept there: `chmod go-w {path}`")


def _write(path: Path, content: bytes, name: Callable[[str, Path], None]) -> None:
    """`name` gives what is written its name, in one step, and leaves none of its own."""
    import tempfile

    try:
        own_directory(path.parent)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as scratch:
            try:
                scratch.write(content)
                scratch.flush()
                os.fsync(scratch.fileno())
                name(scratch.name, path)
            except BaseException:
                os.unlink(scratch.name)
                raise
        sync_directory(path.parent)
    except OSError as error:
        raise Failure(f"{path} cannot be written: {error.strerror}") from error
