"""The volume group `capsule` on a partition: found, or made and divided. In it lie the journal, the state (`/perm`) and
the pool of the workloads' volumes, each in its own room, so that none fills another's.

A logical volume that is new has a tag until all of them are what they shall be; so a power cut in the first boot leaves
nothing that the second takes for finished.
"""

from pathlib import Path

import msgspec

from capsuled.boot.errors import StorageFailed
from capsuled.boot.remnants import refuse_remnants
from capsuled.processes import CommandFailed, outcome, run
from effects.command import how_it_ended

GROUP = "capsule"
POOL = "pool"
LVM_CONFIGURATION = Path("/etc/lvm/lvmlocal.conf")
NEW = "capsule.new"
FILE_SYSTEMS = ("perm", "journal")
THIN_POOL = "thin-pool"
KIND = "LVM2_member"
"""What blkid calls a partition that is LVM's."""

_MIB, _GIB = 1 << 20, 1 << 30
_POOL_PERCENT = 95
"""Of what the file systems leave: there is room for the pool's metadata to grow, and for a spare of it."""


class Sizes(msgspec.Struct, frozen=True):
    """In MiB."""

    journal: int
    perm: int


def sizes(group_bytes: int) -> Sizes:
    """How a group is divided: the journal a 32nd, 256 MiB to 2 GiB; /perm a quarter, 1 to 32 GiB; the rest is for the
    pool. Pure."""
    journal = min(max(group_bytes // 32, 256 * _MIB), 2 * _GIB)
    perm = min(max(group_bytes // 4, 1 * _GIB), 32 * _GIB)
    return Sizes(journal // _MIB, perm // _MIB)


def pool_bytes(group_bytes: int, file_systems_bytes: int) -> int:
    """What the pool takes of a group in which the file systems have so much, in whole MiB: LVM refuses what is no
    multiple of a sector. Pure."""
    return max(0, group_bytes - file_systems_bytes) * _POOL_PERCENT // 100 // _MIB * _MIB


def lvm_configuration(partition: str) -> str:
    """LVM looks at this partition alone, and does without udev and its own daemon: a second capsule's disk in the
    machine has a group of the same name."""
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


async def content_of(partition: str) -> str:
    """What blkid takes it for; empty for nothing that anybody knows, and that was read and holds no volumes. Raises
    StorageFailed."""
    code, said = await outcome("blkid", "--probe", "--match-tag", "TYPE", "--output", "value", partition)
    if code not in (0, 2):
        raise StorageFailed(f"{partition} cannot be read: {said.strip() or how_it_ended(code)}")
    if not said.strip():
        await refuse_remnants(partition)
    return said.strip()


async def ensure(partition: str, kind: str) -> tuple[str, ...]:
    """Found or made, and active, with everything in it; `kind` is what `content_of` says. LVM is told to look there.
    Returns what an operator should know. Raises StorageFailed, CommandFailed."""
    if kind not in ("", KIND):
        raise StorageFailed(f"{partition} holds {kind}, which is not a capsule's: it is left alone")
    found = await _volumes(partition) if kind else None
    if found is None:
        await refuse_remnants(partition)  # also where blkid knows LVM's label, and LVM no group behind it
        await run("lvm", "vgcreate", "--quiet", "--yes", GROUP, partition)
    there = found or {}
    new = [name for name in (*FILE_SYSTEMS, POOL) if not there.get(name)]
    if POOL in new:
        await _divide(there)
    notes = await _activate() if there else ()  # what has just been made is active
    for name in FILE_SYSTEMS:
        if name in new:
            await run("mke2fs", "-q", "-F", "-t", "ext4", "-m", "1", "-L", f"capsule-{name}", f"/dev/{GROUP}/{name}")
    if new:
        await run("lvm", "lvchange", "--quiet", "--deltag", NEW, *(f"{GROUP}/{name}" for name in new))
    return notes


async def _activate() -> tuple[str, ...]:
    """The file systems are what a machine cannot be without. A pool or a volume that is damaged costs those of the
    workloads that have theirs there, and mending it takes a machine that runs."""
    activate = ("--quiet", "--sysinit", "--activate", "y")
    await run("lvm", "lvchange", *activate, *(f"{GROUP}/{name}" for name in FILE_SYSTEMS))
    try:
        await run("lvm", "vgchange", *activate, GROUP)
    except CommandFailed as error:
        return (
            f"not all volumes are there, and workloads whose volume is not do not start: {error}. Where it is the pool "
            f"or its metadata, `capsulectl capsule debug -- chroot /host lvm lvconvert --repair {GROUP}/{POOL}` mends "
            "what can be mended; then `capsulectl capsule reboot`",
        )
    return ()


async def group_bytes() -> int:
    """The size of the whole group. Raises CommandFailed."""
    said = await run(
        "lvm", "vgs", "--noheadings", "--nosuffix", "--units", "b", "--options", "vg_size", GROUP
    )  # fmt: skip
    return int(said.split()[0])


async def _divide(there: dict[str, bool]) -> None:
    """What is lacking is made. A pool that is not whole goes: nothing was ever on it."""
    if POOL in there:
        await run("lvm", "lvremove", "--quiet", "--yes", f"{GROUP}/{POOL}")
    wanted = sizes(await group_bytes())
    for name, size_mib in (("perm", wanted.perm), ("journal", wanted.journal)):
        if name not in there:
            options = ("--wipesignatures", "y", "--addtag", NEW, "--size", f"{size_mib}m", "--name", name)
            await run("lvm", "lvcreate", "--quiet", "--yes", *options, GROUP)
    pool = ("--zero", "y", "--discards", "passdown", "--addtag", NEW, "--extents", f"{_POOL_PERCENT}%FREE")
    await run("lvm", "lvcreate", "--quiet", "--yes", "--type", THIN_POOL, *pool, "--name", POOL, GROUP)
    # Where it is full, a write fails: one that waited for room would hold up whoever made it for ever. (lvcreate
    # takes no such word.)
    await run("lvm", "lvchange", "--quiet", "--errorwhenfull", "y", f"{GROUP}/{POOL}")


async def _volumes(partition: str) -> dict[str, bool] | None:
    """What is in the group, by name, and whether that is whole; None where the power went before there was one. Raises
    StorageFailed for one that LVM cannot make sense of. Whose the partition is, is asked only where there is no group:
    LVM takes its time for every question."""
    fields = ("--noheadings", "--separator", "|", "--options", "lv_name,lv_tags,segtype")
    code, said = await outcome("lvm", "lvs", *fields, GROUP)
    if not code:
        rows = (line.strip().split("|") for line in said.splitlines() if line.count("|") == 2)
        # What is to become a pool is a plain volume of its name for a moment.
        return {name: tags != NEW and (name != POOL or kind == THIN_POOL) for name, tags, kind in rows}
    asked, owner = await outcome("lvm", "pvs", "--noheadings", "--options", "vg_name", partition)
    if asked or owner.strip():
        code, said = (asked, owner) if asked else (code, said)
        raise StorageFailed(f"the volume group on {partition} cannot be read: {said.strip() or how_it_ended(code)}")
    return None
