"""What the proofs of updates stand on: a disk wound to any write of its log, moments that are of every phase, and a judge
that sees each thing that must not be."""

import asyncio
import subprocess
from pathlib import Path
from random import Random
from typing import Any

import pytest

from effects.slots.grub_loader import GrubLoader
from effects.slots.protocol import LoaderState
from image import boot
from image.disk import ESP_MIB
from tests.support.power.cuts import STYLES
from tests.support.power.disk_log import Wound, drive
from tests.support.power.slot_judge import Journal, Told
from tests.support.switching.cuts import A_BATCH, boundaries, planned
from tests.support.switching.judge import Choice, Members, choice_of, is_whole, problems, variables_of
from tests.support.switching.life import STEPS, Step
from tests.support.switching.machine import partition_at

WRITES = ("write -P 1 0 4k", "flush", "write -P 2 0 1k", "write -z 1k 1k", "write -P 3 4k 512", "discard 8k 4k", "flush",
          "write -P 4 512 512")  # fmt: skip


@pytest.fixture
def wound(tmp_path: Path) -> Wound:
    """A small disk of nines, and what QEMU has logged of these."""
    base, disk, log = (tmp_path / name for name in ("base", "disk", "log"))
    for file in (base, disk):
        file.write_bytes(b"\x09" * 16_384)
    orders = [word for one in WRITES for word in ("-c", one)]
    argv = ["qemu-io", "-t", "writeback", *orders, "--image-opts", drive(disk, log)]
    subprocess.run(argv, check=True, capture_output=True)
    return Wound(base, log, tmp_path / "wound")


def sectors(wound: Wound, at: int, style: str) -> list[int]:
    with wound.cut(at, style, Random(1)):
        content = wound.file.read_bytes()
    return [content[place] for place in range(0, 4_608, 512)]


def test_a_disk_is_wound_to_any_write_and_back_with_what_was_flushed_and_what_was_not(wound: Wound) -> None:
    last = max(at for at, one in enumerate(wound.operations) if not one.is_flush)
    before = [9] * 9
    first, second = [1] * 8 + [9], [2, 2, 0, 0, 1, 1, 1, 1, 3]
    for at, style, found in (
        (last + 1, "all", [2, 4, *second[2:]]),
        (last + 1, "none", second),
        (0, "all", before),
        (1, "none", before),
        (1, "all", first),
        (4, "none", first),
        (4, "all", [*second[:8], 9]),
        (5, "late", [1, 1, 0, 0, 1, 1, 1, 1, 3]),
        (6, "none", second),
    ):
        assert sectors(wound, at, style) == found, (at, style)
    torn = sectors(wound, 5, "torn")
    assert torn not in (first, second) and all(one in pair for one, *pair in zip(torn, first, second, strict=True))


def test_each_ten_cuts_are_of_the_whole_life_and_every_step_is_cut_on_both_sides() -> None:
    steps = [Step(what, phase, 100 * number) for number, (what, phase) in enumerate(STEPS, 1)]
    cuts = planned(steps, 3_000, 150, 1)
    assert len(cuts) == 150 and {cut.style for cut in cuts} == set(STYLES)
    assert cuts == planned(steps, 3_000, 150, 1) and cuts != planned(steps, 3_000, 150, 2)
    for begin in range(0, 150, A_BATCH):
        batch = cuts[begin : begin + A_BATCH]
        assert [cut.at for cut in batch] == sorted(cut.at for cut in batch)
        assert batch[0].at < 900 and batch[-1].at > 1_800
    sides = {cut.at - step.at for cut in cuts for step in steps if cut.at in (step.at, step.at + 1)}
    assert sides == {0, 1}
    found = {cut.at for cut in boundaries(steps)}
    assert found == {*range(100, 502), 700, 701, *range(1_000, 1_202), *range(1_300, 1_602), 1_700, 1_701}


UID = 40


Entry = tuple[str, dict[str, Any]]


def told(*entries: Entry) -> Journal:
    begun = Told(UID, "update.begun", "first", 0, 0, {"slot": "slot_b"})
    return Journal(
        50, (begun, *(Told(41 + at, kind, "first", 0, 0, fields) for at, (kind, fields) in enumerate(entries)))
    )


ARMING: Entry = ("update.arming", {"uid": UID})
CONFIRMING: Entry = ("update.confirming", {"uid": UID})
CONFIRMED: Entry = ("update.confirmed", {"uid": UID, "slot": "slot_b"})
ARMED, STAYS = LoaderState("slot_a", "slot_b", UID, 600), LoaderState("slot_b")


@pytest.mark.parametrize(
    ("state", "journal", "whole", "said"),
    [
        (LoaderState(), told(), True, ""),
        (ARMED, told(ARMING), True, ""),
        (STAYS, told(ARMING, CONFIRMING), True, ""),
        (STAYS, told(ARMING, CONFIRMING, CONFIRMED), True, ""),
        (LoaderState(), told(ARMING, CONFIRMING), True, ""),
        (ARMED, told(), True, "would be booted without an update.arming"),
        (ARMED, told(ARMING), False, "slot_b would boot, and is not whole"),
        (STAYS, told(ARMING), True, "the default without an update.confirming"),
        (LoaderState(), told(ARMING, CONFIRMING, CONFIRMED), True, "slot_b was confirmed, and slot_a is the default"),
        (LoaderState(damaged=True), told(), True, "are damaged"),
        (LoaderState(), Journal(wrong=("entry 3 is altered",)), True, "the journal: entry 3 is altered"),
    ],
)  # fmt: skip
def test_a_disk_on_which_the_loader_would_choose_what_nobody_announced_is_seen(
    state: LoaderState, journal: Journal, whole: bool, said: str
) -> None:
    found = problems(choice_of(state), state, journal, whole)
    assert found == [] if not said else len(found) == 1 and said in found[0], found


def test_the_choice_and_the_slot_are_read_off_a_disk(tmp_path: Path) -> None:
    esp, disk = tmp_path / "esp", tmp_path / "disk"
    boot.esp(esp, ESP_MIB << 20, "", "12345678", 0)
    asyncio.run(GrubLoader(esp).write(ARMED))
    images = {"boot.img": tmp_path / "boot.img", "root.img": tmp_path / "root.img"}
    for file in images.values():
        file.write_bytes(file.name.encode() * 100)
    with disk.open("wb") as made:
        made.truncate(partition_at(6))
        for number, file in ((1, esp), (4, images["boot.img"]), (5, images["root.img"])):
            made.seek(partition_at(number))
            made.write(file.read_bytes())
    members = Members.of(images)
    assert choice_of(variables_of(disk, tmp_path)) == Choice("slot_b", "slot_a", UID)
    assert is_whole(disk, "slot_b", members) and not is_whole(disk, "slot_a", members)
    with disk.open("r+b") as made:
        made.seek(partition_at(5) + 7)
        made.write(b"?")
    assert not is_whole(disk, "slot_b", members)
