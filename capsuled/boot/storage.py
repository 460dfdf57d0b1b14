"""The state's and the journal's file systems, in the volume group on the last partition of the disk that the machine
booted from: found, or made on its first boot, when the partition first grows to the disk's end.
"""

from pathlib import Path

import msgspec

from capsuled.boot.disks import disk_of, partition_of
from capsuled.boot.errors import StorageFailed
from capsuled.boot.filesystems import mount
from capsuled.boot.group import LVM_CONFIGURATION, content_of, ensure, lvm_configuration
from capsuled.boot.growth import Grown, Growth
from capsuled.boot.partitions import COUNT
from capsuled.boot.stages import GROUP, Stages
from capsuled.processes import CommandFailed
from init.recorder import ROOT_DEVICE as NOTED

ROOT_DEVICE = Path(NOTED)


class Mounted(msgspec.Struct, frozen=True):
    """What came of it. `journal_problem`: why the journal cannot be used, in words; then the machine is read-only.
    `notes`: what an operator should know; `grown`: what the first boot made larger than the image had it."""

    journal_problem: str = ""
    notes: tuple[str, ...] = ()
    grown: tuple[Grown, ...] = ()


def booted_from(root_device: Path = ROOT_DEVICE) -> str:
    """The partition with the root file system, as the initramfs noted it. Raises StorageFailed."""
    try:
        return root_device.read_text().strip()
    except OSError as error:
        raise StorageFailed(f"the disk that the machine booted from is not known: {error}") from error


class Storage:
    """`state` is where the state is mounted."""

    def __init__(self, state: Path, stages: Stages, root_device: Path = ROOT_DEVICE) -> None:
        self._state = state
        self._stages = stages
        self._root_device = root_device

    async def bring_up(self) -> Mounted:
        """Everything mounted. What already is stays as it is. Raises StorageFailed."""
        journal = self._state / "journal"
        if self._state.is_mount():
            problem = "" if journal.is_mount() else "its file system is not mounted. Start the machine anew"
            return Mounted(problem, self._stages.standing(GROUP))
        root = booted_from(self._root_device)
        partition = partition_of(root, COUNT)
        if not Path(partition).exists():
            raise StorageFailed(f"{disk_of(root)} has no partition {COUNT}: it was not made by `make image`")
        LVM_CONFIGURATION.write_text(lvm_configuration(partition))
        try:
            kind = await content_of(partition)
            grown, notes = await self._settled(root) if not kind else ((), ())
            with self._stages.stage(GROUP):
                notes += await ensure(partition, kind)
            self._stages.stand(GROUP, notes)  # the file systems' are of what their check has mended
            with self._stages.stage("state"):
                notes += await mount("perm", self._state)
        except CommandFailed as error:
            raise StorageFailed(f"{error}. The disk is left as it is") from error
        journal.mkdir(mode=0o700, exist_ok=True)
        try:
            with self._stages.stage("journal's disk"):
                notes += await mount("journal", journal)
        except (CommandFailed, StorageFailed) as error:
            return Mounted(f"{error}", notes, grown)
        return Mounted(notes=notes, grown=grown)

    async def _settled(self, root: str) -> tuple[tuple[Grown, ...], tuple[str, ...]]:
        """The first boot: what the image's table leaves of the disk is taken. Where it cannot be, the machine is as
        large as its image."""
        try:
            with self._stages.stage("partition"):
                return await Growth(root).settle(), ()
        except StorageFailed as error:
            return (), (f"the disk is used as far as the image goes: {error}",)
