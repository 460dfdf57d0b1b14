"""A machine that was prepared once, with an operator and a workload that has a volume; and machines that go on from where
its disk, or one that came of it, was kept."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec

from image.disk import Table
from tests.support.booted import BOOT_S, Booted

_MIB = 1 << 20
_LVM = 6
_WHERE = "lvm lvs --noheadings --units b --nosuffix -o seg_pe_ranges,vg_extent_size,seg_size capsule/journal"
_BEGINS = "lvm pvs --noheadings --units b --nosuffix -o pe_start"


class Facts(msgspec.Struct, frozen=True):
    """Of the prepared machine: which port its operator knows it at, and where on the disk its journal's file system is.
    `commit` is that of the disk that was built."""

    port: int
    commit: str
    journal_at: int
    journal_bytes: int


def partition_at(number: int) -> int:
    """Where a partition of the built disk begins, in bytes."""
    sizes = [one.size_mib for one in Table(768).partitions]
    return (1 + sum(sizes[: number - 1])) * _MIB


def prepare(place: Path, disk: Path) -> None:
    """Fill `place` with the disk of a machine that was adopted, runs a workload and was switched off; its firmware's
    variables, its operator's configuration, and what is to be known of it."""
    machine = Booted(place, disk)
    machine.switch_on()
    try:
        machine.adopt()
        machine.run_counter()
        extents, extent, size = machine.inside(_WHERE).split()
        begins = re.fullmatch(r"/dev/vda6:(\d+)-\d+", extents)
        assert begins, f"the journal lies in pieces: {extents}"
        start = int(machine.inside(_BEGINS)) + int(begins[1]) * int(extent)
        commit = machine.data("update", "status")["commit"]
        facts = Facts(machine.port, commit, partition_at(_LVM) + start, int(size))
        machine.good("capsule", "poweroff", "--yes")
        machine.until_off()
    finally:
        machine.pull_the_plug()
    (place / "facts.json").write_bytes(msgspec.json.encode(facts))


def facts_of(place: Path) -> Facts:
    """Of a prepared machine."""
    return msgspec.json.decode((place / "facts.json").read_bytes(), type=Facts)


def over(backing: Path, form: str, target: Path) -> str:
    """A disk that is `backing` (raw or qcow2), and keeps what changes in `target`; in QEMU's words."""
    target.unlink(missing_ok=True)
    argv: list[str | Path] = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", form, "-b", backing.resolve(), target]
    subprocess.run(argv, check=True)
    return f"format=qcow2,cache=unsafe,file={target}"


def lay(disk: Path, at: int, file: Path) -> None:
    """Write a file onto a disk of the form qcow2."""
    order = f"write -q -s {file} {at} {file.stat().st_size}"
    subprocess.run(["qemu-io", "-f", "qcow2", "-t", "unsafe", "-c", order, disk], check=True, capture_output=True)


def going_on(prepared: Path, variables: Path, place: Path, drive: str) -> Booted:
    """A machine with this disk, which the prepared one's operator reaches; it is off."""
    machine = Booted(place, None, drive=drive)
    shutil.copyfile(variables, place / "variables.fd")
    shutil.copytree(prepared / "config", place / "config")
    context, port = place / "config/config.yaml", facts_of(prepared).port
    text = context.read_text().replace(f":{port}", f":{machine.port}")
    context.write_text(re.sub(r"(?<=key_path: ).*", str(place / "config/operator.ed25519"), text))
    return machine


def status(machine: Booted) -> dict[str, Any]:
    """Where updates stand."""
    found: dict[str, Any] = machine.data("update", "status")
    return found


def info(machine: Booted) -> dict[str, Any]:
    """What the machine says of itself; nothing, while it does not answer."""
    done = machine.ctl("capsule", "info", "-o", "json")
    return json.loads(done.stdout) if done.returncode == 0 else {}


def until_answers(machine: Booted, slot: str = "", not_boot: str = "", seconds: float = BOOT_S) -> dict[str, Any]:
    """Wait until it answers; from this slot, and in another boot than that. It is asked once its console says that it is
    up: a command that asks in vain takes from the machine what it boots with."""
    found: dict[str, Any] = {}

    def answers() -> bool:
        if not re.search(rf"system +\S+ \S+, {slot}", machine.console.rpartition("Welcome to GRUB")[2]):
            return False
        found.clear()
        found.update(info(machine))
        return bool(found) and found["activeSlot"].startswith(slot) and found.get("bootId") != not_boot

    machine.until(answers, f"{slot or 'it'} answers", seconds)
    return found
