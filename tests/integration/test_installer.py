"""An installation on loop devices: the disk that is made, and what every way to break off in the middle leaves. The
volume group needs device mapper: tests/boot has that."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from capsuled.aside import Aside
from capsuled.boot import disks
from capsuled.boot.disks import Disk, nth
from capsuled.boot.partitions import NAMES, table_of
from capsuled.identity import Identity
from capsuled.installed import Installed
from capsuled.installer import targets
from capsuled.installer.installation import Installation, InstallFailed, Source, Step
from capsuled.installer.targets import MARK, Target
from capsuled.installer.writing import BadCopy, Copy
from capsuled.tls import Certificate

MIB = 1 << 20
SIZE = MIB + 12_345
INSTALLED = Installed("0.0.1", "/dev/vda")
ME = Identity("11111111-2222-4333-8444-555555555555", b"k" * 32)
CERTIFICATE = Certificate(b"key", b"certificate", "f" * 64)


class Loop:
    def __init__(self, file: Path, size_bytes: int) -> None:
        with file.open("ab") as made:
            made.truncate(size_bytes)
        said = subprocess.run(["losetup", "-fP", "--show", file], capture_output=True, text=True, check=True)
        self.device = said.stdout.strip()

    def read(self, at: int, size: int) -> bytes:
        with open(self.device, "rb") as file:
            return os.pread(file.fileno(), size, at)

    def partitions(self) -> dict[int, tuple[int, int]]:
        """Start and size of each that the kernel knows, in sectors, by number."""
        places = Path("/sys/block", Path(self.device).name).glob("*/partition")
        return {
            int(one.read_text()): (int((one.parent / "start").read_text()), int((one.parent / "size").read_text()))
            for one in places
        }

    def detach(self) -> None:
        subprocess.run(["losetup", "-d", self.device], check=True)


@pytest.fixture(scope="module")
def source_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with the partitions that the builder makes, small ones."""
    place = tmp_path_factory.mktemp("source")
    (place / "image").mkdir()
    (place / "image/file").write_bytes(os.urandom(SIZE))
    subprocess.run(["mksquashfs", place / "image", place / "squashed", "-quiet", "-no-progress"], check=True)
    lines = ["label: gpt", "start=1MiB, size=2MiB, name=esp"]
    lines += [f"size={size}MiB, name={name}" for name, size in zip(NAMES[1:-1], (2, 3, 2, 3), strict=True)]
    with (place / "disk.raw").open("wb") as made:
        made.truncate(16 * MIB)
    script = "\n".join((*lines, f"name={NAMES[-1]}\n"))
    subprocess.run(["sfdisk", "--quiet", place / "disk.raw"], input=script.encode(), check=True)
    with (place / "disk.raw").open("r+b") as made:
        for at, data in ((1, os.urandom(2 * MIB)), (3, (place / "squashed").read_bytes())):
            made.seek(at * MIB)
            made.write(data)
        made.seek(5 * MIB)
        made.write((place / "squashed").read_bytes())
    return place / "disk.raw"


@pytest.fixture
def pair(source_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Loop, Loop]]:
    """The disk that booted, and one inside that holds an older system."""

    async def laid_down(*_: object) -> None:
        """Without a device mapper there is no group."""

    monkeypatch.setattr(Installation, "_lay_down", laid_down)
    source, target = Loop(source_file, source_file.stat().st_size), Loop(tmp_path / "target.raw", 64 * MIB)
    try:
        subprocess.run(["sfdisk", "--quiet", target.device], input=b"label: gpt\n,16MiB,U\n,,L\n", check=True)
        for one in (source, target):
            subprocess.run(["partx", "--update", one.device], check=True)
        subprocess.run(["mkfs.ext4", "-q", nth(target.device, 1)], check=True)
        yield source, target
    finally:
        source.detach()
        target.detach()


def install(source: Loop, target: Loop, tell: Callable[[Step], None]) -> None:
    async def done() -> None:
        here = Source(source.device, await table_of(source.device), "slot_a")
        await Installation(here, target.device, tell).run(ME, CERTIFICATE, INSTALLED)

    asyncio.run(done())


def looked_at(target: Loop) -> Target:
    found = Disk(target.device, disks.size_bytes(target.device))
    return asyncio.run(targets._looked_at(found, ""))


def esp_sector(loop: Loop) -> bytes:
    return loop.read(targets.ESP_START, 512)


