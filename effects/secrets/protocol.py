"""What a driver of secrets' files must do: the contract that the real one and its twin both keep.

A workload's incarnation (`name`, `uid`) has a place in memory with its files, by directories: each is mounted into the
container where the files' paths say, and what changes in it is seen there. Every method may be called again after any
crash: it looks, compares, acts. Failures are `DriverError`s.
"""

import hashlib
import posixpath
from typing import Protocol

import msgspec


class SecretContent(msgspec.Struct, frozen=True):
    """A file as it shall be, at `path` inside. `content` is in clear; never log it."""

    path: str
    content: bytes
    mode: int
    uid: int
    gid: int


class SeenFiles(msgspec.Struct, frozen=True):
    """One incarnation's place. `files` are the places of its files in it: see `place_of`."""

    name: str
    uid: int
    files: frozenset[str]


class SecretDirectory(msgspec.Struct, frozen=True):
    """A directory of the machine that is to be at `target` inside."""

    source: str
    target: str


class SecretFilesDriver(Protocol):
    """Files in memory, on one kind of machine."""

    async def observe(self) -> tuple[SeenFiles, ...]:
        """Every place there is, with its whole files."""
        ...

    async def ensure(self, name: str, uid: int, files: tuple[SecretContent, ...]) -> None:
        """The incarnation's place has just these files. A reader sees each whole, as it was or as it is. What a
        workload made in its place of the mounts of it leads nowhere else. Raises MemoryFull."""
        ...

    async def remove(self, name: str, uid: int) -> None:
        """Nothing is left of the incarnation's place."""
        ...

    def directories(self, name: str, uid: int, paths: tuple[str, ...]) -> tuple[SecretDirectory, ...]:
        """What is to be mounted for files at these paths inside."""
        ...


def place_of(path: str) -> str:
    """Where the file of a path inside is in its incarnation's place: a directory of the path's, and the file's name."""
    directory, name = posixpath.split(posixpath.normpath(path))
    return f"{hashlib.sha256(directory.encode()).hexdigest()[:24]}/{name}"


def targets_of(paths: tuple[str, ...]) -> dict[str, str]:
    """The directories inside that files at these paths take, each by its directory in the place."""
    return {place_of(path).partition("/")[0]: posixpath.dirname(posixpath.normpath(path)) for path in paths}
