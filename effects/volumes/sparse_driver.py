"""The driver of volumes where there is no device mapper: a sparse file each, ext4 in it, mounted through a loop device.

    volumes/NAME.UID.img            the volume          volumes/NAME.UID@SNAPSHOT.img   a snapshot
    volumes/.….making               half made: removed at the next look

Loop devices are made by `mount` itself with the flag that frees them on unmount, so a crash leaves none behind. Files
are made under a scratch name and renamed when they are whole and on the disk.
"""

import asyncio
import errno
import fcntl
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from msgspec.structs import replace

from effects.errors import (
    DriverError,
    NoSpace,
    NotDetached,
    VolumeBusy,
    VolumeDamaged,
    VolumeFailed,
    VolumeMissing,
)
from effects.volumes.clone import SCRATCH, clone, scratch_of, sync_directory
from effects.volumes.protocol import Fill, SeenSnapshot, SeenVolume, SnapshotMethod

_FILE = re.compile(r"(?P<name>[^.@]+)\.(?P<uid>\d+)(?:@(?P<snapshot>\d+))?\.img")
_FIFREEZE, _FITHAW = 0xC0045877, 0xC0045878
_MKFS = ("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "nodiscard,lazy_itable_init=1,lazy_journal_init=1")
BLOCK_BYTES = 4096
_FSCK_USABLE = 2
"""e2fsck's exit codes below this: clean, or made so."""

T = TypeVar("T")


class Command(Protocol):
    """Runs a process to its end and returns its exit code and what it printed, both streams together."""

    def __call__(self, *argv: str) -> Awaitable[tuple[int, str]]: ...


class SparseVolumes:
    """See the protocol. `directory` is kept, `mounts` is volatile."""

    def __init__(self, command: Command, directory: Path, mounts: Path) -> None:
        self._command = command
        self._directory = directory
        self._mounts = mounts
        self._at_work: set[Path] = set()

    # --- looking -------------------------------------------------------------------------------------------------

    async def observe(self) -> tuple[SeenVolume, ...]:
        """See the protocol."""
        return await self._on_thread(self._observe)

    def _observe(self) -> tuple[SeenVolume, ...]:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        mounted = _mount_points()
        found: list[SeenVolume] = []
        snapshots: dict[tuple[str, int], list[SeenSnapshot]] = {}
        for path in sorted(self._directory.iterdir()):
            if path.name.endswith(SCRATCH):
                if path not in self._at_work:
                    path.unlink(missing_ok=True)
                continue
            match = _FILE.fullmatch(path.name)
            if match is None:
                continue
            name, uid = match["name"], int(match["uid"])
            try:
                if match["snapshot"] is None:
                    found.append(self._seen(path, name, uid, self.path(name, uid) in mounted))
                else:
                    snapshots.setdefault((name, uid), []).append(_seen_snapshot(path, int(match["snapshot"])))
            except FileNotFoundError:
                continue  # removed just now
        return tuple(replace(one, snapshots=tuple(snapshots.get((one.name, one.uid), ()))) for one in found)

    def _seen(self, path: Path, name: str, uid: int, is_mounted: bool) -> SeenVolume:
        point = self.path(name, uid)
        if is_mounted and Path(point) not in self._at_work:
            _thaw(point)
        return SeenVolume(name, uid, path.stat().st_size, _taken(path), is_mounted)

    def path(self, name: str, uid: int) -> str:
        """See the protocol."""
        return str(self._mounts / f"{name}.{uid}")

    def _image(self, name: str, uid: int, snapshot: int = 0) -> Path:
        return self._directory / (f"{name}.{uid}@{snapshot}.img" if snapshot else f"{name}.{uid}.img")

    def _existing(self, name: str, uid: int, snapshot: int = 0) -> Path:
        image = self._image(name, uid, snapshot)
        if not image.exists():
            what = f"snapshot {snapshot} of volume {name}" if snapshot else f"volume {name}"
            raise VolumeMissing(f"the file of {what} is gone ({image}): restore the volume, or delete it")
        return image

    def _is_mounted(self, name: str, uid: int) -> bool:
        return self.path(name, uid) in _mount_points()

    # --- making --------------------------------------------------------------------------------------------------

    @contextmanager
    def _making(self, image: Path, frozen: str = "") -> Iterator[Path]:
        """The name under which the file is made. Whoever looks meanwhile takes neither it nor the file system that is
        frozen for it for a crash's."""
        scratch = scratch_of(image)
        mine = {scratch, Path(frozen)}
        self._at_work |= mine
        try:
            yield scratch
        finally:
            self._at_work -= mine

    async def ensure(self, name: str, uid: int, size_bytes: int) -> None:
        """See the protocol."""
        image = self._image(name, uid)
        if not image.exists():
            await self._make(image, size_bytes)
        elif _filesystem_bytes(image) + BLOCK_BYTES <= size_bytes:
            await self._grow(name, uid, size_bytes)

    async def _make(self, image: Path, size_bytes: int) -> None:
        with self._making(image) as scratch:
            try:
                await self._on_thread(lambda: _sized(scratch, size_bytes))
                await self._good(*_MKFS, str(scratch))
                await self._on_thread(lambda: _settle(scratch, image))
            except BaseException:
                scratch.unlink(missing_ok=True)
                raise

    async def _grow(self, name: str, uid: int, size_bytes: int) -> None:
        if self._is_mounted(name, uid):
            raise NotDetached(f"volume {name} is in use: stop its workload, then resize it")
        image = self._existing(name, uid)
        await self._check(name, image)
        await self._on_thread(lambda: _sized(image, size_bytes))
        await self._good("resize2fs", "-f", str(image))
        await self._on_thread(lambda: _settle(image, image))

    async def remove(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self.unmount(name, uid)
        for path in self._directory.glob(f"{name}.{uid}@*.img"):
            path.unlink(missing_ok=True)
        self._image(name, uid).unlink(missing_ok=True)
        await self._on_thread(lambda: sync_directory(self._directory))

    # --- using ---------------------------------------------------------------------------------------------------

    async def mount(self, name: str, uid: int) -> str:
        """See the protocol."""
        target = Path(self.path(name, uid))
        if self._is_mounted(name, uid):
            return str(target)
        image = self._existing(name, uid)
        await self._check(name, image)
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._good("mount", "-t", "ext4", "-o", "loop,noatime,nosuid,nodev", str(image), str(target))
        return str(target)

    async def unmount(self, name: str, uid: int) -> None:
        """See the protocol."""
        target = Path(self.path(name, uid))
        if self._is_mounted(name, uid):
            code, said = await self._command("umount", str(target))
            if code and self._is_mounted(name, uid):
                raise VolumeBusy(f"volume {name} cannot be unmounted: {said.strip()}. Something still uses it")
        if target.exists():
            target.rmdir()

    async def _check(self, name: str, image: Path) -> None:
        """Replays the file system's journal after a crash, and mends what is safe to mend."""
        code, said = await self._command("e2fsck", "-p", str(image))
        if code >= _FSCK_USABLE:
            raise VolumeDamaged(
                f"the file system of volume {name} is damaged and cannot be mended by itself: {said.strip()[-300:]}. "
                f"Restore a snapshot, or run `e2fsck {image}` by hand"
            )

    # --- snapshots -----------------------------------------------------------------------------------------------

    async def snapshot(self, name: str, uid: int, snapshot: int) -> SnapshotMethod:
        """See the protocol. A mounted file system is frozen meanwhile: for a moment by reflink, longer by copy."""
        target = self._image(name, uid, snapshot)
        if target.exists():
            return _seen_snapshot(target, snapshot).method
        image = self._existing(name, uid)
        point = self.path(name, uid) if self._is_mounted(name, uid) else ""
        with self._making(target, point):
            shared = await self._on_thread(lambda: _frozen_clone(image, target, point))
        os.setxattr(target, _METHOD, b"reflink" if shared else b"copy")
        return "reflink" if shared else "copy"

    async def restore(self, name: str, uid: int, snapshot: int, size_bytes: int) -> None:
        """See the protocol."""
        if self._is_mounted(name, uid):
            raise NotDetached(f"volume {name} is in use: its content cannot be replaced under its workload")
        source, image = self._existing(name, uid, snapshot), self._image(name, uid)
        with self._making(image):
            await self._on_thread(lambda: clone(source, image))
        await self.ensure(name, uid, size_bytes)

    async def remove_snapshot(self, name: str, uid: int, snapshot: int) -> None:
        """See the protocol."""
        self._image(name, uid, snapshot).unlink(missing_ok=True)

    # --- sizes ---------------------------------------------------------------------------------------------------

    async def usage(self, name: str, uid: int) -> Fill | None:
        """See the protocol."""
        return _fill(self.path(name, uid)) if self._is_mounted(name, uid) else None

    async def pool(self) -> Fill:
        """See the protocol. Here it is the file system under the state directory."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _fill(str(self._directory))

    # --- doing ---------------------------------------------------------------------------------------------------

    async def _good(self, *argv: str) -> None:
        code, said = await self._command(*argv)
        if code:
            if "No space left" in said:
                raise NoSpace("the disk under the volumes is full: free space there, or delete snapshots")
            raise VolumeFailed(f"`{' '.join(argv)}`: exit {code}: {said.strip()[-300:]}")

    async def _on_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            raise _translated(error) from error


_METHOD = "user.capsule.method"


def _translated(error: OSError) -> DriverError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpace("the disk under the volumes is full: free space there, or delete snapshots")
    return VolumeFailed(f"{error.filename or 'a volume'}: {error.strerror}")


def _sized(path: Path, size_bytes: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("ab") as file:
        file.truncate(size_bytes)


def _filesystem_bytes(image: Path) -> int:
    """How large the file system says it is: the file may be larger already when a grow was cut short.

    Source: the ext4 superblock, 1024 bytes in: block count at 0x4 and 0x150, logarithm of the block size at 0x18.
    """
    with image.open("rb") as file:
        file.seek(1024)
        block = file.read(1024)
    low, high = (int.from_bytes(block[at : at + 4], "little") for at in (0x4, 0x150))
    return ((high << 32) + low) << (10 + int.from_bytes(block[0x18:0x1C], "little"))


def _settle(scratch: Path, image: Path) -> None:
    fd = os.open(scratch, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(scratch, image)
    sync_directory(image.parent)


def _frozen_clone(image: Path, target: Path, mounted_at: str) -> bool:
    """A clone of one moment. The freeze is taken back whatever happens; after a crash the next look does it."""
    if not mounted_at:
        return clone(image, target)
    point = os.open(mounted_at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(point, _FIFREEZE, 0)
        try:
            return clone(image, target)
        finally:
            fcntl.ioctl(point, _FITHAW, 0)
    finally:
        os.close(point)


def _thaw(mounted_at: str) -> None:
    point = os.open(mounted_at, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(point, _FITHAW, 0)
    except OSError as error:
        if error.errno != errno.EINVAL:  # it was not frozen: as it should be
            raise
    finally:
        os.close(point)


def _seen_snapshot(path: Path, snapshot: int) -> SeenSnapshot:
    try:
        shared = os.getxattr(path, _METHOD) == b"reflink"
    except OSError:
        shared = False
    return SeenSnapshot(snapshot, path.stat().st_size, _taken(path), "reflink" if shared else "copy")


def _taken(path: Path) -> int:
    return path.stat().st_blocks * 512


def _fill(path: str) -> Fill:
    stat = os.statvfs(path)
    total = stat.f_blocks * stat.f_frsize
    return Fill(total, total - stat.f_bfree * stat.f_frsize)


def _mount_points() -> set[str]:
    """Of this process's mount namespace. Names of volumes have nothing that would stand escaped there."""
    with open("/proc/self/mountinfo") as file:
        return {line.split()[4] for line in file}
