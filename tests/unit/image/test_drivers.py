"""Which of the kernel's modules are in the image, and what stands before the initramfs."""

import stat
import subprocess
from pathlib import Path

import pytest

from image import base, initramfs
from image.commands import BuildFailed


def module(modules: Path, inside: str, needs: str = "") -> None:
    file = modules / "kernel" / inside
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"\x7fELF\0license=GPL\0depends=" + needs.encode() + b"\0retpoline=Y\0name=x\0")


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    (tmp_path / "modules.builtin").write_text("kernel/lib/crc-ccitt.ko\n")
    module(tmp_path, "drivers/net/ethernet/card.ko", "crc_ccitt,net-core")
    module(tmp_path, "net/net_core.ko")
    return tmp_path


def left(modules: Path) -> list[str]:
    return sorted(file.stem for file in modules.rglob("*.ko"))


def test_what_could_not_be_loaded_is_not_in_the_image_nor_what_needs_that(modules: Path) -> None:
    module(modules, "drivers/sensor.ko", "iio")
    module(modules, "drivers/its-user.ko", "sensor")
    base.remove_unloadable(modules)
    assert left(modules) == ["card", "net_core"]


def test_a_card_or_a_disk_is_not_lost_by_what_the_image_leaves_out(modules: Path) -> None:
    module(modules, "drivers/net/ethernet/sfc/sfc.ko", "mtd")
    with pytest.raises(BuildFailed, match=r"drivers/net/ethernet/sfc/sfc\.ko needs mtd, which _NO_MODULES takes out"):
        base.remove_unloadable(modules)
    module(modules, "drivers/mtd/mtd.ko")
    base.remove_unloadable(modules)
    assert left(modules) == ["card", "mtd", "net_core", "sfc"]


def test_a_module_that_does_not_say_what_it_needs_is_told(modules: Path) -> None:
    (modules / "kernel/net/packed.ko").write_bytes(b"packed")
    with pytest.raises(BuildFailed, match=r"packed\.ko does not say"):
        base.remove_unloadable(modules)


def test_a_watchdog_that_resets_nothing_is_left_out_and_cheap_fast_cards_are_not() -> None:
    left_out = [Path("drivers") / "watchdog/mei_wdt.ko", Path("drivers/mtd/spi-nor")]
    assert {str(one) for one in left_out} <= set(base._NO_MODULES)
    kept = ("drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko", "drivers/mtd/mtd.ko", "drivers/pcmcia/pcmcia.ko")
    assert [one for one in kept for out in base._NO_MODULES if Path(one).is_relative_to(out)] == []


def test_the_initramfs_has_the_disks_of_hypervisors_and_servers() -> None:
    assert {
        *("hv_storvsc", "vmw_pvscsi", "mptspi", "hpsa", "smartpqi", "aacraid", "ufshcd_pci", "rtsx_pci_sdmmc"),
    } <= set(initramfs.DRIVERS)


def test_microcode_of_firmware_packages_is_one_file_for_each_vendor(tmp_path: Path) -> None:
    for name, data in (("intel-ucode/06-9e-09", b"one"), ("intel-ucode/06-a5-02", b"two"), ("amd-ucode/README", b"?")):
        (tmp_path / "firmware" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "firmware" / name).write_bytes(data)
    base.keep_microcode(tmp_path / "firmware", tmp_path / "microcode")
    assert {file.name: file.read_bytes() for file in (tmp_path / "microcode").iterdir()} == {
        "GenuineIntel.bin": b"onetwo"
    }
    base.keep_microcode(tmp_path / "nothing", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_microcode_stands_uncompressed_before_the_initramfs_where_a_processor_can_take_it(tmp_path: Path) -> None:
    wanted = {"AuthenticAMD.bin": b"amd" * 333, "GenuineIntel.bin": b"intel" * 777}
    (tmp_path / "microcode").mkdir()
    for name, data in wanted.items():
        (tmp_path / "microcode" / name).write_bytes(data)
    archive = initramfs.early(tmp_path / "microcode")
    assert archive == initramfs.early(tmp_path / "microcode") and len(archive) % 512 == 0
    for data in wanted.values():
        assert archive.count(data) == 1 and archive.index(data) % 16 == 0
    (tmp_path / "out").mkdir()
    subprocess.run(["busybox", "cpio", "-i"], input=archive, cwd=tmp_path / "out", check=True, capture_output=True)
    there = {file.name: file for file in (tmp_path / "out/kernel/x86/microcode").iterdir()}
    assert {name: file.read_bytes() for name, file in there.items()} == wanted
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o644 for file in there.values())
