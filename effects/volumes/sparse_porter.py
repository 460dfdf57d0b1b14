"""Carries the content of sparse volumes: a snapshot's file is read without its holes, and written with them.

What comes is written under a scratch name, which the next life removes, and is called NAME.staged once it is whole and
sound. An open file can be read to its end although its snapshot is removed meanwhile.
"""

import asyncio
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from effects.command import Command
from effects.errors import SnapshotMissing
from effects.unbroken import taken, to_its_end
from effects.volumes import files
from effects.volumes.clone import scratch_of
from effects.volumes.conditions import on_thread, translated
from effects.volumes.ext4 import check_staged
from journal.durable import settle

STAGED = ".staged"


def staged_file(directory: Path, staged: str) -> Path:
    """Where what was staged under a name lies."""
    return directory / f"{staged}{STAGED}"


class SparsePorter:
    """See the protocol. `directory` is the driver's."""

    def __init__(self, command: Command, directory: Path) -> None:
        self._command = command
        self._directory = directory

    async def read(self, name: str, uid: int, snapshot: int) -> "SparseReading":
        """See the protocol."""
        path = self._directory / f"{name}.{uid}@{snapshot}.img"
        try:
            return await taken(asyncio.to_thread(SparseReading, path), SparseReading.close)
        except FileNotFoundError as error:
            raise SnapshotMissing(f"the file of snapshot {snapshot} of volume {name} is gone ({path})") from error
        except OSError as error:
            raise translated(error) from error

    async def stage(self, staged: str, size_bytes: int) -> "SparseStaging":
        """See the protocol."""
        try:
            path = staged_file(self._directory, staged)
            return await taken(asyncio.to_thread(SparseStaging, self._command, path, size_bytes), SparseStaging.close)
        except OSError as error:
            raise translated(error) from error

    async def unstage(self, staged: str) -> None:
        """See the protocol."""
        path = staged_file(self._directory, staged)
        await on_thread(lambda: _unlink(scratch_of(path), path))


def _unlink(*paths: Path) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


class SparseReading:
    """A snapshot's file, open."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        found = os.fstat(self._fd)
        self.size_bytes = found.st_size
        self.data_bytes = min(found.st_blocks * 512, found.st_size)

    def pieces(self) -> Iterator[tuple[int, bytes]]:
        """See the protocol. What was written as zeroes is left out, too."""
        os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        offset = 0
        while offset < self.size_bytes:
            try:
                offset = os.lseek(self._fd, offset, os.SEEK_DATA)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                raise
            end = os.lseek(self._fd, offset, os.SEEK_HOLE)
            yield from files.data(self._fd, offset, end)
            offset = end

    def close(self) -> None:
        """See the protocol."""
        os.close(self._fd)


class SparseStaging:
    """A file that is being written."""

    def __init__(self, command: Command, path: Path, size_bytes: int) -> None:
        self._command = command
        self._path, self._scratch = path, scratch_of(path)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fd = os.open(self._scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(self._fd, size_bytes)
        except BaseException:
            self.close()
            raise

    def write(self, offset: int, content: bytes) -> None:
        """See the protocol."""
        files.write(self._fd, offset, content)

    async def settle(self) -> None:
        """See the protocol. What cannot be mended by itself is refused before there is a volume of it."""
        await check_staged(self._command, str(self._scratch))
        try:
            await to_its_end(asyncio.to_thread(settle, self._scratch, self._path))
        except OSError as error:
            raise translated(error) from error

    def close(self) -> None:
        """See the protocol."""
        os.close(self._fd)
        self._scratch.unlink(missing_ok=True)
