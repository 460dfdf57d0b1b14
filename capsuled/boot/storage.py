"""The volume group `capsule` on the last partition of the disk that the machine booted from: found, or made on its
first boot. In it lie the journal, the state (`/perm`) and the pool of the workloads' volumes, each in its own room, so
that none fills another's.

LVM is told to look at this one partition and nowhere else: a second capsule's disk in the machine has a group of the
same name. A logical volume that is new has a tag until its file system is made; so a power cut in the first boot leaves
nothing that the second takes for finished.
"""

import re
from pathlib import Path

import msgspec

from capsuled.boot.stages import Stages
from capsuled.processes import CommandFailed, outcome, run

GROUP = "capsule"
PARTITION = 6
ROOT_DEVICE = Path("/run/capsule/init/root")
LVM_CONFIGURATION = Path("/etc/lvm/lvmlocal.conf")
NEW = "capsule.new"

_MIB, _GIB = 1 << 20, 1 << 30
_REPAIRED, _LEFT = 1, 4
"""e2fsck's exit code is a sum of these and others; from 4 on something is wrong that it left."""


class StorageFailed(Exception):
    """Raised when there is no state to start on: what is wrong, and what to do about it."""


class Sizes(msgspec.Struct, frozen=True):
    """In MiB."""

    journal: int
    perm: int


class Mounted(msgspec.Struct, frozen=True):
    """What came of it. `journal_problem`: why the journal cannot be used, in words; then the machine is read-only.
    `notes`: what an operator should know."""

    journal_problem: str = ""
    notes: tuple[str, ...] = ()


