"""What is mounted, as the kernel says. Blocking: for a thread."""

import errno
import os
import re
from pathlib import Path

_VOLUME = re.compile(r"(?P<name>[^./]+)\.(?P<uid>\d+)")
_BROKEN = {"ro", "emergency_ro", "shutdown"}
"""Options of an ext4 that takes no writes any more: none is mounted like that here."""


def mount_points() -> dict[str, bool]:
    """Of this process's mount namespace, and whether the file system there is broken. Names of volumes have nothing
    that would stand escaped there. Source: proc(5), mountinfo: the point is field 5, the file system's options come
    last."""
    with open("/proc/self/mountinfo") as file:
        rows = [line.split() for line in file]
    return {row[4]: not _BROKEN.isdisjoint(row[-1].split(",")) or _has_errors(row[2]) for row in rows}


def _has_errors(number: str) -> bool:
    """Whether the ext4 on this device met an error since it was checked, which is before each mount of a volume. Some
    kernels (6.1.192) refuse all writes then, and go on to say `rw`. Source: the kernel's Documentation/ABI/testing."""
    try:
        device = Path(f"/sys/dev/block/{number}").resolve().name
        return Path(f"/sys/fs/ext4/{device}/errors_count").read_text() != "0\n"
    except OSError:
        return False


def mounted_volumes(directory: Path) -> dict[tuple[str, int], bool]:
    """The volumes, NAME.UID each, that are mounted in `directory`, and whether each takes no writes any more."""
    found: dict[tuple[str, int], bool] = {}
    for point, broken in mount_points().items():
        match = _VOLUME.fullmatch(point.removeprefix(f"{directory}/"))
        if match is not None:
            found[match["name"], int(match["uid"])] = broken
    return found


def open_device(image: Path) -> str:
    """The loop device of an image whose file system is mounted somewhere, be it in another namespace; empty when there
    is none. One that is only about to be freed can be opened by one alone. Source: the kernel's
    Documentation/ABI/stable/sysfs-block."""
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if backing.read_text().rstrip("\n") != str(image.resolve()):
                continue
            device = f"/dev/{backing.parent.parent.name}"
            os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
        except OSError as error:
            if error.errno == errno.EBUSY:
                return device
    return ""
