"""The initramfs: it loads the drivers of disks, finds the slot's root partition and makes it the root.

A cpio archive in the kernel's own format, as the first root of a microVM is (guest/image/archive.py): its bytes are to
be the same every time.
"""

import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from guest.image.archive import END, member
from guest.image.tree import Entry
from image.base import MICROCODE, plain
from image.commands import BuildFailed, command
from image.modes import settle

DRIVERS = (
    "virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod", "ahci", "ata_piix", "nvme", "usb_storage", "uas", "xhci_pci",
    "ehci_pci", "mmc_block", "sdhci_pci", "sdhci_acpi", "rtsx_pci_sdmmc", "ufshcd_pci", "vmd", "megaraid_sas",
    "mpt3sas", "mptspi", "mptsas", "hpsa", "smartpqi", "aacraid", "vmw_pvscsi", "hv_storvsc", "xen_blkfront",
    "squashfs", "overlay", "crc32c_generic", "crc32c_intel", "dm_thin_pool", "ext4", "usbhid", "hid_generic", "atkbd",
    "hyperv_keyboard", "efi_pstore",
)  # fmt: skip
"""What a disk may hang on, in a machine or a hypervisor's (KVM, VMware, Hyper-V, Xen), and what root and state are made
of (dm_thin_pool needs a checksum as it loads); keyboards for whoever must press a key; and what keeps the kernel's last
words over a reset."""

WATCHDOGS = {
    "i6300esb": "heartbeat=120",
    "lpc_ich": "",
    "i2c_i801": "",
    "iTCO_wdt": "heartbeat=120",
    "sp5100_tco": "heartbeat=120",
    "softdog": "soft_margin=120 soft_panic=1",
}
"""What resets a machine on which a new system comes to nothing: the machine's own (Intel's hangs on two other drivers),
else the kernel's; each with the option that says after how many seconds."""


_MICROCODE_AT = "kernel/x86/microcode"
_FILLER = "early"
"""A file of zeros, which moves the one behind it."""
_MICROCODE_ALIGNED, _BLOCK = 16, 512

_ROOT = Path(__file__).resolve().parent.parent
_MAKERS = ("image/boot.py", "image/initramfs.py", "image/modes.py", "guest/image/archive.py", "guest/image/tree.py")
MADE_BY = tuple(_ROOT / name for name in _MAKERS)
"""Files of ours that a boot image depends on, beside what its base does."""


def build(base: Path, script: Path, target: Path, epoch_s: int) -> None:
    """Write the compressed archive. `base` is the base step's directory. Raises BuildFailed."""
    scratch = target.with_name(".initramfs")
    shutil.rmtree(scratch, ignore_errors=True)
    for name in ("dev", "proc", "sys", "run", "lower", "root", "modules"):
        (scratch / name).mkdir(parents=True)
    shutil.copytree(base / "tools", scratch, dirs_exist_ok=True)
    (scratch / "bin").mkdir()
    (scratch / "busybox").rename(scratch / "bin/busybox")
    (scratch / "blkid").rename(scratch / "bin/blkid")
    drivers = chosen_modules(base / "modules", DRIVERS)
    watchdogs = [one for one in chosen_modules(base / "modules", tuple(WATCHDOGS)) if one not in drivers]
    for module in (*drivers, *watchdogs):
        shutil.copy2(base / "modules" / module, scratch / "modules")
    (scratch / "modules/order").write_text("".join(f"{Path(one).name}\n" for one in drivers))
    options = {name: f"{Path(name).name} {WATCHDOGS.get(_name_of(name), '')}".rstrip() for name in watchdogs}
    (scratch / "modules/watchdogs").write_text("".join(f"{line}\n" for line in options.values()))
    shutil.copy2(script, scratch / "init")
    (scratch / "init").chmod(0o755)
    settle(scratch)
    archive = target.with_name(".initramfs.cpio")
    with archive.open("wb") as out:
        for piece in cpio(scratch):
            out.write(piece)
    command("zstd", "-q", "-f", "-12", "-T1", archive, "-o", target, epoch_s=epoch_s)
    archive.unlink()
    if (base / MICROCODE).exists():
        target.write_bytes(early(base / MICROCODE) + target.read_bytes())
    shutil.rmtree(scratch)


def chosen_modules(modules: Path, wanted: Sequence[str]) -> list[str]:
    """Paths below `modules`, each behind those it needs. What the kernel has built in is left out. Raises
    BuildFailed."""
    needs: dict[str, list[str]] = {}
    for line in (modules / "modules.dep").read_text().splitlines():
        module, _, others = line.partition(":")
        needs[module] = others.split()
    by_name = {_name_of(module): module for module in needs}
    built_in = {_name_of(line) for line in (modules / "modules.builtin").read_text().splitlines()}
    order: list[str] = []

    def add(module: str) -> None:
        if module not in order:
            for other in reversed(needs[module]):
                add(other)
            order.append(module)

    for name in wanted:
        if plain(name) in by_name:
            add(by_name[plain(name)])
        elif plain(name) not in built_in:
            raise BuildFailed(f"the kernel has no module {name}, which the initramfs loads")
    return order


def _name_of(module: str) -> str:
    return plain(Path(module).name.partition(".")[0])


def cpio(directory: Path) -> Iterator[bytes]:
    """The archive of everything in `directory`, all of it root's and of no time."""
    for number, file in enumerate(sorted(directory.rglob("*")), 1):
        mode = file.lstat().st_mode
        data = b""
        if file.is_symlink():
            data = str(file.readlink()).encode()
        elif file.is_file():
            data = file.read_bytes()
        yield member(number, str(file.relative_to(directory)), Entry(mode, data))
    yield member(0, *END)


def early(microcode: Path) -> bytes:
    """The archive that stands before the other one and is not compressed: the kernel looks into it before it can unpack
    anything. A processor takes its data from a place that 16 divides."""
    kind = Entry(stat.S_IFREG | 0o644)
    out = b"".join(member(0, place, Entry(stat.S_IFDIR | 0o755)) for place in ("kernel", "kernel/x86", _MICROCODE_AT))
    for file in sorted(microcode.iterdir()):
        name = f"{_MICROCODE_AT}/{file.name}"
        begins = len(out) + len(member(0, _FILLER, kind)) + len(member(0, name, kind))
        out += member(0, _FILLER, kind._replace(data=bytes(-begins % _MICROCODE_ALIGNED)))
        out += member(0, name, kind._replace(data=file.read_bytes()))
    out += member(0, *END)
    return out + bytes(-len(out) % _BLOCK)
