"""A file system on a disk that remembers: FUSE file, loop device, ext4; and file systems on images of it.

Everything here mounts, so everything here runs in a mount namespace of its own (`apart`): another process of the machine
that copies its namespace at the wrong moment would keep a file system alive, and let it write into a later image.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SIZE_BYTES = 96 << 20
_APART = ("unshare", "--mount", "--propagation", "private", "--")
APART_S = 300
_MKFS = ("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0")


class Lacking(Exception):
    """Raised when this machine lacks what the disk stands on; the message says what."""


class Damage(Exception):
    """Raised when a file system cannot be used after a power cut, whatever its owner did."""


class LoggedDisk:
    """A mounted file system. `acks` is the counter that the life on it keeps; `log` what the disk remembers."""

    def __init__(self, scratch: Path, server: "subprocess.Popen[str]") -> None:
        self.mount = scratch / "mount"
        self.acks = scratch / "acks"
        self.log = scratch / "disk.log"
        self._server = server

    def record(self) -> None:
        """Begin to remember, from a state that is whole on the disk."""
        os.sync()
        assert self._server.stdin is not None and self._server.stdout is not None
        self._server.stdin.write("record\n")
        self._server.stdin.flush()
        assert self._server.stdout.readline() == "recording\n", "the disk is gone"


def apart(module: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """Run a module of this package in a mount namespace of its own; whatever it left mounted is gone afterwards."""
    command = [*_APART, sys.executable, "-m", f"tests.support.power.{module}", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=APART_S, check=False)


def lacking() -> str:
    """What this machine lacks of what can be seen without trying; empty if nothing."""
    if os.geteuid() != 0:
        return "root"
    if shutil.which("unshare") is None:
        return "unshare"
    return next((what for what in ("/dev/fuse", "/dev/loop-control") if not os.path.exists(what)), "")


@contextmanager
def logged_disk(scratch: Path) -> Iterator[LoggedDisk]:
    """A fresh ext4 on such a disk; its log is whole and on the ordinary disk afterwards. Raises Lacking."""
    file = scratch / "disk"
    (scratch / "mount").mkdir()
    file.touch()
    (scratch / "acks").write_bytes(bytes(8))
    command: list[str | Path] = [sys.executable, "-m", "tests.support.power.fuse_disk", file, str(SIZE_BYTES)]
    server = subprocess.Popen(
        [*command, scratch / "disk.log", scratch / "acks"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert server.stdin is not None and server.stdout is not None and server.stderr is not None
    try:
        if server.stdout.readline() != "serving\n":
            raise Lacking(f"FUSE mounts: {server.stderr.read().strip().splitlines()[-1]}")
        _do(*_MKFS, file)
        try:
            _do("mount", "-o", "loop", file, scratch / "mount")
        except subprocess.CalledProcessError as error:
            raise Lacking(f"loop devices: {error.stderr.strip()}") from error
        _do("umount", scratch / "mount")
        with _mounted(file, scratch / "mount"):
            yield LoggedDisk(scratch, server)
    finally:
        server.stdin.close()
        server.wait()
        server.stdout.close()
        server.stderr.close()


@contextmanager
def powered_on(image: Path, mount: Path) -> Iterator[None]:
    """An image as a machine finds it that was switched on again: repaired and mounted. Raises Damage."""
    checked = subprocess.run(["e2fsck", "-fy", image], capture_output=True, text=True, check=False)
    if checked.returncode > 1:
        raise Damage(f"e2fsck ended with {checked.returncode}: {checked.stdout[-500:]}")
    mount.mkdir(exist_ok=True)
    with _mounted(image, mount):
        yield


@contextmanager
def _mounted(file: Path, mount: Path) -> Iterator[None]:
    try:
        _do("mount", "-t", "ext4", "-o", "loop,commit=1", file, mount)
    except subprocess.CalledProcessError as error:
        raise Damage(f"it cannot be mounted: {error.stderr.strip()}") from error
    try:
        yield
    finally:
        _do("umount", mount)


def _do(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
