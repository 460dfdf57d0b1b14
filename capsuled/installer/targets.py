"""The disks that an installer finds: what is on each, and what speaks against installing there."""

import os

import msgspec

from capsuled.boot.disks import SECTOR_BYTES, Disk, disks, nth, problem_of
from capsuled.boot.errors import StorageFailed
from capsuled.boot.group import content_of
from capsuled.boot.partitions import Table, table_of
from capsuled.processes import CommandFailed
from projections.refusals import Refusal, conflict, invalid, missing, refused

MARK = b"capsule: an installation was begun on this disk, and did not end\n".ljust(SECTOR_BYTES, b"\0")
"""In place of the first sector of the EFI system partition, until everything else is on the disk: no firmware takes
that for a file system."""

ESP_START = 1 << 20


class Target(msgspec.Struct, frozen=True):
    """`holds` says in words what is on it. `problem`: why it is none; empty: it could be installed on."""

    disk: Disk
    holds: str
    is_capsule: bool = False
    problem: str = ""


async def targets(booted: str, least_bytes: int) -> tuple[Target, ...]:
    """Every disk but the one that booted."""
    return tuple([await _looked_at(one, problem_of(one, least_bytes)) for one in disks() if one.device != booted])


async def _looked_at(disk: Disk, problem: str) -> Target:
    try:
        table = await table_of(disk.device)
    except (CommandFailed, ValueError):
        table = Table()
    if table.is_a_capsules:
        begun = _first_sector_of_esp(disk.device) == MARK
        holds = "an installation that did not end" if begun else "a capsule"
        return Target(disk, holds, is_capsule=not begun, problem=problem)
    if not table.partitions:
        return Target(disk, await _kind_of(disk.device) or "nothing that is known", problem=problem)
    kinds = [await _kind_of(nth(disk.device, number)) for number in range(1, len(table.partitions) + 1)]
    named = ", ".join(dict.fromkeys(filter(None, kinds)))
    count = f"{len(kinds)} partition{'' if len(kinds) == 1 else 's'}"
    return Target(disk, f"{count} ({named})" if named else count, problem=problem)


def _first_sector_of_esp(device: str) -> bytes:
    try:
        with open(device, "rb", buffering=0) as disk:
            return os.pread(disk.fileno(), SECTOR_BYTES, ESP_START)
    except OSError:
        return b""


async def _kind_of(device: str) -> str:
    try:
        word = await content_of(device)
    except StorageFailed:
        return ""
    return word if word.isprintable() and len(word.split()) == 1 else ""


def viable(there: tuple[Target, ...]) -> list[Disk]:
    """The disks that could be installed on, in the order in which they are offered: what a client takes when nobody
    names one is not a capsule's, which is installed on only where that is asked for. Pure."""
    return [one.disk for one in sorted(there, key=lambda one: one.is_capsule) if not one.problem]


def chosen(name: str, there: tuple[Target, ...], booted: str, reinstall: bool) -> Target | Refusal:
    """The target that is asked for by its name, or why nothing is installed there. Pure."""
    if not name:
        return invalid("NO_TARGET", "name the disk to install on: Status lists those there are", "target_disk")
    device = name if name.startswith("/") else f"/dev/{name}"
    if device == booted:
        return conflict("BOOT_DISK", f"{device} is the disk that the installer runs from", "target_disk")
    target = next((one for one in there if one.disk.device == device), None)
    if target is None:
        known = ", ".join(one.disk.device for one in there) or "none"
        return missing("NO_SUCH_DISK", f"this machine has no disk {device}; it has: {known}", "target_disk")
    if target.problem:
        return conflict("NOT_A_TARGET", f"{device} cannot be installed on: {target.problem}", "target_disk")
    if target.is_capsule and not reinstall:
        return refused(
            "ALREADY_EXISTS",
            "IS_A_CAPSULE",
            f"{device} is a capsule's already. `--reinstall` destroys it, with all that it remembers",
            "target_disk",
        )
    return target
