"""What is mounted, as the kernel says. Blocking: for a thread."""

_BROKEN = {"ro", "emergency_ro", "shutdown"}
"""Options of an ext4 that takes no writes any more: none is mounted like that here."""


def mount_points() -> dict[str, bool]:
    """Of this process's mount namespace, and whether the file system there is broken. Names of volumes have nothing
    that would stand escaped there. Source: proc(5), mountinfo: the point is field 5, the file system's options come
    last."""
    with open("/proc/self/mountinfo") as file:
        rows = [line.split() for line in file]
    return {row[4]: not _BROKEN.isdisjoint(row[-1].split(",")) for row in rows}