def sizes(group_bytes: int) -> Sizes:
    """How a group is divided: the journal a 32nd, 256 MiB to 2 GiB; /perm a quarter, 1 to 32 GiB; the rest is for the
    pool. Pure."""
    journal = min(max(group_bytes // 32, 256 * _MIB), 2 * _GIB)
    perm = min(max(group_bytes // 4, 1 * _GIB), 32 * _GIB)
    return Sizes(journal // _MIB, perm // _MIB)


def partition_of(root: str, number: int) -> str:
    """The partition of this number on the disk that `root`, another partition, is on. Pure."""
    disk = re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", root)
    return f"{disk}p{number}" if disk[-1].isdigit() else f"{disk}{number}"


def disk_of(root: str) -> str:
    """The disk that a partition is on. Pure."""
    return re.sub(r"(?<=\d)p\d+$|(?<=[a-z])\d+$", "", root)


def lvm_configuration(partition: str) -> str:
    """LVM looks at this partition alone, and does without udev and its own daemon."""
    return f"""devices {{
    filter = [ "a|^{partition}$|", "r|.*|" ]
    use_devicesfile = 0
    obtain_device_list_from_udev = 0
    external_device_info_source = "none"
}}
activation {{
    udev_sync = 0
    udev_rules = 0
    verify_udev_operations = 0
    monitoring = 0
}}
backup {{
    backup = 0
    archive = 0
}}
"""


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
            return Mounted("" if journal.is_mount() else "its file system is not mounted. Start the machine anew")
        try:
            root = self._root_device.read_text().strip()
        except OSError as error:
            raise StorageFailed(f"the disk that the machine booted from is not known: {error}") from error
        partition = partition_of(root, PARTITION)
        if not Path(partition).exists():
            raise StorageFailed(f"{disk_of(root)} has no partition {PARTITION}: it was not made by `make image`")
        LVM_CONFIGURATION.write_text(lvm_configuration(partition))
        try:
            with self._stages.stage("volume group"):
                await self._group(partition)
            with self._stages.stage("state"):
                notes = await self._mount("perm", self._state)
        except CommandFailed as error:
            raise StorageFailed(f"{error}. The disk is left as it is") from error
        journal.mkdir(mode=0o700, exist_ok=True)
        try:
            with self._stages.stage("journal's disk"):
                notes += await self._mount("journal", journal)
        except (CommandFailed, StorageFailed) as error:
            return Mounted(f"{error}", notes)
        return Mounted(notes=notes)

    async def _group(self, partition: str) -> None:
        """Found and active, with everything in it."""
        kind = await _content_of(partition)
        if not kind:
            await run("lvm", "pvcreate", "--quiet", "--yes", partition)
            await run("lvm", "vgcreate", "--quiet", GROUP, partition)
        elif kind != "LVM2_member":
            raise StorageFailed(f"{partition} holds {kind}, which is not a capsule's: it is left alone")
        there = await self._volumes()
        if "pool" not in there:
            await self._divide(partition, there)
        await run("lvm", "vgchange", "--quiet", "--sysinit", "--activate", "y", GROUP)
        for name in ("perm", "journal"):
            if there.get(name, NEW) == NEW:
                await run(
                    "mke2fs", "-q", "-F", "-t", "ext4", "-m", "1", "-L", f"capsule-{name}", f"/dev/{GROUP}/{name}"
                )
                await run("lvm", "lvchange", "--quiet", "--deltag", NEW, f"{GROUP}/{name}")

    async def _divide(self, partition: str, there: dict[str, str]) -> None:
        said = await run(
            "lvm", "vgs", "--noheadings", "--nosuffix", "--units", "b", "--options", "vg_size", GROUP
        )  # fmt: skip
        wanted = sizes(int(said.split()[0]))
        for name, size_mib in (("perm", wanted.perm), ("journal", wanted.journal)):
            if name not in there:
                options = ("--wipesignatures", "y", "--addtag", NEW, "--size", f"{size_mib}m", "--name", name)
                await run("lvm", "lvcreate", "--quiet", "--yes", *options, GROUP)
        # Room is left for the pool's metadata to grow, and for a spare of it.
        pool = ("--zero", "y", "--discards", "passdown", "--extents", "95%FREE")
        await run("lvm", "lvcreate", "--quiet", "--yes", "--type", "thin-pool", *pool, "--name", "pool", GROUP)
        # Where it is full, a write fails: one that waited for room would hold up whoever made it for ever.
        await run("lvm", "lvchange", "--quiet", "--errorwhenfull", "y", f"{GROUP}/pool")

    async def _volumes(self) -> dict[str, str]:
        """Names and tags of what is in the group. Raises StorageFailed where there is no group on the partition."""
        code, said = await outcome(
            "lvm", "lvs", "--noheadings", "--separator", "|", "--options", "lv_name,lv_tags", GROUP
        )  # fmt: skip
        if code:
            raise StorageFailed(f"the volume group {GROUP} cannot be read: {said.strip()}")
        lines = (line.strip().partition("|") for line in said.splitlines() if "|" in line)
        return {name: tags for name, _, tags in lines}

    async def _mount(self, name: str, place: Path) -> tuple[str, ...]:
        """Checked, then mounted. Raises StorageFailed for a file system that the check could not mend."""
        device = f"/dev/{GROUP}/{name}"
        notes: tuple[str, ...] = ()
        code, said = await outcome("e2fsck", "-p", device)
        if code >= _LEFT:
            code, said = await outcome("e2fsck", "-f", "-y", device)
            notes = (
                f"the file system of {place} was damaged and had to be repaired: what was written last may be lost",
            )
        if code >= _LEFT:
            raise StorageFailed(f"the file system on {device} is damaged beyond e2fsck's repair: {_last_line(said)}")
        place.mkdir(mode=0o700, exist_ok=True)
        await run("mount", "-t", "ext4", "-o", "noatime,errors=remount-ro", device, str(place))
        place.chmod(0o700)
        if name == "journal":
            lost_and_found = place / "lost+found"
            if lost_and_found.is_dir() and not any(lost_and_found.iterdir()):
                lost_and_found.rmdir()  # a journal's directory holds nothing else; e2fsck makes it when it needs it
        return notes


async def _content_of(partition: str) -> str:
    """What blkid takes it for; empty for nothing that anybody knows. Raises StorageFailed."""
    code, said = await outcome("blkid", "--probe", "--match-tag", "TYPE", "--output", "value", partition)
    if code not in (0, 2):
        raise StorageFailed(f"{partition} cannot be read: {said.strip()}")
    return said.strip()


def _last_line(said: str) -> str:
    return said.strip().splitlines()[-1] if said.strip() else "it said nothing"
