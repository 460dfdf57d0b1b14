"""What is mounted, as the kernel says. Blocking: for a thread."""

import errno
import os
import re
from pathlib import Path
from typing import NamedTuple

_TABLE = Path("/proc/self/mountinfo")
_VOLUME = re.compile(r"(?P<name>[^./]+)\.(?P<uid>\d+)")
_BROKEN = {"ro", "emergency_ro", "shutdown"}
"""Options of an ext4 that takes no writes any more: none is mounted like that here."""


class Mount(NamedTuple):
    """A row of mountinfo: the mount's number, the device's, where it is, and the options of the file system itself."""

    number: str
    device: str
    point: str
    options: frozenset[str]

    def says_broken(self) -> bool:
        """Whether the kernel calls it one that takes no writes."""
        return not _BROKEN.isdisjoint(self.options)


def parsed(table: str) -> list[Mount]:
    """Pure. Source: proc(5), mountinfo: number, parent and device come first, the point is field 5, the file system's
    options come last."""
    rows = [line.split() for line in table.splitlines()]
    return [Mount(row[0], row[2], row[4], frozenset(row[-1].split(","))) for row in rows]


def mount_points() -> dict[str, bool]:
    """Of this process's mount namespace, and whether the file system there is broken. Names of volumes have nothing
    that would stand escaped there."""
    return {one.point: one.says_broken() or _has_errors(one.device) for one in parsed(_TABLE.read_text())}


def takes_no_writes(directory: Path) -> bool:
    """Whether the file system that it lies on takes no writes, or none any more. Raises OSError. Source: proc(5),
    fdinfo."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if os.fstatvfs(fd).f_flag & os.ST_RDONLY:
            return True
        fields = dict(line.split(":", 1) for line in Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines())
        here = [one for one in parsed(_TABLE.read_text()) if one.number == fields["mnt_id"].strip()]
        return any(one.says_broken() or (_has_errors(one.device) and _refuses(directory)) for one in here)
    finally:
        os.close(fd)


def _refuses(directory: Path) -> bool:
    """Whether not even a file without a name can be made: an error that is remembered may be of long ago, and one that
    the file system goes on with (`errors=continue`)."""
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except OSError as error:
        return error.errno in (errno.EROFS, errno.EIO)
    return False


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
