"""What is done with a volume whose file system there is, whatever it lies on: mounted on the machine, or attached to a
microVM as a disk; and who has it open.

    run/volumes/NAME.UID            where it is mounted     run/volumes/NAME.UID.disk       that it is attached
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from effects import held
from effects.command import Command
from effects.errors import VolumeBusy, VolumeFailed
from effects.unbroken import taken
from effects.volumes import files
from effects.volumes.attached import Attached
from effects.volumes.conditions import on_thread, translated
from effects.volumes.ext4 import MOUNT_OPTIONS, check
from effects.volumes.guests import Guests, NoGuests
from effects.volumes.mounts import mounted_volumes
from effects.volumes.superblock import remembers_an_error
from journal.durable import sync_file
from projections.storage import Fill, SeenVolume

log = logging.getLogger(__name__)

Key = tuple[str, int]


class Good(Protocol):
    """Runs a process that has to end well. Raises the condition that its failure is."""

    def __call__(self, *argv: str) -> Awaitable[None]: ...


class Backing(NamedTuple):
    """What file systems lie on: the `disk` of a volume, if it is there; one that is `ready` to be opened, or
    VolumeMissing; the device of one that is mounted `somewhere`, be it in another namespace, or nothing (it blocks);
    and what `mount` has to be told of one that is not mounted yet."""

    disk: Callable[[str, int], Path]
    ready: Callable[[str, int], Awaitable[Path]]
    somewhere: Callable[[Path], str]
    options: tuple[str, ...] = ()


class Seen(NamedTuple):
    """Which volumes are mounted, and which attached; and whether each takes no writes any more."""

    mounted: dict[Key, bool]
    attached: dict[Key, bool]

    def volume(self, name: str, uid: int, size_bytes: int, used_bytes: int) -> SeenVolume:
        """One of these or another, as it is found."""
        in_use = (name, uid) in self.mounted or (name, uid) in self.attached
        return SeenVolume(name, uid, size_bytes, used_bytes, in_use, read_only=self.broken(name, uid))

    def broken(self, name: str, uid: int) -> bool:
        """Whether it is used, and takes no writes any more."""
        return self.mounted.get((name, uid), False) or self.attached.get((name, uid), False)


class Uses:
    """`directory` is volatile; `guests` are asked about what is attached."""

    def __init__(self, command: Command, good: Good, backing: Backing, directory: Path) -> None:
        self._command = command
        self._good = good
        self._backing = backing
        self._directory = directory
        self._attached = Attached(directory)
        self.guests: Guests = NoGuests()

    # --- looking -------------------------------------------------------------------------------------------------

    def path(self, name: str, uid: int) -> str:
        """See the protocol."""
        return str(self._directory / f"{name}.{uid}")

    async def seen(self) -> Seen:
        """What is used at this moment. Raises DriverError."""
        return await on_thread(lambda: Seen(mounted_volumes(self._directory), self._seen_attached()))

    def _seen_attached(self) -> dict[Key, bool]:
        """A guest's mounts are its own. Its kernel writes on the disk that it met an error, and that counts here."""
        return {key: remembers_an_error(self._backing.disk(*key)) for key in self._attached.all()}

    async def mounted(self) -> frozenset[Key]:
        """See the protocol."""
        seen = await self.seen()
        return frozenset((*seen.mounted, *seen.attached))

    async def is_open(self, name: str, uid: int) -> bool:
        """Whether somebody has its file system mounted, here or in a namespace of their own, or may have in a guest."""
        if self._attached.has(name, uid) or (name, uid) in (await self.seen()).mounted:
            return True
        disk = self._backing.disk(name, uid)
        return await on_thread(lambda: bool(self._backing.somewhere(disk)) or held.is_held(disk))

    async def usage(self, name: str, uid: int) -> Fill | None:
        """See the protocol."""
        if self._attached.has(name, uid):
            return await self.guests.usage(name, uid)
        if (name, uid) not in (await self.seen()).mounted:
            return None
        return await on_thread(lambda: files.fill_of(self.path(name, uid)))

    # --- mounted -------------------------------------------------------------------------------------------------

    async def mount(self, name: str, uid: int) -> str:
        """See the protocol."""
        target = Path(self.path(name, uid))
        broken = (await self.seen()).mounted.get((name, uid))
        if broken is False:
            return str(target)
        disk = await self._backing.ready(name, uid)
        if self._attached.has(name, uid) or await on_thread(lambda: held.is_held(disk)):
            raise VolumeBusy(f"volume {name} is attached to a microVM: it has one user at a time")
        if broken:
            log.warning("the file system of volume %s went read only by an error: it is checked and mounted anew", name)
            await self.unmount(name, uid)
        await on_thread(lambda: target.mkdir(parents=True, exist_ok=True, mode=0o700))
        device = await on_thread(lambda: self._backing.somewhere(disk))
        if device:
            # Another hand unmounted it here, and its workload goes on with it: a check would look at half of
            # something, and a second loop device would be a second file system on the same blocks.
            await self._good("mount", "-t", "ext4", "-o", MOUNT_OPTIONS, device, str(target))
            return str(target)
        await check(self._command, name, str(disk))
        options = ",".join((*self._backing.options, MOUNT_OPTIONS))
        await self._good("mount", "-t", "ext4", "-o", options, str(disk), str(target))
        return str(target)

    async def unmount(self, name: str, uid: int) -> None:
        """See the protocol."""
        target = Path(self.path(name, uid))
        if (name, uid) in (await self.seen()).mounted:
            code, said = await self._command("umount", str(target))
            if code and (name, uid) in (await self.seen()).mounted:
                raise VolumeBusy(f"volume {name} cannot be unmounted: {said.strip()}. Something still uses it")
        if target.exists():
            await on_thread(target.rmdir)

    # --- attached ------------------------------------------------------------------------------------------------

    async def attach(self, name: str, uid: int) -> str:
        """See the protocol."""
        disk = await self._backing.ready(name, uid)
        in_a_guest = await on_thread(lambda: held.is_held(disk))
        if in_a_guest and not self._attached.has(name, uid):
            raise VolumeBusy(f"volume {name} is open in a virtual machine that it was not attached to")
        if (name, uid) in (await self.seen()).mounted or await on_thread(lambda: bool(self._backing.somewhere(disk))):
            raise VolumeBusy(f"volume {name} is mounted on the machine: it has one user at a time")
        if not in_a_guest:
            async with self._alone(name, disk):
                await check(self._command, name, str(disk))
                await on_thread(lambda: self._attached.add(name, uid, disk))
        return str(disk)

    @asynccontextmanager
    async def _alone(self, name: str, disk: Path) -> AsyncIterator[None]:
        """Inside, nobody else has the disk. A check writes into it, and whoever copied it meanwhile would have half of
        what the check mended."""
        try:
            alone = await taken(asyncio.to_thread(held.opened, disk, shared=False), os.close)
        except BlockingIOError as error:
            raise VolumeBusy(f"volume {name} was opened at this very moment: it has one user at a time") from error
        except OSError as error:
            raise translated(error) from error
        try:
            yield
        finally:
            os.close(alone)

    async def detach(self, name: str, uid: int) -> None:
        """See the protocol. A virtual machine's last writes may be in the machine's memory: they are waited for."""
        if not self._attached.has(name, uid):
            return
        disk = self._backing.disk(name, uid)
        if await on_thread(lambda: held.is_held(disk)):
            raise VolumeBusy(f"volume {name} cannot be detached: a virtual machine has it open")
        if disk.exists():
            await on_thread(lambda: sync_file(disk))
        await on_thread(lambda: self._attached.remove(name, uid))

    # --- for a snapshot ------------------------------------------------------------------------------------------

    async def use(self, name: str, uid: int) -> Literal["", "mounted", "attached"]:
        """How it is used by whoever has to hold still for a snapshot of it. Raises VolumeFailed where that cannot be:
        what is on the disk is half of something."""
        seen = await self.seen()
        if seen.broken(name, uid):
            raise VolumeFailed(
                f"the file system of volume {name} went read only by an error: restart its workload first"
            )
        if (name, uid) in seen.attached:
            return "attached"
        if (name, uid) in seen.mounted:
            return "mounted"
        if await self.is_open(name, uid):
            raise VolumeFailed(f"volume {name} was unmounted by another hand while it is in use: it cannot be frozen")
        return ""

    @asynccontextmanager
    async def still(self, name: str, uid: int) -> AsyncIterator[None]:
        """Inside, nothing is written into one that is attached: its guest freezes it, and what was made inside counts
        only if leaving raises nothing. Where there is none, none begins meanwhile: its monitor is refused the disk, as
        by another's, and tried again. Raises GuestSilent, and what the guests' `frozen` raises."""
        disk = self._backing.disk(name, uid)
        if await on_thread(lambda: held.is_held(disk)):
            async with self.guests.frozen(name, uid):
                yield
            return
        alone = await on_thread(lambda: held.opened(disk, shared=True))
        try:
            yield
        finally:
            os.close(alone)
