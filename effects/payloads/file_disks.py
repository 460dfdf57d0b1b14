"""Payload disks as files, each made from a view of its image's layers in containerd.

    payloads/DIGEST.img             a disk          payloads/.….making     half made: removed when the next life begins
                                                    payloads/.….leaving    removed at this moment, or then

A disk gets its name once all of it is on the disk below. What is made is made once, however many wait for it.
"""

import asyncio
import errno
import logging
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from effects import held
from effects.command import Command, how_it_ended
from effects.containerd.connection import Connection
from effects.containerd.passing import Passing
from effects.errors import DriverError, NoSpace, PayloadFailed
from effects.images.leases import Leases
from effects.images.rootfs import RootFsSource
from effects.images.views import Views
from effects.payloads import file, tree
from effects.threads import on_thread
from effects.volumes.clone import SCRATCH, scratch_of
from journal.durable import settle, sync_directory

_FILE = re.compile(r"([0-9a-f]{64})\.img")
_VIEW = "payload-"
_LEAVING = ".leaving"
"""Not the name under which one is made: while a large file goes, the same disk may be wanted again."""
BUILDS_AT_ONCE = 2
"""Each reads a whole image and writes it: more of them are not sooner done."""

log = logging.getLogger(__name__)


class FileDisks:
    """See the protocol. `directory` is kept; `place` is volatile, and only a process that makes a disk mounts there."""

    def __init__(
        self,
        connection: Connection,
        images: RootFsSource,
        leases: Leases,
        command: Command,
        directory: Path,
        place: Path,
    ) -> None:
        self._views = Views(connection, images, leases, Passing(connection, _VIEW))
        self._command = command
        self._directory = directory
        self._place = place
        self._making: dict[str, asyncio.Future[None]] = {}
        self._room = asyncio.Semaphore(BUILDS_AT_ONCE)

    async def sweep(self) -> None:
        """See the protocol."""
        await on_thread(self._sweep, _translated)
        await self._views.sweep()

    def _sweep(self) -> None:
        for path in (*self._directory.glob(f".*{SCRATCH}"), *self._directory.glob(f".*{_LEAVING}")):
            path.unlink(missing_ok=True)

    async def close(self) -> None:
        """See the protocol."""
        making = tuple(self._making.values())
        for one in making:
            one.cancel()
        await asyncio.gather(*making, return_exceptions=True)

    # --- making --------------------------------------------------------------------------------------------------

    async def ensure(self, digest: str) -> str:
        """See the protocol."""
        path = self._path(digest)
        making = self._making.get(digest)
        if making is None:
            if await on_thread(lambda: file.is_whole(path, digest), _translated):
                return str(path)
            # While this looked, somebody else may have begun.
            making = self._making.get(digest)
        if making is None:
            making = self._making[digest] = asyncio.ensure_future(self._made(digest, path))
            making.add_done_callback(lambda done: self._ended(digest, done))
        await asyncio.shield(making)
        return str(path)

    def _ended(self, digest: str, done: "asyncio.Future[None]") -> None:
        del self._making[digest]
        if not done.cancelled():
            done.exception()  # whoever asked may have gone: then nobody else hears of it

    def _path(self, digest: str) -> Path:
        return self._directory / f"{digest.partition(':')[2]}.img"

    async def _made(self, digest: str, path: Path) -> None:
        async with self._room:
            if path.exists():
                log.warning("%s is damaged: it is made anew from its image", path)
            async with self._views.of(digest) as mounts:
                await self._build(mounts, digest, path)

    async def _build(self, mounts: Any, digest: str, path: Path) -> None:
        scratch, place = scratch_of(path), str(self._place)
        try:
            await on_thread(lambda: _fresh(self._directory, self._place, scratch), _translated)
            program = file.program(tree.place(place), scratch, digest)
            code, said = await self._command(*tree.command(mounts, place, *program))
            if code:
                raise _failure(code, said)
            if not await on_thread(lambda: file.is_whole(scratch, digest), _translated):
                raise PayloadFailed(f"the disk of {digest} is made, as the tool says, and is not whole")
            await on_thread(lambda: settle(scratch, path), _translated)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise

    # --- what there is -------------------------------------------------------------------------------------------

    async def observe(self) -> dict[str, int]:
        """See the protocol."""
        return await on_thread(lambda: {digest: _taken(path) for digest, path in self._disks()}, _translated)

    def _disks(self) -> list[tuple[str, Path]]:
        paths = sorted(self._directory.iterdir()) if self._directory.exists() else []
        found = ((_FILE.fullmatch(path.name), path) for path in paths)
        return [(f"sha256:{match[1]}", path) for match, path in found if match is not None]

    async def collect(self, keep: Callable[[], Collection[str]]) -> int:
        """See the protocol."""
        idle = await on_thread(lambda: [one for one in self._disks() if not held.is_held(one[1])], _translated)
        kept = {*keep(), *self._making}
        gone = [(digest, path) for digest, path in idle if digest not in kept]
        for _, path in gone:
            # At once, and without the time that a large file takes.
            path.rename(_leaving(path))
        return await on_thread(lambda: self._remove(gone), _translated) if gone else 0

    def _remove(self, gone: list[tuple[str, Path]]) -> int:
        freed = 0
        for digest, path in gone:
            freed += _taken(_leaving(path))
            _leaving(path).unlink(missing_ok=True)
            log.info("the payload disk of %s is removed: no microVM is declared that uses it", digest)
        sync_directory(self._directory)
        return freed


def _fresh(directory: Path, place: Path, scratch: Path) -> None:
    for one in (directory, place):
        one.mkdir(parents=True, exist_ok=True, mode=0o700)
    scratch.unlink(missing_ok=True)


def _leaving(path: Path) -> Path:
    return path.with_name(f".{path.name}{_LEAVING}")


def _taken(path: Path) -> int:
    try:
        return path.stat().st_blocks * 512
    except FileNotFoundError:  # removed just now
        return 0


def _failure(code: int, said: str) -> DriverError:
    if "No space left" in said or "Disk quota exceeded" in said:
        return _full()
    return PayloadFailed(f"no disk can be made of the image's files: {how_it_ended(code)}: {said.strip()[-300:]}")


def _full() -> NoSpace:
    return NoSpace("the disk is full: the image's files cannot be made a disk. Free space under the state directory")


def _translated(error: OSError) -> DriverError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return _full()
    return PayloadFailed(f"{error.filename or 'a payload disk'}: {error.strerror}")
