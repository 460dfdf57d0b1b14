"""Small files that are there whole or not at all, and names that survive a power cut. Blocking."""

import os
from collections.abc import Mapping
from pathlib import Path


def write_durably(path: Path, content: bytes) -> None:
    """The file is there whole, or not at all, whatever happens. Mode 0600. Raises OSError."""
    write_all_durably(path.parent, {path.name: content})


def write_all_durably(directory: Path, contents: Mapping[str, bytes]) -> None:
    """The same of several files, by name: each is whole or not there, and all of them are when this returns."""
    for name, content in contents.items():
        scratch = directory / f".{name}.{os.getpid()}"
        fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            left = memoryview(content)
            while left:  # a disk that is nearly full takes less than it was given
                left = left[os.write(fd, left) :]
            os.fsync(fd)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
        finally:
            os.close(fd)
        os.replace(scratch, directory / name)
    sync_directory(directory)


def sync_directory(directory: Path) -> None:
    """Names in the directory survive a power cut."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """What was written into it, by whomever, survives a power cut. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def settle(scratch: Path, path: Path) -> None:
    """Give what was made its name, once it is on the disk. Raises OSError."""
    sync_file(scratch)
    os.replace(scratch, path)
    sync_directory(path.parent)
