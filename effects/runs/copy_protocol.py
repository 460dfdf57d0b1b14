"""What it takes to copy files into a workload's file system, and out of it."""

from collections.abc import AsyncGenerator, Callable
from typing import Protocol

import msgspec

from journal.specs import Kind


class CopyPlace(msgspec.Struct, frozen=True):
    """`path` in a workload: in its run, as that sees it with all that is mounted in it; or, where `run` is 0 and none
    is alive, in the writable layer of its revision, where `mounted` are the places that other things are mounted at."""

    name: str
    uid: int
    revision: int
    run: int
    path: str
    mounted: tuple[str, ...] = ()
    kind: Kind = "container"


class CopyReport(msgspec.Struct, frozen=True):
    """What came of a copy: how many entries, how much was left out (what is no file, directory or link, what a kernel
    makes up, what had gone when its turn came), how many files became shorter while they were read, and how many bytes
    the archive had."""

    entries: int
    left_out: int = 0
    changed: int = 0
    archive_bytes: int = 0


Give = Callable[[int], bool]
"""Gives a descriptor to somebody else; False if he is not to have it. Raises OSError."""


class Handed(Protocol):
    """A copy whose archive can go past us, from or to somebody else's end of its pipe."""

    def hand(self, give: Give) -> bool:
        """Give our end away; not any more once bytes have moved. Raises OSError; it is ours until it was given."""
        ...

    @property
    def handed(self) -> bool:
        """Whether it was given away: then only the other end knows how many bytes have `moved`."""
        ...

    @property
    def moved(self) -> int:
        """As the other end has told at its end, good or bad."""
        ...


class CopyIn(Handed, Protocol):
    """An archive on its way into a workload. Whoever holds it must `close` it."""

    async def write(self, data: bytes | memoryview) -> None:
        """Some of the archive; waits while it is not taken. Raises CopyFailed, NotRunning."""
        ...

    async def finish(self) -> CopyReport:
        """That was all: what came is put into its place. Raises CopyFailed, and then nothing has changed, or the error
        says what has."""
        ...

    async def close(self) -> None:
        """Of a copy that was not finished nothing is left."""
        ...


class CopyOut(Handed, Protocol):
    """An archive on its way out of a workload. Whoever holds it must `close` it."""

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """The archive, to its end; nothing of it once it was handed on. Raises CopyFailed when it cannot be: then its
        end does not come."""
        ...

    @property
    def report(self) -> CopyReport:
        """What came of it, once all pieces were had."""
        ...

    async def close(self) -> None:
        """Nothing more is read."""
        ...


class Copier(Protocol):
    """Opens copies. Both raise CopyFailed, NotRunning and RuntimeUnavailable before a byte moves."""

    async def into(self, place: CopyPlace) -> CopyIn:
        """Take an archive in."""
        ...

    async def out_of(self, place: CopyPlace) -> CopyOut:
        """Make an archive."""
        ...
