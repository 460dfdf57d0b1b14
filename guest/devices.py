"""The machine's disks and ports, by what their maker calls them, and the few devices that a payload has."""

import os
import time

WAIT_S = 10.0
"""For ports to be named: the other side tells the names after the driver has found the device."""
_LOOK_S = 0.002
_BLOCK, _PORTS = "/sys/block", "/sys/class/virtio-ports"

NODES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
"""What is in a payload's /dev: name, major and minor number. Everybody may read and write them."""
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
)
RULES = ("c *:* m", "b *:* m", *(f"c {major}:{minor} rwm" for _, major, minor in NODES), "c 5:2 rwm", "c 136:* rwm")
"""What a payload may do with which devices: make nodes of all, and use those that it has, and its terminals."""


def disks() -> dict[str, str]:
    """Paths of block devices by serial."""
    found = {}
    for name in os.listdir(_BLOCK):
        serial = text(f"{_BLOCK}/{name}/serial")
        if serial:
            found[serial] = f"/dev/{name}"
    return found


def ports(wanted: tuple[str, ...]) -> dict[str, str]:
    """Paths of ports by name; waits for those that are `wanted`. Raises OSError when one does not come."""
    deadline = time.monotonic() + WAIT_S
    while True:
        found = _ports()
        missing = [name for name in wanted if name not in found]
        if not missing:
            return found
        if time.monotonic() > deadline:
            raise OSError(f"the machine has no port {missing[0]}")
        time.sleep(_LOOK_S)


def _ports() -> dict[str, str]:
    try:
        names = os.listdir(_PORTS)
    except FileNotFoundError:
        return {}
    return {text(f"{_PORTS}/{name}/name"): f"/dev/{name}" for name in names}


def text(path: str) -> str:
    """What the kernel says in a file, in one line; empty where it says nothing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, 4_096).decode(errors="replace").strip()
    except OSError:
        return ""
    finally:
        os.close(fd)


def write(path: str, content: str) -> None:
    """Say something to the kernel. Raises OSError."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content.encode())
    finally:
        os.close(fd)
