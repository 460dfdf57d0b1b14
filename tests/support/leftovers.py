"""What a machine still has of a capsule of which nothing should be left."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

GONE_S = 10
"""For what has been killed to be gone."""


def mounts_below(places: Sequence[Path], inside: tuple[str, ...] = ()) -> list[str]:
    """Where something is mounted; `inside` is the prefix that looks on a machine of its own (site.py)."""
    look = [*inside, "cat", "/proc/self/mountinfo"]
    table = subprocess.run(look, capture_output=True, text=True, timeout=60, check=True).stdout
    below = tuple(f"{os.path.realpath(place)}/" for place in places)
    return [point for point in (line.split()[4] for line in table.splitlines()) if point.startswith(below)]


def unmount_below(place: Path) -> None:
    """Whatever it is, and whoever uses it."""
    for point in reversed(mounts_below((place,))):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def processes_naming(places: Sequence[Path]) -> list[str]:
    """Command lines in which one of them stands, of what has not ended within moments."""
    deadline = time.monotonic() + GONE_S
    while (found := list(_naming([str(place).encode() for place in places]))) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def _naming(words: Sequence[bytes]) -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if any(word in line for word in words):
                yield f"{entry.name}: {line.replace(bytes(1), b' ').decode(errors='replace')}"
