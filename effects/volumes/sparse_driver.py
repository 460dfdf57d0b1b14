"""The driver of volumes where there is no device mapper: a sparse file each, ext4 in it, mounted through a loop device,
or opened by a microVM's monitor as it is.

    volumes/NAME.UID.img            the volume          volumes/NAME.UID@SNAPSHOT.img   a snapshot
    volumes/.….making               half made: removed when the next life begins
    volumes/NAME.staged             came whole, for a volume to be (sparse_porter.py)

Loop devices are made by `mount` itself with the flag that frees them on unmount, so a crash leaves none behind. Files
are made under a scratch name and renamed when they are whole and on the disk.
"""

import asyncio
import logging
import os
import re
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from effects import held
from effects.command import Command
from effects.errors import (
    NotDetached,
    SnapshotMissing,
    VolumeBusy,
    VolumeFailed,
    VolumeMissing,
)
from effects.volumes import files
from effects.volumes.attached import Attached
from effects.volumes.clone import SCRATCH, clone, drafted, frozen_clone, scratch_of, thaw
from effects.volumes.conditions import full, translated
from effects.volumes.ext4 import BLOCK_BYTES, MKFS, MOUNT_OPTIONS, check
from effects.volumes.guests import Guests, NoGuests
from effects.volumes.mount_news import mount_news
from effects.volumes.mounts import mount_points, mounted_volumes, open_device
from effects.volumes.sparse_porter import STAGED, staged_file
from journal.durable import settle
from projections.storage import Fill, SeenSnapshot, SeenVolume, SnapshotMethod

_FILE = re.compile(r"(?P<name>[^.@]+)\.(?P<uid>\d+)(?:@(?P<snapshot>\d+))?\.img")
LONG_WORK_AT_ONCE = 2
"""Copies may take minutes each: they have threads of their own, so that nobody else waits for one."""

log = logging.getLogger(__name__)

T = TypeVar("T")


