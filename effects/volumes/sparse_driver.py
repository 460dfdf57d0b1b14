"""The driver of volumes where there is no device mapper: a sparse file each, ext4 in it, mounted through a loop device,
or opened by a microVM's monitor as it is.

    volumes/NAME.UID.img            the volume          volumes/NAME.UID@SNAPSHOT.img   a snapshot
    volumes/.….making               half made: removed when the next life begins
    volumes/NAME.staged             came whole, for a volume to be (sparse_porter.py)
    volumes/….img.stranger-NUMBER   another journal's, set aside (asked.py)

Loop devices are made by `mount` itself with the flag that frees them on unmount, so a crash leaves none behind. Files
are made under a scratch name and renamed when they are whole and on the disk.
"""

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec.structs import replace

from effects.command import Command, how_it_ended
from effects.errors import (
    NotDetached,
    SnapshotMissing,
    VolumeBusy,
    VolumeFailed,
    VolumeMissing,
)
from effects.volumes import asked, files
from effects.volumes.clone import SCRATCH, clone, drafted, frozen_clone, method_of, scratch_of, thaw
from effects.volumes.conditions import full, on_thread
from effects.volumes.ext4 import BLOCK_BYTES, MKFS, check, check_snapshot, growth
from effects.volumes.mount_news import mount_news
from effects.volumes.mounts import open_device
from effects.volumes.sparse_porter import STAGED, staged_file
from effects.volumes.superblock import filesystem_bytes
from effects.volumes.uses import Backing, Seen, Uses
from journal.durable import settle, sync_file
from projections.storage import Fill, SeenSnapshot, SeenVolume, SnapshotMethod

_FILE = re.compile(r"(?P<name>[^.@]+)\.(?P<uid>\d+)(?:@(?P<snapshot>\d+))?\.img")
LONG_WORK_AT_ONCE = 2
"""Copies may take minutes each: they have threads of their own, so that nobody else waits for one."""

_TAKES_ROOM = "It takes room until the next start of the daemon tries again, or somebody removes it by hand"

log = logging.getLogger(__name__)


