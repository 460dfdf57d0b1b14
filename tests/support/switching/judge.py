"""What a disk says that lies there: what the boot loader would choose, whether that is whole, and what the journal knows
of it. Nothing of it is booted.

The choice is computed by the rules of image/files/grub.cfg from the bytes that it reads; boots of such disks (proofs.py)
compare it with what it did.
"""

import asyncio
import hashlib
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec

from capsuled.boot.partitions import NUMBERS
from effects.slots.grub_loader import GrubLoader
from effects.slots.manifest import MEMBERS
from effects.slots.protocol import SLOTS, LoaderState, Slot
from image.disk import ESP_MIB
from tests.support.power.disk import apart
from tests.support.power.slot_judge import Journal
from tests.support.switching.machine import Facts, partition_at

_MIB = 1 << 20
PARTITIONS: Mapping[tuple[Slot, str], int] = {
    (slot, member): number for slot in SLOTS for member, number in zip(MEMBERS, NUMBERS[slot], strict=True)
}


class Members(msgspec.Struct, frozen=True):
    """What stands in a slot that is whole, by member: its size and its SHA-256."""

    sizes: dict[str, int]
    hashes: dict[str, str]

    @staticmethod
    def of(files: Mapping[str, Path]) -> "Members":
        """Of such images."""
        hashes = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
        return Members({name: file.stat().st_size for name, file in files.items()}, hashes)


class Choice(NamedTuple):
    """What the boot loader would boot, by its variables."""

    slot: Slot
    default: Slot
    update: int


def choice_of(state: LoaderState) -> Choice:
    """See grub.cfg."""
    if state.next_slot is not None:
        on_trial = state.next_slot != state.default_slot
        return Choice(state.next_slot, state.default_slot, state.update if on_trial else 0)
    return Choice(state.default_slot, state.default_slot, 0)


def variables_of(disk: Path, scratch: Path) -> LoaderState:
    """From the disk's first partition, by the driver that the daemon has for it."""
    esp = scratch / "esp.img"
    piece_of(disk, partition_at(1), ESP_MIB * _MIB, esp)
    return asyncio.run(GrubLoader(esp).read())


def is_whole(disk: Path, slot: Slot, members: Members) -> bool:
    """Whether both images stand there."""
    return all(
        _hash_of(disk, partition_at(PARTITIONS[slot, name]), members.sizes[name]) == members.hashes[name]
        for name in members.sizes
    )


def journal_of(disk: Path, facts: Facts, scratch: Path) -> Journal:
    """What stands in it."""
    image = scratch / "journal.img"
    piece_of(disk, facts.journal_at, facts.journal_bytes, image)
    judged = apart("slot_judge", image, scratch / "mounted")
    if judged.returncode:
        return Journal(wrong=(f"whoever read it ended with {judged.returncode}: {judged.stderr[-500:]}",))
    return msgspec.json.decode(judged.stdout, type=Journal)


def piece_of(disk: Path, at: int, size: int, target: Path) -> None:
    """A part of a disk, whatever form that has, as a file of its own."""
    with disk.open("rb") as file:
        form = "qcow2" if file.read(4) == b"QFI\xfb" else "raw"
    source = f"driver=raw,offset={at},size={size},file.driver={form},file.file.driver=file,file.file.filename={disk}"
    argv: list[str | Path] = ["qemu-img", "convert", "--image-opts", source, "-O", "raw", target]
    subprocess.run(argv, check=True, capture_output=True)


def _hash_of(disk: Path, at: int, size: int) -> str:
    digest = hashlib.sha256()
    with disk.open("rb") as file:
        file.seek(at)
        while size and (piece := file.read(min(size, _MIB))):
            digest.update(piece)
            size -= len(piece)
    return digest.hexdigest()


def problems(choice: Choice, variables: LoaderState, journal: Journal, whole: bool) -> list[str]:
    """What must hold whenever the power goes: the loader's choice is old or new, whole, and as journaled."""
    wrong = [f"the journal: {problem}" for problem in journal.wrong]
    if variables.damaged:
        wrong.append("the boot loader's variables are damaged")
    if not whole:
        wrong.append(f"{choice.slot} would boot, and is not whole")
    slots = {one.seq: one.fields["slot"] for one in journal.of("update.begun")}
    confirming = [slots[one.fields["uid"]] for one in journal.of("update.confirming")]
    confirmed = [one.fields["slot"] for one in journal.of("update.confirmed")]
    if choice.default != "slot_a" and choice.default not in confirming:
        wrong.append(f"{choice.default} is the default without an update.confirming")
    if confirmed and choice.default not in (confirmed[-1], confirming[-1]):
        wrong.append(f"{confirmed[-1]} was confirmed, and {choice.default} is the default")
    if choice.update and not journal.of("update.arming", choice.update):
        wrong.append(f"update {choice.update} would be booted without an update.arming")
    return wrong
