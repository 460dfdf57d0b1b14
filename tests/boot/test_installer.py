"""From a stick to a machine: the image on a removable disk installs itself, and the disk that it made boots, adopted.

One machine, in this order: a stick, a disk inside that is blank, one that is too small, and one that goes."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.booted import built
from tests.support.stick import GIB, Stick, blank, drive
from tools.qemu import copy_sparse

pytestmark = pytest.mark.boot

DISK_GIB = 20


class Bench(Stick):
    """`other` is a second disk with the image, to be plugged in."""

    def __init__(self, place: Path) -> None:
        image = built()
        self.other = place / "other.raw"
        copy_sparse(image, self.other)
        port = ("-device", "pcie-root-port,id=going-port,chassis=1")
        disks = (
            *("-device", "virtio-blk-pci,drive=small"),
            *("-device", "virtio-blk-pci,drive=going,bus=going-port,id=going-disk"),
        )
        drives = (
            *drive("other", self.other),
            *drive("small", blank(place / "small.raw", 1)),
            *drive("going", blank(place / "going.raw", 6)),
        )
        super().__init__(place, image, DISK_GIB, more=(*drives, *port, *disks))

    def disks(self) -> dict[str, str]:
        """What is on each, or why it is no target."""
        listed = self.data("install", self.address, "--list")["disks"]
        return {one["name"]: one.get("problem") or one["holds"] for one in listed}


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("bench"))
    made.switch_on()
    try:
        yield made
    finally:
        made.pull_the_plug()


def test_a_stick_comes_up_as_an_installer_and_says_what_it_finds(bench: Bench) -> None:
    bench.fingerprint()
    small = bench.named(1)
    found = bench.disks()
    assert len(found) == 3 and re.fullmatch(r"it is too small: [0-9.]+ GiB is the least", found.pop(small))
    assert set(found.values()) == {"nothing that is known"}
    assert "nothing is written until somebody installs" in bench.console


def test_what_cannot_be_installed_on_is_refused_by_name(bench: Bench) -> None:
    sure = ("--fingerprint", bench.fingerprint(), "--yes")
    for disk, why in (
        (bench.named(1), "too small"),
        ("/dev/sda", "the installer runs from"),
        ("sdz", "no disk /dev/sdz"),
    ):
        done = bench.ctl("install", bench.address, "--target", disk, *sure)
        assert done.returncode == 1 and why in done.stderr, done.stderr
    unnamed = bench.ctl("install", bench.address, *sure)
    assert unnamed.returncode == 2 and "--target" in unnamed.stderr
    other = bench.ctl("install", bench.address, "--target", bench.named(DISK_GIB), "--fingerprint", "0" * 64, "--yes")
    assert other.returncode == 1 and "REFUSED" in other.stderr
    assert set(bench.disks().values()) >= {"nothing that is known"} and not list(
        (bench.place / "config").glob("*.yaml")
    )


def test_a_disk_that_goes_in_the_middle_is_told_of_and_another_can_be_taken(bench: Bench) -> None:
    going = bench.named(6)
    installing = bench.begin(going)
    bench.until_shown(rf"{going} is being installed on: system")
    bench.monitor("device_del", id="going-disk")
    _, said = installing.communicate(timeout=300)
    assert installing.returncode == 1 and "The disk does not boot" in said, said
    bench.until_shown(rf"{going} was not installed and does not boot")
    bench.until(lambda: going not in bench.disks(), "the disk is gone")


def test_a_power_cut_in_the_middle_leaves_nothing_that_boots_but_the_stick(bench: Bench) -> None:
    disk = bench.named(DISK_GIB)
    installing = bench.begin(disk)
    bench.until_shown(rf"{disk} is being installed on: check")
    bench.pull_the_plug()
    _, said = installing.communicate(timeout=120)
    assert installing.returncode == 1 and "install again" in said, said
    bench.switch_on()
    bench.fingerprint()
    assert bench.disks()[bench.named(DISK_GIB)] == "an installation that did not end"


def test_the_disk_that_was_installed_boots_as_its_operators(bench: Bench) -> None:
    fingerprint, written = bench.fingerprint(), os.stat(bench.other).st_mtime_ns
    installing = bench.begin(bench.named(DISK_GIB))
    bench.until_shown(r"is being installed on: (check|state)")
    # From now on there is a second disk with the same image in the machine.
    bench.monitor("device_add", driver="usb-storage", bus="usb.0", drive="other", removable=True)
    _, said = installing.communicate(timeout=900)
    assert installing.returncode == 0 and "is installed as home, which is yours" in said, said
    info = bench.data("capsule", "info")
    assert (info["tlsFingerprintSha256"], info["mode"], info["activeSlot"]) == (fingerprint, "os", "slot_a")
    assert info["diskTotalBytes"] == DISK_GIB * GIB and info["thinpoolTotalBytes"] > 10 * GIB
    bench.until_shown(r"claim +adopted")
    first, second, *_ = bench.history()
    assert (first["type"], second["type"], second["body"]["how"]) == (
        "machine.installed",
        "operator.enrolled",
        "installed",
    )
    assert first["actor"] == second["actor"] == "installer"
    assert bench.data("whoami")["role"] == "admin"
    refused = bench.ctl("install", bench.address, "--list")
    assert refused.returncode == 1 and "no installer" in refused.stderr
    assert os.stat(bench.other).st_mtime_ns == written


def test_a_disk_that_has_grown_is_taken_while_the_machine_runs(bench: Bench) -> None:
    before = bench.data("capsule", "info")
    bench.monitor("block_resize", device="disk", size=(DISK_GIB + 10) * GIB)
    bench.until(lambda: bench.data("capsule", "grow-disk", "--dry-run").get("unusedBytes"), "the kernel sees it")
    grown = {one["name"]: one for one in bench.data("capsule", "grow-disk")["parts"]}
    assert set(grown) == {"partition", "perm", "journal", "pool"}
    assert all(one["afterBytes"] > one["beforeBytes"] for one in grown.values())
    after = bench.data("capsule", "info")
    assert after["thinpoolTotalBytes"] > before["thinpoolTotalBytes"] + 5 * GIB
    assert after["permTotalBytes"] > before["permTotalBytes"] + 2 * GIB
    assert "parts" not in bench.data("capsule", "grow-disk")
    types = [one["type"] for one in bench.history()]
    assert types.count("disk.growth_requested") == 2 and types.count("disk.grown") == 1


def test_it_is_switched_off_on_its_operators_word(bench: Bench) -> None:
    bench.good("capsule", "poweroff", "--yes")
    bench.until_off()
    assert "capsule: the machine is off" in bench.console
