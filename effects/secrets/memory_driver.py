"""The driver of secrets' files: on the daemon's file system in memory, a directory for each directory inside.

A file is written apart, where no workload looks, and then renamed into its directory: who reads sees it as it was or as
it is. Directories are opened once and nothing in them is followed, so whatever a privileged workload made of what it
sees, nothing is written anywhere else.
"""

import asyncio
import contextlib
import os
import re
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from effects import plain_files
from effects.memory import mount_memory, unkept
from effects.secrets.protocol import SecretContent, SecretDirectory, SeenFiles, place_of, targets_of

T = TypeVar("T")

_APART = ".new"
_OURS = re.compile(r"[0-9a-f]{24}")


class MemorySecretFiles:
    """See the protocol. `memory` is the file system in memory."""

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._top = memory / "secrets"
        self._one_at_a_time = asyncio.Lock()

    async def observe(self) -> tuple[SeenFiles, ...]:
        """See the protocol."""
        return await self._on_thread(self._observe)

    async def ensure(self, name: str, uid: int, files: tuple[SecretContent, ...]) -> None:
        """See the protocol."""
        await self._on_thread(lambda: self._ensure(self._place(name, uid), files))

    async def remove(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self._on_thread(lambda: self._remove(self._place(name, uid)))

    def directories(self, name: str, uid: int, paths: tuple[str, ...]) -> tuple[SecretDirectory, ...]:
        """See the protocol."""
        place = self._place(name, uid)
        return tuple(SecretDirectory(str(place / key), target) for key, target in targets_of(paths).items())

    async def _on_thread(self, work: Callable[[], T]) -> T:
        """One at a time, and to its end: who is cancelled leaves no thread behind that still writes."""
        async with self._one_at_a_time:
            working = asyncio.ensure_future(asyncio.to_thread(work))
            try:
                return await asyncio.shield(working)
            except asyncio.CancelledError:
                await asyncio.wait((working,))
                raise

    def _place(self, name: str, uid: int) -> Path:
        return self._top / name / str(uid)

    def _observe(self) -> tuple[SeenFiles, ...]:
        places = (one for one in self._top.glob("*/*") if one.name.isdecimal())
        return tuple(SeenFiles(place.parent.name, int(place.name), frozenset(_files_in(place))) for place in places)

    def _ensure(self, place: Path, files: tuple[SecretContent, ...]) -> None:
        try:
            mount_memory(self._memory)
            (place / _APART).mkdir(parents=True, exist_ok=True, mode=0o700)
            wanted: dict[str, set[str]] = {}
            for file in files:
                key, _, base = place_of(file.path).partition("/")
                wanted.setdefault(key, set()).add(base)
                _put(place, key, base, file)
            _leave_only(place, wanted)
        except OSError as error:
            raise unkept(place, error) from error

    def _remove(self, place: Path) -> None:
        try:
            if place.exists():
                shutil.rmtree(place)
        except OSError as error:
            raise unkept(place, error) from error
        with contextlib.suppress(OSError):
            place.parent.rmdir()  # another incarnation's place is in it, or it never was


def _files_in(place: Path) -> set[str]:
    found = set()
    for directory in place.iterdir():
        if _OURS.fullmatch(directory.name):
            found |= {
                f"{directory.name}/{one.name}" for one in os.scandir(directory) if one.is_file(follow_symlinks=False)
            }
    return found


def _put(place: Path, key: str, base: str, file: SecretContent) -> None:
    """Write a file apart and let it take its place, unless it is there as it shall be."""
    (place / key).mkdir(exist_ok=True)
    directory = os.open(place / key, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(directory, 0o755)
        if _is_so(directory, base, file):
            return
        fresh = place / _APART / "file"
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as out:
            out.write(file.content)
            os.fchown(out.fileno(), file.uid, file.gid)
            os.fchmod(out.fileno(), file.mode)
        try:
            os.rename(fresh, base, dst_dir_fd=directory)
        except IsADirectoryError:
            shutil.rmtree(base, dir_fd=directory)  # which follows no links, either
            os.rename(fresh, base, dst_dir_fd=directory)
    finally:
        os.close(directory)


def _is_so(directory: int, base: str, file: SecretContent) -> bool:
    try:
        found = plain_files.opened(base, directory)
    except OSError:
        return False
    try:
        is_ = os.fstat(found)
        if stat.S_IMODE(is_.st_mode) != file.mode:
            return False
        owned = (is_.st_uid, is_.st_gid, is_.st_size) == (file.uid, file.gid, len(file.content))
        return owned and os.pread(found, len(file.content), 0) == file.content
    finally:
        os.close(found)


def _leave_only(place: Path, wanted: dict[str, set[str]]) -> None:
    """Nothing else is in the place; a directory that a container has stays the same one."""
    for directory in place.iterdir():
        keep = wanted.get(directory.name)
        if keep is None:
            shutil.rmtree(directory)
            continue
        for one in os.scandir(directory):
            if one.name in keep:
                continue
            if one.is_dir(follow_symlinks=False):
                shutil.rmtree(one.path)
            else:
                os.unlink(one.path)