class SparseVolumes:
    """See the protocol. `directory` is kept, `mounts` is volatile; `guests` are asked about what is attached."""

    def __init__(self, command: Command, directory: Path, mounts: Path) -> None:
        self._command = command
        self._directory = directory
        self._mounts = mounts
        self._attached = Attached(mounts)
        self.guests: Guests = NoGuests()
        self._long = ThreadPoolExecutor(LONG_WORK_AT_ONCE, thread_name_prefix="volumes")
        self._stop = threading.Event()

    async def close(self) -> None:
        """See the protocol. A thread hears of no cancellation: it would go on beside the next life's."""
        self._stop.set()
        await asyncio.to_thread(self._long.shutdown, wait=True, cancel_futures=True)

    # --- looking -------------------------------------------------------------------------------------------------

    async def thaw(self) -> None:
        """See the protocol."""
        await self._on_thread(self._thaw)

    def _thaw(self) -> None:
        for name, uid in self._found_mounts():
            try:
                thaw(self.path(name, uid))
            except OSError as error:
                log.warning("volume %s may be frozen: %s", name, error)

    async def sweep(self, staged: frozenset[str]) -> None:
        """See the protocol."""
        await self._on_thread(lambda: self._sweep(staged))

    def _sweep(self, staged: frozenset[str]) -> None:
        directory = self._made_directory()
        stays = {staged_file(directory, one) for one in staged}
        for path in (*directory.glob(f".*{SCRATCH}"), *(set(directory.glob(f"*{STAGED}")) - stays)):
            path.unlink(missing_ok=True)

    async def mounted(self) -> frozenset[tuple[str, int]]:
        """See the protocol."""
        return frozenset(await self._on_thread(lambda: {*self._found_mounts(), *self._attached.all()}))

    def _found_mounts(self) -> dict[tuple[str, int], bool]:
        """The mounted ones, and whether each takes no writes any more."""
        return mounted_volumes(self._mounts)

    async def observe(self) -> tuple[SeenVolume, ...]:
        """See the protocol."""
        return await self._on_thread(self._observe)

    def _observe(self) -> tuple[SeenVolume, ...]:
        mounted, attached = self._found_mounts(), self._attached.all()
        found: list[SeenVolume] = []
        snapshots: dict[tuple[str, int], list[SeenSnapshot]] = {}
        for path in sorted(self._directory.iterdir()) if self._directory.exists() else ():
            match = _FILE.fullmatch(path.name)
            if match is None:
                continue
            name, uid = match["name"], int(match["uid"])
            try:
                if match["snapshot"] is None:
                    broken = mounted.get((name, uid))
                    in_use = broken is not None or (name, uid) in attached
                    one = SeenVolume(name, uid, path.stat().st_size, files.taken_bytes(path), in_use)
                    found.append(replace(one, read_only=bool(broken)))
                else:
                    snapshots.setdefault((name, uid), []).append(files.seen_snapshot(path, int(match["snapshot"])))
            except FileNotFoundError:
                continue  # removed just now
            except OSError as error:  # one broken file holds up nobody else's
                log.warning("%s cannot be looked at: %s", path, error)
        return tuple(replace(one, snapshots=tuple(snapshots.get((one.name, one.uid), ()))) for one in found)

    def _made_directory(self) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self._directory

    def path(self, name: str, uid: int) -> str:
        """See the protocol."""
        return str(self._mounts / f"{name}.{uid}")

    def _image(self, name: str, uid: int, snapshot: int = 0) -> Path:
        return self._directory / (f"{name}.{uid}@{snapshot}.img" if snapshot else f"{name}.{uid}.img")

    def _existing(self, name: str, uid: int, snapshot: int = 0) -> Path:
        image = self._image(name, uid, snapshot)
        if not image.exists():
            if snapshot:
                raise SnapshotMissing(f"the file of snapshot {snapshot} of volume {name} is gone ({image})")
            raise VolumeMissing(f"the file of volume {name} is gone ({image}): put it back there, or delete the volume")
        return image

    def _is_mounted(self, name: str, uid: int) -> bool:
        return self.path(name, uid) in mount_points()

    async def _is_open(self, name: str, uid: int) -> bool:
        """Whether somebody has its file system mounted, here or in a namespace of their own, or may have in a guest."""
        image = self._image(name, uid)
        if self._is_mounted(name, uid) or self._attached.has(name, uid):
            return True
        return await self._on_thread(lambda: bool(open_device(image)) or held.is_held(image))

    async def mounts(self) -> AsyncIterator[None]:
        """See the protocol."""
        async for _ in mount_news():
            yield

    # --- making --------------------------------------------------------------------------------------------------

    async def make(self, name: str, uid: int, size_bytes: int) -> None:
        """See the protocol."""
        image = self._image(name, uid)
        if image.exists():
            await self.grow(name, uid, size_bytes)
            return
        scratch = scratch_of(image)
        try:
            await self._on_thread(lambda: files.sized(scratch, size_bytes))
            await self._good(*MKFS, str(scratch))
            await self._on_thread(lambda: settle(scratch, image))
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise

    async def adopt(self, name: str, uid: int, staged: str) -> None:
        """See the protocol."""
        image, source = self._image(name, uid), staged_file(self._directory, staged)
        if image.exists():
            return
        if not source.exists():
            raise VolumeMissing(f"what was imported as volume {name} is gone ({source}): import it again")
        await self._on_thread(lambda: settle(source, image))

    async def grow(self, name: str, uid: int, size_bytes: int) -> None:
        """See the protocol."""
        image = self._existing(name, uid)
        if await self._on_thread(lambda: files.filesystem_bytes(image)) + BLOCK_BYTES > size_bytes:
            return
        if await self._is_open(name, uid):
            raise NotDetached(f"volume {name} is in use: stop its workload, then resize it")
        await self._grow(name, image, size_bytes)
        await self._on_thread(lambda: settle(image, image))

    async def _grow(self, name: str, image: Path, size_bytes: int) -> None:
        await check(self._command, name, str(image))
        await self._on_thread(lambda: files.sized(image, size_bytes))
        await self._good("resize2fs", "-f", str(image))

    async def remove(self, name: str, uid: int) -> None:
        """See the protocol."""
        await self.unmount(name, uid)
        await self.detach(name, uid)
        if await self._is_open(name, uid):
            raise VolumeBusy(f"volume {name} is not mounted here, but a process has it open still")
        snapshots = self._directory.glob(f"{name}.{uid}@*.img")
        await self._on_thread(lambda: files.unlink(*snapshots, self._image(name, uid)))

    # --- using ---------------------------------------------------------------------------------------------------

    async def mount(self, name: str, uid: int) -> str:
        """See the protocol."""
        target = Path(self.path(name, uid))
        broken = (await self._on_thread(self._found_mounts)).get((name, uid))
        if broken is False:
            return str(target)
        image = self._existing(name, uid)
        if self._attached.has(name, uid) or await self._on_thread(lambda: held.is_held(image)):
            raise VolumeBusy(f"volume {name} is attached to a microVM: it has one user at a time")
        if broken:
            log.warning("the file system of volume %s went read only by an error: it is checked and mounted anew", name)
            await self.unmount(name, uid)
        await self._on_thread(lambda: target.mkdir(parents=True, exist_ok=True, mode=0o700))
        device = await self._on_thread(lambda: open_device(image))
        if device:
            # Another hand unmounted it here, and its workload goes on with it: a check would look at half of
            # something, and a second loop device would be a second file system on the same blocks.
            await self._good("mount", "-t", "ext4", "-o", MOUNT_OPTIONS, device, str(target))
            return str(target)
        await check(self._command, name, str(image))
        await self._good("mount", "-t", "ext4", "-o", f"loop,{MOUNT_OPTIONS}", str(image), str(target))
        return str(target)

    async def unmount(self, name: str, uid: int) -> None:
        """See the protocol."""
        target = Path(self.path(name, uid))
        if self._is_mounted(name, uid):
            code, said = await self._command("umount", str(target))
            if code and self._is_mounted(name, uid):
                raise VolumeBusy(f"volume {name} cannot be unmounted: {said.strip()}. Something still uses it")
        if target.exists():
            await self._on_thread(target.rmdir)

    async def attach(self, name: str, uid: int) -> str:
        """See the protocol."""
        image = self._existing(name, uid)
        in_a_guest = await self._on_thread(lambda: held.is_held(image))
        if in_a_guest and not self._attached.has(name, uid):
            raise VolumeBusy(f"volume {name} is open in a virtual machine that it was not attached to")
        if self._is_mounted(name, uid) or await self._on_thread(lambda: bool(open_device(image))):
            raise VolumeBusy(f"volume {name} is mounted on the machine: it has one user at a time")
        if not in_a_guest:
            await check(self._command, name, str(image))
            await self._on_thread(lambda: self._attached.add(name, uid, image))
        return str(image)

    async def detach(self, name: str, uid: int) -> None:
        """See the protocol."""
        image = self._image(name, uid)
        if not self._attached.has(name, uid):
            return
        if await self._on_thread(lambda: held.is_held(image)):
            raise VolumeBusy(f"volume {name} cannot be detached: a virtual machine has it open")
        if image.exists():
            await self._on_thread(lambda: settle(image, image))
        await self._on_thread(lambda: self._attached.remove(name, uid))

    # --- snapshots -----------------------------------------------------------------------------------------------

    async def snapshot(self, name: str, uid: int, snapshot: int) -> SnapshotMethod:
        """See the protocol. A mounted file system is frozen meanwhile: for a moment by reflink, longer by copy."""
        target = self._image(name, uid, snapshot)
        if target.exists():
            return (await self._on_thread(lambda: files.seen_snapshot(target, snapshot))).method
        image = self._existing(name, uid)
        broken = (await self._on_thread(self._found_mounts)).get((name, uid))
        if broken:
            raise VolumeFailed(
                f"the file system of volume {name} went read only by an error: restart its workload first"
            )
        if self._attached.has(name, uid):
            return await self._snapshot_of_attached(name, uid, image, target)
        if broken is None and await self._is_open(name, uid):
            raise VolumeFailed(f"volume {name} was unmounted by another hand while it is in use: it cannot be frozen")
        point = "" if broken is None else self.path(name, uid)
        return await self._on_thread(lambda: frozen_clone(image, target, point, self._stop), self._long)

    async def _snapshot_of_attached(self, name: str, uid: int, image: Path, target: Path) -> SnapshotMethod:
        """Its guest freezes it; the copy has its name only once that says that it held still all the while. Where there
        is none, none begins meanwhile: its monitor is refused the file, as by another's, and tried again."""
        if not await self._on_thread(lambda: held.is_held(image)):
            return await self._on_thread(lambda: self._cloned_alone(image, target), self._long)
        try:
            async with self.guests.frozen(name, uid):
                method = await self._on_thread(lambda: drafted(image, target, self._stop), self._long)
            await self._on_thread(lambda: settle(scratch_of(target), target))
        finally:
            scratch_of(target).unlink(missing_ok=True)
        return method

    def _cloned_alone(self, image: Path, target: Path) -> SnapshotMethod:
        fd = held.opened(image, shared=True)
        try:
            return frozen_clone(image, target, "", self._stop)
        finally:
            os.close(fd)

    async def restore(self, name: str, uid: int, snapshot: int, size_bytes: int) -> None:
        """See the protocol."""
        if await self._is_open(name, uid):
            raise NotDetached(f"volume {name} is in use: its content cannot be replaced under its workload")
        source, image = self._existing(name, uid, snapshot), self._image(name, uid)
        self._existing(name, uid)
        scratch = scratch_of(image)
        try:
            await self._on_thread(lambda: clone(source, scratch, self._stop), self._long)
            if await self._on_thread(lambda: files.filesystem_bytes(scratch)) + BLOCK_BYTES <= size_bytes:
                await self._grow(name, scratch, size_bytes)
            await self._on_thread(lambda: settle(scratch, image))
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise

    async def remove_snapshot(self, name: str, uid: int, snapshot: int) -> None:
        """See the protocol."""
        await self._on_thread(lambda: files.unlink(self._image(name, uid, snapshot)))

    # --- sizes ---------------------------------------------------------------------------------------------------

    async def usage(self, name: str, uid: int) -> Fill | None:
        """See the protocol."""
        if self._attached.has(name, uid):
            return await self.guests.usage(name, uid)
        if not self._is_mounted(name, uid):
            return None
        return await self._on_thread(lambda: files.fill_of(self.path(name, uid)))

    async def pool(self) -> Fill:
        """See the protocol. Here it is the file system under the state directory."""
        return await self._on_thread(lambda: files.fill_of(str(self._made_directory())))

    # --- doing ---------------------------------------------------------------------------------------------------

    async def _good(self, *argv: str) -> None:
        code, said = await self._command(*argv)
        if code:
            if "No space left" in said:
                raise full()
            raise VolumeFailed(f"`{' '.join(argv)}`: exit {code}: {said.strip()[-300:]}")

    async def _on_thread(self, work: Callable[[], T], pool: ThreadPoolExecutor | None = None) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, work)
        except OSError as error:
            raise translated(error) from error