class SparseVolumes:
    """See the protocol. `directory` is kept, `mounts` is volatile."""

    def __init__(self, command: Command, directory: Path, mounts: Path) -> None:
        self._command = command
        self._directory = directory
        self.uses = Uses(command, self._good, Backing(self._image, self._ready, open_device, ("loop",)), mounts)
        self._long = ThreadPoolExecutor(LONG_WORK_AT_ONCE, thread_name_prefix="volumes")
        self._stop = threading.Event()

    async def close(self) -> None:
        """See the protocol. A thread hears of no cancellation: it would go on beside the next life's."""
        self._stop.set()
        await asyncio.to_thread(self._long.shutdown, wait=True, cancel_futures=True)

    # --- looking -------------------------------------------------------------------------------------------------

    async def thaw(self) -> None:
        """See the protocol."""
        points = [(name, self.path(name, uid)) for name, uid in (await self.uses.seen()).mounted]
        await on_thread(lambda: _thawed(points))

    async def sweep(self, staged: frozenset[str], begun: Callable[[], Collection[str]] = tuple) -> None:
        """See the protocol."""
        left = await on_thread(self._left)
        coming = [staged_file(self._directory, one) for one in begun()]
        stays = {*(staged_file(self._directory, one) for one in staged), *coming, *map(scratch_of, coming)}
        over = threading.Event()
        try:
            await on_thread(lambda: _put_away([path for path in left if path not in stays], over))
        finally:
            over.set()

    def _left(self) -> list[Path]:
        directory = self._made_directory()
        return [*directory.glob(f".*{SCRATCH}"), *directory.glob(f"*{STAGED}")]

    async def mounted(self) -> frozenset[tuple[str, int]]:
        """See the protocol."""
        return await self.uses.mounted()

    async def observe(self) -> tuple[SeenVolume, ...]:
        """See the protocol."""
        seen = await self.uses.seen()
        return await on_thread(lambda: self._observe(seen))

    def _observe(self, seen: Seen) -> tuple[SeenVolume, ...]:
        found: list[SeenVolume] = []
        snapshots: dict[tuple[str, int], list[SeenSnapshot]] = {}
        for path in sorted(self._directory.iterdir()) if self._directory.exists() else ():
            match = _FILE.fullmatch(path.name)
            if match is None:
                continue
            name, uid = match["name"], int(match["uid"])
            try:
                sizes = files.sizes_of(path)
            except FileNotFoundError:
                continue  # removed just now
            except OSError as error:
                # One broken file holds up nobody else's. It is there: whoever is told of none takes it for gone.
                log.warning("%s cannot be looked at: %s", path, error)
                sizes = 0, 0
            if match["snapshot"] is None:
                found.append(seen.volume(name, uid, *sizes))
            else:
                one = SeenSnapshot(int(match["snapshot"]), *sizes, method_of(path))
                snapshots.setdefault((name, uid), []).append(one)
        return tuple(replace(one, snapshots=tuple(snapshots.get((one.name, one.uid), ()))) for one in found)

    def _made_directory(self) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._directory

    def path(self, name: str, uid: int) -> str:
        """See the protocol."""
        return self.uses.path(name, uid)

    def _image(self, name: str, uid: int, snapshot: int = 0) -> Path:
        return self._directory / (f"{name}.{uid}@{snapshot}.img" if snapshot else f"{name}.{uid}.img")

    def _existing(self, name: str, uid: int, snapshot: int = 0) -> Path:
        image = self._image(name, uid, snapshot)
        if not image.exists():
            if snapshot:
                raise SnapshotMissing(f"the file of snapshot {snapshot} of volume {name} is gone ({image})")
            raise VolumeMissing(f"the file of volume {name} is gone ({image}): put it back there, or delete the volume")
        return image

    async def _ready(self, name: str, uid: int) -> Path:
        return self._existing(name, uid)

    async def mounts(self) -> AsyncIterator[None]:
        """See the protocol."""
        async for _ in mount_news():
            yield

    # --- making --------------------------------------------------------------------------------------------------

    async def make(self, name: str, uid: int, size_bytes: int, asked_at: int = 0) -> None:
        """See the protocol."""
        image = self._image(name, uid)
        if await on_thread(lambda: _has(image, asked_at)):
            await self.grow(name, uid, size_bytes)
            return
        scratch = scratch_of(image)
        try:
            await on_thread(lambda: files.sized(scratch, size_bytes))
            await self._good(*MKFS, str(scratch))
            await on_thread(lambda: asked.note(scratch, asked_at))
            await on_thread(lambda: settle(scratch, image))
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise

    async def adopt(self, name: str, uid: int, staged: str, asked_at: int = 0, keeps: Collection[int] = ()) -> None:
        """See the protocol."""
        image, source = self._image(name, uid), staged_file(self._directory, staged)
        if not source.exists():
            if image.exists():
                return
            raise VolumeMissing(f"what was imported as volume {name} is gone ({source}): import it again")
        kept = {self._image(name, uid, snapshot) for snapshot in keeps}
        await on_thread(lambda: _make_way(image, kept))
        await on_thread(lambda: asked.note(source, asked_at))
        await on_thread(lambda: settle(source, image))

    async def grow(self, name: str, uid: int, size_bytes: int) -> None:
        """See the protocol."""
        image = self._existing(name, uid)
        if await on_thread(lambda: filesystem_bytes(image)) + BLOCK_BYTES > size_bytes:
            return
        if await self.uses.is_open(name, uid):
            raise NotDetached(f"volume {name} is in use: stop its workload, then resize it")
        await check(self._command, name, str(image))
        await self._enlarge(image, size_bytes)
        await on_thread(lambda: sync_file(image))

    async def _enlarge(self, image: Path, size_bytes: int) -> None:
        sizes = await on_thread(lambda: growth(image, size_bytes))
        await on_thread(lambda: files.sized(image, size_bytes))
        for one in sizes:
            await self._good("resize2fs", "-f", str(image), f"{one // 1024}k")

    async def remove(self, name: str, uid: int, asked_at: int = 0) -> None:
        """See the protocol."""
        await self.unmount(name, uid)
        await self.detach(name, uid)
        if await self.uses.is_open(name, uid):
            raise VolumeBusy(f"volume {name} is not mounted here, but a process has it open still")
        image = self._image(name, uid)
        if asked_at:
            await on_thread(lambda: _has(image, asked_at))
        await on_thread(lambda: files.unlink(*_snapshots_of(image), image))

    # --- using ---------------------------------------------------------------------------------------------------

    async def mount(self, name: str, uid: int) -> str:
        """See the protocol."""
        return await self.uses.mount(name, uid)

    async def unmount(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self.uses.unmount(name, uid)

    async def attach(self, name: str, uid: int) -> str:
        """See the protocol."""
        return await self.uses.attach(name, uid)

    async def detach(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self.uses.detach(name, uid)

    # --- snapshots -----------------------------------------------------------------------------------------------

    async def snapshot(self, name: str, uid: int, snapshot: int, asked_at: int = 0) -> SnapshotMethod:
        """See the protocol. A mounted file system is frozen meanwhile: for a moment by reflink, longer by copy."""
        target = self._image(name, uid, snapshot)
        if await on_thread(lambda: _has(target, asked_at)):
            return await on_thread(lambda: method_of(target))
        image = self._existing(name, uid)
        if await self.uses.use(name, uid) != "mounted":
            return await self._snapshot_of_still(name, uid, image, target, asked_at)
        point = self.path(name, uid)
        return await on_thread(lambda: frozen_clone(image, target, asked_at, point, self._stop), self._long)

    async def _snapshot_of_still(self, name: str, uid: int, image: Path, target: Path, asked_at: int) -> SnapshotMethod:
        """Of one that a guest holds still, or that nobody has: then nobody gets it meanwhile, nor checks it."""
        try:
            async with self.uses.still(name, uid):
                method = await on_thread(lambda: drafted(image, target, asked_at, self._stop), self._long)
            await on_thread(lambda: settle(scratch_of(target), target))
        finally:
            scratch_of(target).unlink(missing_ok=True)
        return method

    async def restore(self, name: str, uid: int, snapshot: int, size_bytes: int) -> None:
        """See the protocol."""
        if await self.uses.is_open(name, uid):
            raise NotDetached(f"volume {name} is in use: its content cannot be replaced under its workload")
        source, image = self._existing(name, uid, snapshot), self._image(name, uid)
        self._existing(name, uid)
        scratch = scratch_of(image)
        try:
            await on_thread(lambda: clone(source, scratch, self._stop), self._long)
            if await on_thread(lambda: filesystem_bytes(scratch)) + BLOCK_BYTES <= size_bytes:
                await check_snapshot(self._command, name, snapshot, str(scratch))
                await self._enlarge(scratch, size_bytes)
            await on_thread(lambda: settle(scratch, image))
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise

    async def remove_snapshot(self, name: str, uid: int, snapshot: int, asked_at: int = 0) -> None:
        """See the protocol."""
        image = self._image(name, uid, snapshot)
        if asked_at:
            await on_thread(lambda: _has(image, asked_at))
        await on_thread(lambda: files.unlink(image))

    # --- sizes ---------------------------------------------------------------------------------------------------

    async def usage(self, name: str, uid: int) -> Fill | None:
        """See the protocol."""
        return await self.uses.usage(name, uid)

    async def pool(self) -> Fill:
        """See the protocol. Here it is the file system under the state directory."""
        return await on_thread(lambda: files.fill_of(str(self._made_directory())))

    # --- doing ---------------------------------------------------------------------------------------------------

    async def _good(self, *argv: str) -> None:
        code, said = await self._command(*argv)
        if code:
            if "No space left" in said:
                raise full()
            raise VolumeFailed(f"`{' '.join(argv)}`: {how_it_ended(code)}: {said.strip()[-300:]}")


def _has(image: Path, asked_at: int) -> bool:
    """Whether what was asked for then is there. Another journal's, under the same name, is set aside; and with a volume
    its snapshots."""
    if not image.exists():
        return False
    if asked.is_of(image, asked_at):
        return True
    asked.set_aside(*_snapshots_of(image), image)
    return False


def _make_way(image: Path, kept: Collection[Path]) -> None:
    others = [one for one in _snapshots_of(image) if one not in kept]
    asked.set_aside(*others, *([image] if image.exists() else ()))


def _snapshots_of(image: Path) -> list[Path]:
    """The files of a volume's snapshots, be it there or not; of a snapshot none."""
    return sorted(image.parent.glob(f"{image.name.removesuffix('.img')}@*.img"))


def _put_away(left: list[Path], over: threading.Event) -> None:
    """A thread hears of no cancellation: once it is `over` these names may be another's."""
    for path in left:
        if over.is_set():
            return
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s, which a life before left half made, cannot be removed: %s. %s", path, error, _TAKES_ROOM)


def _thawed(points: list[tuple[str, str]]) -> None:
    for name, point in points:
        try:
            thaw(point)
        except OSError as error:
            log.warning("volume %s may be frozen: %s", name, error)
