"""An installation, in the order that leaves no half system that boots.

    partitions    what made the disk bootable goes first; the first sector of the new EFI system partition is a mark
    system        kernel, initramfs and root file system of the slot that booted, copied
    check         and read again from the medium
    state         the volume group, and in it who the capsule is and whose key may drive it
    boot loader   the EFI system partition, its first sector last of all: from then on the disk boots

Whenever the power goes before that, no firmware starts the disk, and the installer that comes up again finds the mark.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from capsuled.aside import Aside
from capsuled.boot import filesystems
from capsuled.boot.disks import SECTOR_BYTES, nth, size_bytes
from capsuled.boot.errors import StorageFailed
from capsuled.boot.group import GROUP, LVM_CONFIGURATION, ensure, lvm_configuration
from capsuled.boot.partitions import COUNT, ESP, NUMBERS, Table, forget, write
from capsuled.identity import Identity
from capsuled.installed import Installed, lay_down
from capsuled.installer.targets import ESP_START, MARK
from capsuled.installer.writing import BadCopy, Copy, put, read, squashfs_bytes
from capsuled.processes import CommandFailed, outcome, run
from capsuled.tls import Certificate
from effects.command import how_it_ended
from effects.unbroken import to_its_end

log = logging.getLogger(__name__)

EDGE_BYTES = 1 << 20
"""What tells what a partition holds stands at its beginning or at its end."""

NODE_S, LOOK_S = 10.0, 0.1

STATE = Path("/run/capsule/install")
"""Where the new disk's state is mounted meanwhile."""


class Step(msgspec.Struct, frozen=True):
    """How far it is: `percent` is the phase's own."""

    phase: str
    percent: int
    message: str


class Source(msgspec.Struct, frozen=True):
    """What is installed: the disk that booted, its table, and its slot."""

    disk: str
    table: Table
    slot: str


class InstallFailed(Exception):
    """Raised when it did not end: what is wrong. Nothing on the disk boots."""


class Installation:
    """On one disk, once."""

    def __init__(self, source: Source, disk: str, tell: Callable[[Step], None]) -> None:
        self._source = source
        self._disk = disk
        self._tell = tell
        self._aside = Aside()

    async def run(self, identity: Identity, certificate: Certificate, installed: Installed) -> None:
        """Do all of it; the disk boots when this returns. Raises InstallFailed. Whoever stops in the middle leaves the
        disk as a power cut would."""
        try:
            self._tell(Step("partitions", 0, f"what {self._disk} holds is given up"))
            await self._partition()
            boot, root = NUMBERS[self._source.slot]
            images = [self._copy(number, squashfs_bytes(nth(self._source.disk, number))) for number in (boot, root)]
            await self._copied("system", "check", images)
            self._tell(Step("state", 0, "the volume group is made"))
            await self._lay_down(identity, certificate, installed)
            loader = self._copy(ESP, size_bytes(nth(self._disk, ESP)), skip_bytes=SECTOR_BYTES)
            await self._copied("boot loader", "boot loader", [loader])
            await self._commit()
        except (CommandFailed, StorageFailed, BadCopy) as error:
            raise InstallFailed(str(error)) from error
        except OSError as error:
            where = error.filename or self._disk
            raise InstallFailed(f"{where}: {error.strerror or error}: is the disk still there, and whole?") from error

    async def _partition(self) -> None:
        """From here on nothing boots from the disk."""
        end = size_bytes(self._disk) - EDGE_BYTES
        await self._put(self._disk, (ESP_START, MARK), (0, bytes(EDGE_BYTES)), (end, bytes(EDGE_BYTES)))
        await forget(self._disk)
        await write(self._disk, self._source.table)
        deadline = asyncio.get_running_loop().time() + NODE_S
        partitions = [nth(self._disk, number) for number in range(ESP, COUNT + 1)]
        while not all(Path(one).exists() for one in partitions):
            if asyncio.get_running_loop().time() > deadline:
                raise InstallFailed(f"the kernel does not see the new partitions of {self._disk}")
            await asyncio.sleep(LOOK_S)
        for partition in partitions[1:]:
            end = size_bytes(partition) - EDGE_BYTES
            await self._put(partition, (0, bytes(EDGE_BYTES)), (end, bytes(EDGE_BYTES)))

    def _copy(self, number: int, size: int, skip_bytes: int = 0) -> Copy:
        return Copy(self._aside, nth(self._source.disk, number), nth(self._disk, number), size, skip_bytes)

    async def _copied(self, writing: str, checking: str, copies: list[Copy]) -> None:
        total = sum(one.size_bytes for one in copies)

        def told(phase: str, word: str, before: int) -> Callable[[int], None]:
            return lambda done: self._tell(Step(phase, (before + done) * 100 // total, word))

        befores = [sum(one.size_bytes for one in copies[:index]) for index in range(len(copies))]
        for one, before in zip(copies, befores, strict=True):
            await one.write(told(writing, "copied", before))
        for one, before in zip(copies, befores, strict=True):
            await one.check(told(checking, "read again", before))

    async def _lay_down(self, identity: Identity, certificate: Certificate, installed: Installed) -> None:
        partition = nth(self._disk, COUNT)
        LVM_CONFIGURATION.write_text(lvm_configuration(partition))
        try:
            await ensure(partition, "")
            await filesystems.mount("perm", STATE)
            await self._aside.to_its_end(lambda: lay_down(STATE, identity, certificate, installed))
        finally:
            await to_its_end(_let_go())

    async def _commit(self) -> None:
        """One sector, and the disk boots."""
        sector = await self._aside.run(lambda: read(nth(self._source.disk, ESP), 0, SECTOR_BYTES))
        partition = nth(self._disk, ESP)
        await self._put(partition, (0, sector))
        if await self._aside.run(lambda: read(partition, 0, SECTOR_BYTES)) != sector:
            raise BadCopy(f"{partition} gives other bytes than were written to it")

    async def _put(self, device: str, *pieces: tuple[int, bytes]) -> None:
        await self._aside.to_its_end(lambda: put(device, *pieces))


async def _let_go() -> None:
    """Nothing of the group is in use any more, also where its disk has gone. Raises CommandFailed for what was written
    and cannot be unmounted: it may not be on the disk."""
    if STATE.is_mount():
        await run("umount", str(STATE))
    code, said = await outcome("lvm", "vgchange", "--quiet", "--activate", "n", GROUP)
    if code:
        log.warning("the group on the new disk is still active: %s", said.strip() or how_it_ended(code))
        await outcome("dmsetup", "remove_all", "--force")