def test_the_disk_is_the_one_that_booted_with_ids_of_its_own_and_all_the_room(pair: tuple[Loop, Loop]) -> None:
    source, target = pair
    assert looked_at(target).holds == "2 partitions (ext4)"
    steps: list[Step] = []
    install(source, target, steps.append)
    assert list(dict.fromkeys(step.phase for step in steps)) == [
        "partitions",
        "system",
        "check",
        "state",
        "boot loader",
    ]
    assert {step.phase for step in steps if step.percent == 100} == {"system", "check", "boot loader"}
    before, after = (asyncio.run(table_of(one.device)) for one in pair)
    assert [(one.name, one.start) for one in after.partitions] == [(one.name, one.start) for one in before.partitions]
    assert not {one.uuid for one in after.partitions} & {one.uuid for one in before.partitions}
    assert after.leaves(disks.size_bytes(target.device)) == 0
    for number, size in ((1, 2 * MIB), (2, SIZE), (3, SIZE)):
        with open(nth(source.device, number), "rb") as old, open(nth(target.device, number), "rb") as new:
            assert old.read(size) == new.read(size)
    assert (looked_at(target).is_capsule, looked_at(target).holds) == (True, "a capsule")


@pytest.mark.parametrize(
    "sizes_mib",
    [
        pytest.param((), id="none"),
        pytest.param((1, 1, 40, 4), id="windows"),  # its third where the new second to last are
        pytest.param((2, 3, 3, 3, 3, 3, 30, 4), id="eight"),  # its seventh where the new sixth is
        pytest.param((2, 1, 2, 1, 2, 40), id="a capsule with smaller slots"),
    ],
)
def test_whatever_partitions_the_disk_had_the_kernel_knows_the_new_ones_and_no_others(
    pair: tuple[Loop, Loop], sizes_mib: tuple[int, ...]
) -> None:
    source, target = pair
    subprocess.run(["partx", "--delete", target.device], check=True)
    old = "".join(f"size={size}MiB\n" for size in sizes_mib)
    subprocess.run(["sfdisk", "--quiet", target.device], input=f"label: gpt\n{old}".encode(), check=True)
    subprocess.run(["partx", "--update", target.device])  # it fails where there is none
    assert target.partitions().keys() == set(range(1, len(sizes_mib) + 1))
    install(source, target, lambda step: None)
    table = asyncio.run(table_of(target.device))
    assert target.partitions() == {number: (one.start, one.size) for number, one in enumerate(table.partitions, 1)}
    assert table.is_a_capsules


class Stopped(Exception):
    pass


def test_one_that_stops_leaves_no_system_that_boots_and_says_so(pair: tuple[Loop, Loop]) -> None:
    source, target = pair
    for phase in ("system", "check", "state", "boot loader"):

        def stop(step: Step, at: str = phase) -> None:
            if step.phase == at:
                raise Stopped

        with pytest.raises(Stopped):
            install(source, target, stop)
        assert esp_sector(target) == MARK
        left = looked_at(target)
        assert (left.is_capsule, left.holds) == (False, "an installation that did not end")
    install(source, target, lambda step: None)
    assert looked_at(target).is_capsule and esp_sector(target) == esp_sector(source)


def test_a_disk_that_goes_in_the_middle_is_told_of(pair: tuple[Loop, Loop]) -> None:
    source, target = pair

    def pull(step: Step) -> None:
        if step.phase == "system":
            # As of a disk that is unplugged: nothing can be written from now on.
            subprocess.run(["blockdev", "--setro", nth(target.device, 3)], check=True)

    with pytest.raises(InstallFailed, match="is the disk still there, and whole"):
        install(source, target, pull)
    assert esp_sector(target) == MARK


def test_a_disk_that_somebody_uses_is_left_alone(pair: tuple[Loop, Loop], tmp_path: Path) -> None:
    source, target = pair
    before = target.read(0, 2 * MIB)
    place = tmp_path / "mounted"
    place.mkdir()
    subprocess.run(["mount", nth(target.device, 1), place], check=True)
    try:
        with pytest.raises(InstallFailed, match="busy"):
            install(source, target, lambda step: None)
    finally:
        subprocess.run(["umount", place], check=True)
    assert target.read(0, MIB) == before[:MIB]


def test_a_disk_that_gives_other_bytes_is_found_out(pair: tuple[Loop, Loop]) -> None:
    source, target = pair
    copy = Copy(Aside(), nth(source.device, 1), nth(target.device, 1), 2 * MIB)

    def rot() -> None:
        with open(nth(target.device, 1), "r+b") as file:
            file.seek(MIB)
            file.write(b"rot")

    async def copied() -> None:
        await copy.write(lambda done: None)
        rot()
        await copy.check(lambda done: None)

    with pytest.raises(BadCopy, match="other bytes"):
        asyncio.run(copied())
