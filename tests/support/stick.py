"""The image on a removable disk, in a machine whose own disk is blank: the firmware tries that one first."""

import subprocess
from pathlib import Path

from tests.support.booted import ROOT, Booted
from tests.support.daemon import CTL
from tools.qemu import copy_sparse

GIB = 1 << 30


def blank(file: Path, size_gib: int) -> Path:
    """A disk with nothing on it."""
    with file.open("wb") as made:
        made.truncate(size_gib * GIB)
    return file


def drive(name: str, file: Path) -> tuple[str, str]:
    """For QEMU, to be named by a device."""
    return "-drive", f"if=none,id={name},format=raw,discard=unmap,file={file}"


class Stick(Booted):
    """A machine that comes up as an installer. `more` devices and drives besides."""

    def __init__(self, place: Path, image: Path, size_gib: int, more: tuple[str, ...] = ()) -> None:
        stick = place / "stick.raw"
        copy_sparse(image, stick)
        usb = ("-device", "qemu-xhci,id=usb", "-device", "usb-storage,bus=usb.0,drive=stick,removable=on,bootindex=2")
        super().__init__(place, blank(place / "blank.raw", 0), size_gib, more=(*drive("stick", stick), *more, *usb))

    @property
    def address(self) -> str:
        """Where it is reached."""
        return f"127.0.0.1:{self.port}"

    def fingerprint(self) -> str:
        """On the console, once there is an address, too."""
        self.until_shown(r"INSTALLER \(capsule-[0-9a-f]{4}\)[^=]*address +10\.0\.2\.15:50000")
        return super().fingerprint()

    def named(self, size_gib: int) -> str:
        """The disk of this size: the kernel names them as it finds them."""
        listed = self.data("install", self.address, "--list")["disks"]
        return next(str(one["name"]) for one in listed if one["sizeBytes"] == size_gib * GIB)

    def begin(self, disk: str) -> "subprocess.Popen[str]":
        """Install, and go on at once."""
        sure = ("--fingerprint", self.fingerprint(), "--yes")
        argv = [CTL, "install", self.address, "--target", disk, *sure, "--name", "home"]
        return subprocess.Popen(argv, env=self.environment, stderr=subprocess.PIPE, text=True, cwd=ROOT)
