"""One machine is updated, confirmed, sent back to its former system on trial, and called off, while its disk remembers
every write; and where in that log each phase begins."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from effects.slots.environment_block import BLOCK_BYTES, HEAD, decode
from image.disk import ESP_MIB
from journal.frame import MARK_BYTES
from journal.tail import title
from tests.support.power.disk_log import Wound, drive
from tests.support.switching.machine import Facts, going_on, partition_at, status, until_answers
from tools.qemu import copy_sparse

WINDOW_S = 900
_MIB = 1 << 20
STEPS = (
    ("update.begun", "push"),
    ("update.staged", "push"),
    ("update.arming", "arm"),
    ("next_slot=slot_b", "arm"),
    ("update.armed", "arm"),
    ("machine.end_requested", "reboot"),
    ("next_slot=", "reboot"),
    ("boot.started", "tentative"),
    ("update.health_changed", "tentative"),
    ("update.confirming", "confirm"),
    ("default_slot=slot_b", "confirm"),
    ("update.confirmed", "confirm"),
    ("update.begun", "rollback"),
    ("update.arming", "rollback"),
    ("next_slot=slot_a", "rollback"),
    ("update.armed", "rollback"),
    ("next_slot=", "rollback"),
    ("boot.started", "rollback"),
    ("update.returning", "rollback"),
    ("boot.started", "rollback"),
    ("update.rolled_back", "rollback"),
)  # fmt: skip
"""What is written one behind the other in such a life, and the phase that it belongs to: entries' types, which stand in
the journal's log as they are, and the boot loader's variables."""

_TYPE = re.compile(rb"([a-z]+\.[a-z_]+)[\x01-\x7f](?:\xa4must|\xa3may)")
"""In an entry's header: its type, the type's version, and what it means for the state (journal/entry.py)."""


class Step(NamedTuple):
    """The write that `what` came to the disk by."""

    what: str
    phase: str
    at: int


def live(prepared: Path, bundle: Path, place: Path) -> None:
    """Fill `place` with the log of this life; the disk before it is the prepared machine's."""
    place.mkdir(parents=True, exist_ok=True)
    disk, log = place / "disk.raw", place / "log.part"
    copy_sparse(prepared / "disk.raw", disk)
    machine = going_on(prepared, prepared / "variables.fd", place, drive(disk, log))
    machine.switch_on()
    try:
        first = until_answers(machine, "slot_a")["bootId"]
        machine.until(machine.is_up, "the boot is complete")
        options = ("--window", str(WINDOW_S), "--yes", "--no-wait")
        machine.good("update", "push", str(bundle), *options, timeout=900)
        tried = until_answers(machine, "slot_b", first)["bootId"]
        machine.until(machine.is_up, "the boot is complete")
        machine.good("update", "confirm")
        machine.good("update", "rollback", "--yes", "--no-wait", timeout=600)
        back = until_answers(machine, "slot_a", tried)["bootId"]
        machine.until(machine.is_up, "the boot is complete")
        machine.good("update", "rollback", "--yes", "--no-wait")
        until_answers(machine, "slot_b", back)
        machine.until(lambda: status(machine)["last"]["phase"] == "rolled-back", "it says why it is back")
    finally:
        machine.pull_the_plug()
        disk.unlink()
    log.rename(place / "log")


def steps(wound: Wound, facts: Facts) -> list[Step]:
    """Where each of STEPS was first written, behind the one before."""
    found: list[Step] = []
    wanted = list(STEPS)
    for at, told in _told(wound, facts):
        while wanted and wanted[0][0] in told:
            what, phase = wanted.pop(0)
            found.append(Step(what, phase, at))
            if "=" in what:
                break  # one write of the variables is one step
    assert not wanted, f"the disk never saw {wanted[0][0]} ({wanted[0][1]})"
    return found


def _told(wound: Wound, facts: Facts) -> Iterator[tuple[int, set[str]]]:
    """Writes of the journal's front log, each a group of entries, by their types; and of the boot loader's variables.
    What the journal moves on later says the same once more, and is left out."""
    esp = range(partition_at(1), partition_at(1) + (ESP_MIB << 20))
    journal = range(facts.journal_at, facts.journal_at + facts.journal_bytes)
    mark = _mark(wound, facts)
    for at, one in enumerate(wound.operations):
        if one.size and one.offset in journal:
            content = wound.content(one)
            if content.startswith(mark):
                yield at, {name.decode() for name in _TYPE.findall(content)}
        elif one.size and one.offset in esp:
            _, head, variables = wound.content(one).partition(HEAD)
            if head:
                state = decode((head + variables)[:BLOCK_BYTES].ljust(BLOCK_BYTES, b"#"))
                yield at, {f"default_slot={state.default_slot}", f"next_slot={state.next_slot or ''}"}


def _mark(wound: Wound, facts: Facts) -> bytes:
    """By which a group of entries begins, of this one journal; see journal/frontlog.py."""
    begins = title(b"").rstrip(b"\0")
    with wound.base.open("rb") as disk:
        disk.seek(facts.journal_at)
        first = next(piece for piece in iter(lambda: disk.read(_MIB), b"") if begins in piece)
    return first[first.index(begins) + len(begins) :][:MARK_BYTES]
