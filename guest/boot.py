"""From the kernel's first process to a machine that a payload can start in."""

import binascii
import errno
import os
import time

from guest import cgroups, devices, kernel, network
from guest.mounts import FILES, SECRETS, SMALL_BYTES, VOLUMES, directory_of, secret_directories
from guest.run import Run, read
from sandbox import new_volumes

_MODULES = "/modules"
_BASE = "/base"
PAYLOAD, LAYER, ROOT = "/run/payload", "/run/layer", "/run/root"
_UPPER, _WORK = f"{LAYER}/upper", f"{LAYER}/work"
STDOUT, STDERR, END, AGENT = "capsule.stdout", "capsule.stderr", "capsule.end", "capsule.agent"
_REAL_TIME = "/sys/class/rtc/rtc0/since_epoch"
_ASIDE = ".new"
"""Where a file is until it is whole: beside what has numbers for names, for among secrets it may be the name of one."""
_SMALL = f"mode=700,size={SMALL_BYTES}"
FIRST, LATER = "first", "later"
"""Modules that a payload waits for, and those that it does not."""


def settle() -> None:
    """A root that can be left, the kernel's own file systems, and the devices. Raises OSError."""
    # The first root can never be pivoted away from; what is mounted over it can.
    kernel.mount("", "/", _BASE, kernel.BIND)
    os.chdir(_BASE)
    kernel.move(".", "/")
    os.chroot(".")
    plain = kernel.NOSUID | kernel.NODEV | kernel.NOEXEC
    kernel.mount("proc", "proc", "/proc", plain)
    kernel.mount("sysfs", "sysfs", "/sys", plain)
    kernel.mount("devtmpfs", "dev", "/dev", kernel.NOSUID | kernel.NOEXEC, "mode=755")
    kernel.mount("tmpfs", "run", "/run", kernel.NOSUID | kernel.NODEV, "mode=755")
    cgroups.spare()
    load(FIRST)


def load(which: str, only: str = "") -> None:
    """Modules, in the order in which they need one another, as the image's maker has put them; or `only` one."""
    directory = f"{_MODULES}/{which}"
    for name in sorted(os.listdir(directory)):
        if only in name:
            _load(f"{directory}/{name}")


def _load(path: str) -> None:
    with open(path, "rb") as module:
        try:
            kernel.load_module(module.read())
        except FileExistsError:
            pass  # it was needed before its turn


def machine() -> tuple[Run, dict[str, str], dict[str, str]]:
    """The run, its disks by serial, and its ports by name. Raises OSError, and what `read` does."""
    disks = devices.disks()
    if "run" not in disks:
        raise OSError("the machine has no disk with the serial `run`")
    run = read(disks["run"])
    return run, disks, devices.ports((STDOUT, STDERR, END))


def prepare(run: Run, disks: dict[str, str]) -> None:
    """All that the payload finds: time, network, limits, file system, volumes, files, secrets. Raises OSError."""
    time.clock_settime_ns(time.CLOCK_REALTIME, wall_clock_ns(run.time_ns, devices.text(_REAL_TIME)))
    kernel.set_hostname(run.hostname)
    network.bring_up(run.network)
    cgroups.make(run.pids, run.memory_bytes)
    _mount_root(disks)
    for one in run.mounts:
        place = f"{VOLUMES}/{one['serial']}"
        os.makedirs(place)
        flags = kernel.NOSUID | kernel.NODEV | (kernel.RDONLY if one["read_only"] else 0)
        _mount_ext4(disk(disks, one["serial"]), place, flags)
        if not one["read_only"]:
            new_volumes.settle(place, one["path"], (PAYLOAD,), run.user.uid, run.user.gid)
    _write_files(run)


def wall_clock_ns(told_ns: int, real_time_s: str) -> int:
    """What time it is, by two clocks that can only be behind: what was told before the machine began, and the boot
    since, which a translated processor that has to wait counts too short; and the machine's real-time clock, in whole
    seconds, where there is one."""
    booted_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return max(told_ns + booted_ns, int(real_time_s or 0) * 10**9)


def disk(disks: dict[str, str], serial: str) -> str:
    """The path of one that must be there. Raises OSError."""
    if serial not in disks:
        raise OSError(f"the machine has no disk with the serial `{serial}`")
    return disks[serial]


def _mount_root(disks: dict[str, str]) -> None:
    for place in (PAYLOAD, LAYER, ROOT):
        os.mkdir(place)
    _mount_payload(disk(disks, "payload"))
    _mount_ext4(disk(disks, "layer"), LAYER, 0)
    for place in (_UPPER, _WORK):
        os.makedirs(place, mode=0o755, exist_ok=True)
    kernel.mount("overlay", "root", ROOT, 0, f"lowerdir={PAYLOAD},upperdir={_UPPER},workdir={_WORK}")


def _mount_payload(path: str) -> None:
    """An image is an erofs, or a squashfs where it has names that the maker of the other cuts."""
    try:
        kernel.mount("erofs", path, PAYLOAD, kernel.RDONLY)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        load(LATER, "squashfs")
        kernel.mount("squashfs", path, PAYLOAD, kernel.RDONLY)


def _mount_ext4(path: str, place: str, flags: int) -> None:
    """What is freed there is given back to the machine's sparse file; and what has an error is written on by nobody, as
    on the machine itself: by default ext4 goes on, over what it no longer knows."""
    kernel.mount("ext4", path, place, flags | kernel.NOATIME, "discard,errors=remount-ro")


def _write_files(run: Run) -> None:
    # Of their own, and small: whoever may write to them can fill them, and nothing else with them.
    for place in (FILES, SECRETS):
        os.mkdir(place)
        kernel.mount("tmpfs", "run", place, kernel.NOSUID | kernel.NODEV, _SMALL)
    for number, content in enumerate(run.files.values()):
        put(FILES, str(number), content.encode(), 0o644, 0, 0)
    directories = secret_directories(run)
    for number in range(len(directories)):
        os.mkdir(f"{SECRETS}/{number}", 0o755)
    for one in run.secrets:
        number = directories.index(directory_of(one["path"]))
        name = one["path"].rpartition("/")[2]
        secret = binascii.a2b_base64(one["base64"])
        put(SECRETS, f"{number}/{name}", secret, one["mode"], one["uid"], one["gid"])


def put(root: str, place: str, content: bytes, mode: int, uid: int, gid: int) -> None:
    """A file in FILES or SECRETS, whole: whoever reads it sees what was there before, or this. One at a time."""
    aside = f"{root}/{_ASIDE}"
    fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(fd, left) :]
        os.fchown(fd, uid, gid)
        os.fchmod(fd, mode)
    finally:
        os.close(fd)
    os.rename(aside, f"{root}/{place}")
