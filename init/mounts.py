"""The kernel's own file systems, at the places where every program expects them.

Done in a child of its own: mount(2) needs ctypes, whose memory PID 1 would keep for ever.
"""

import os

# (what, where, type, flags, options)
_NOSUID, _NODEV, _NOEXEC = 2, 4, 8
TABLE = (
    ("devpts", "/dev/pts", "devpts", _NOSUID | _NOEXEC, "gid=5,mode=620,ptmxmode=666"),
    ("shm", "/dev/shm", "tmpfs", _NOSUID | _NODEV, "mode=1777"),
    ("mqueue", "/dev/mqueue", "mqueue", _NOSUID | _NODEV | _NOEXEC, ""),
    ("tmp", "/tmp", "tmpfs", _NOSUID | _NODEV, "mode=1777,size=25%"),
    ("cgroup2", "/sys/fs/cgroup", "cgroup2", _NOSUID | _NODEV | _NOEXEC, "nsdelegate"),
    ("securityfs", "/sys/kernel/security", "securityfs", _NOSUID | _NODEV | _NOEXEC, ""),
    ("pstore", "/sys/fs/pstore", "pstore", _NOSUID | _NODEV | _NOEXEC, ""),
    ("efivarfs", "/sys/firmware/efi/efivars", "efivarfs", _NOSUID | _NODEV | _NOEXEC, ""),
)
OPTIONAL = ("securityfs", "pstore", "efivarfs", "mqueue")
"""Not every machine has them, and nothing of ours needs them."""


def mount_all() -> list[str]:
    """Mount the table; returns a sentence for each that could not be and is needed. What is mounted stays."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, "\n".join(_mount_all()).encode())
        os._exit(0)
    os.close(writing)
    said = b""
    while piece := os.read(reading, 4096):
        said += piece
    os.close(reading)
    os.waitpid(child, 0)
    return said.decode().splitlines()


def _mount_all() -> list[str]:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/mounts") as file:
        there = {line.split()[1] for line in file}
    problems = []
    for source, place, kind, flags, options in TABLE:
        if place in there:
            continue
        try:
            os.makedirs(place, exist_ok=True)
        except OSError:
            continue  # below /sys only the kernel makes directories: this one has no such file system
        if libc.mount(source.encode(), place.encode(), kind.encode(), flags, options.encode()) and kind not in OPTIONAL:
            problems.append(f"{place} cannot be mounted: {os.strerror(ctypes.get_errno())}")
    return problems
