"""What PID 1 leaves behind a boot image, and what the boot after it reads there."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capsuled.evidence.records import read_area, read_records, records
from init.recorder import AREA_BYTES, FIRST, LAST_WORDS, RECORD_BYTES, SECTOR, SECTORS, Recorder, of_this_boot
from journal.evidence import DaemonEnd, Mark
from projections.causes import INIT, INITRAMFS_FAILED, ROOT

IMAGE = b"hsqs" * 64


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    file = tmp_path / "boot_b"
    file.write_bytes(IMAGE.ljust(256 << 10, b"\0"))
    return file


def initramfs_writes(partition: Path, sector: int, text: str) -> None:
    """As image/files/initramfs.sh does, at a place of its own."""
    with partition.open("r+b") as file:
        file.seek(-AREA_BYTES + sector * SECTOR, 2)
        file.write(text.encode().ljust(SECTOR, b"\0"))


def test_what_is_noted_is_read_again_and_the_image_is_untouched(partition: Path) -> None:
    recorder = Recorder(str(partition), "41", "boot-id")
    initramfs_writes(partition, 0, "CAPSULE1 41 boot-id 3100 initramfs \n")
    initramfs_writes(partition, 1, "CAPSULE1 41 boot-id 4200 root \n")
    recorder.note("init")
    recorder.note("said", "capsuled ended with exit 1")
    recorder.note("ended", "700 signal 11\nTraceback (most recent call last):\n"
                  '  File "/capsule/house/capsuled/daemon.py", line 3, in run\nKeyError: \'hunter2\'\n')  # fmt: skip
    recorder.note_last("daemon-crashes")
    recorder.note("ending", "reboot")
    found = read_records(read_area(partition), 41)
    assert found.boot == "boot-id" and (found.returning, found.ordered) == (
        "daemon-crashes",
        None,
    )  # no room behind the last words
    assert [mark.name for mark in found.marks] == ["initramfs", ROOT, INIT]
    assert found.marks[0] == Mark("initramfs", 3100)
    assert found.console[0].endswith("capsuled ended with exit 1")
    (end,) = found.ends
    assert end == DaemonEnd("SIGSEGV", end.at_ms, 700, ("capsuled/daemon.py:3 run",), "KeyError")
    assert partition.read_bytes()[:-AREA_BYTES].rstrip(b"\0") == IMAGE
    assert b"hunter2" not in repr(found).encode()


def test_an_order_to_end_the_machine_is_read_again(partition: Path) -> None:
    Recorder(str(partition), "41", "boot-id").note("ending", "poweroff")
    assert read_records(read_area(partition), 41).ordered == "poweroff"


def test_records_of_another_update_are_not_this_ones(partition: Path) -> None:
    Recorder(str(partition), "40", "old").note("init")
    assert read_records(read_area(partition), 41).marks == ()


def test_an_area_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    partition = tmp_path / "full"
    partition.write_bytes(b"\x5a" * (128 << 10))
    Recorder(str(partition), "41", "boot-id").note("init")
    assert partition.read_bytes() == b"\x5a" * (128 << 10)


def test_where_the_room_is_used_up_there_is_still_some_for_the_last_words(partition: Path) -> None:
    recorder = Recorder(str(partition), "41", "boot-id")
    for number in range(2 * SECTORS):
        recorder.note("said", f"line {number}")
    recorder.note_last("window-over")
    found = read_records(read_area(partition), 41)
    assert len(found.console) == LAST_WORDS - FIRST and found.returning == "not-confirmed"


def test_a_long_record_is_cut_and_what_follows_is_whole(partition: Path) -> None:
    recorder = Recorder(str(partition), "41", "boot-id")
    recorder.note("said", "x" * (2 * RECORD_BYTES))
    recorder.note("init")
    assert [one.kind for one in records(read_area(partition), 41)] == ["said", "init"]


def test_a_disk_that_is_gone_is_no_fault_of_pid_1() -> None:
    Recorder("/nowhere/at/all", "41", "boot-id").note("init")


@pytest.mark.parametrize(
    ("words", "tells"),
    [
        ("capsule.slot=slot_b capsule.default=slot_a capsule.update=41", True),
        ("capsule.slot=slot_a capsule.default=slot_a capsule.update=41", False),
        ("capsule.slot=slot_b capsule.default=slot_a", False),
        ("capsule.slot=slot_b capsule.default=slot_a capsule.update=../41", False),
    ],
)
def test_only_a_tentative_boot_records(tmp_path: Path, words: str, tells: bool) -> None:
    partition = tmp_path / "disk4"
    partition.write_bytes(bytes(128 << 10))
    for name, text in (("cmdline", f"quiet {words}\n"), ("root", f"{tmp_path}/disk5\n"), ("boot_id", "boot-id\n")):
        (tmp_path / name).write_text(text)
    of_this_boot(*(str(tmp_path / name) for name in ("cmdline", "root", "boot_id"))).note("init")
    found = read_records(read_area(partition), 41)
    assert (found.boot, [mark.name for mark in found.marks]) == (("boot-id", [INIT]) if tells else ("", []))


@given(st.binary(max_size=4 * SECTOR), st.integers(0, 200))
def test_whatever_stands_there_it_is_read(noise: bytes, at: int) -> None:
    area = bytearray(AREA_BYTES)
    area[:SECTOR] = b"CAPSULE1 41 b 5 failed no partition is it\n".ljust(SECTOR, b"\0")
    area[SECTOR + at : SECTOR + at + len(noise)] = noise
    found = read_records(bytes(area[:AREA_BYTES]), 41)
    assert found.marks[0].name == INITRAMFS_FAILED and found.marks[0].problem.startswith("no partition is it")
