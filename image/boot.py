"""What stands between the firmware and the kernel: a slot's boot image, and the partition with the boot loader.

A boot image is a squashfs of kernel and initramfs, written whole into the slot's boot partition: small, exact, and
nothing that could be half written by a file system.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from effects.slots.environment_block import encode
from effects.slots.protocol import LoaderState
from image.commands import command
from image.modes import settle

FILES = Path(__file__).parent / "files"

MODULES = (
    "part_gpt", "fat", "squash4", "all_video", "normal", "configfile", "regexp", "loadenv", "linux",
    "echo", "test", "serial", "probe", "smbios", "terminal", "reboot", "sleep", "minicmd", "ls", "cat", "halt",
)  # fmt: skip

ARGUMENTS = (
    "console=tty0", "console=ttyS0,115200", "loglevel=4", "panic=10", "oops=panic", "net.ifnames=0",
    "gpt",
)  # fmt: skip
"""For the kernel. A machine that panics comes back by itself; the last console is where PID 1 speaks first. Without
`gpt` the table's copy at the disk's end is looked at only where the table at its beginning is whole, and no longer
where the power went while that was written (source: the kernel's block/partitions/efi.c, `find_valid_gpt`). They lie on
the ESP, which no update writes, so a machine keeps those that it was installed with: what can be set later is
(files/initramfs.sh)."""


def boot_image(kernel: Path, initramfs: Path, target: Path, epoch_s: int) -> None:
    """Both are compressed already, so they lie in it as they are."""
    scratch = target.with_name(".boot")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    shutil.copy2(kernel, scratch / "vmlinuz")
    shutil.copy2(initramfs, scratch / "initramfs")
    settle(scratch)
    target.unlink(missing_ok=True)
    command(
        "mksquashfs", scratch, target, "-noI", "-noD", "-noF", "-noX", "-comp", "gzip", "-all-root", "-no-xattrs",
        "-quiet", "-no-progress", "-all-time", str(epoch_s), "-mkfs-time", str(epoch_s),
    )  # fmt: skip
    shutil.rmtree(scratch)


def loader(target: Path, epoch_s: int) -> None:
    """The boot loader as one EFI program, its first commands in it."""
    # What reads it knows no comments: those are for who reads the file here.
    early = target.with_name("early.cfg")
    lines = (FILES / "early.cfg").read_text().splitlines()
    early.write_text("".join(f"{line}\n" for line in lines if not line.startswith("#")))
    command(
        "grub-mkimage", "-O", "x86_64-efi", "-c", early, "-p", "/capsule", "-o", target, *MODULES,
        epoch_s=epoch_s,
    )  # fmt: skip


def configuration(arguments: Sequence[str]) -> str:
    """Of the boot loader, with `arguments` for the kernel."""
    return (FILES / "grub.cfg").read_text().replace("@ARGUMENTS@", " ".join(arguments))


def esp(target: Path, size_bytes: int, configured: str, volume_id: str, epoch_s: int) -> None:
    """The EFI system partition: loader, its configuration and its variables."""
    scratch = target.with_name(".esp")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    loader(scratch / "BOOTX64.EFI", epoch_s)
    (scratch / "grub.cfg").write_text(configured)
    (scratch / "grubenv").write_bytes(encode(LoaderState()))
    target.unlink(missing_ok=True)
    with target.open("wb") as made:
        made.truncate(size_bytes)
    command("mkfs.vfat", "--invariant", "-F", "32", "-n", "CAPSULE_ESP", "-i", volume_id, target, epoch_s=epoch_s)
    command("mmd", "-i", target, "::EFI", "::EFI/BOOT", "::capsule", epoch_s=epoch_s)
    for name, place in (("BOOTX64.EFI", "::EFI/BOOT"), ("grub.cfg", "::capsule"), ("grubenv", "::capsule")):
        command("mcopy", "-i", target, scratch / name, f"{place}/{name}", epoch_s=epoch_s)
    shutil.rmtree(scratch)
