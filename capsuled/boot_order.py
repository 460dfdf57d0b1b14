"""Which of what boots left is newer: its mtime says so, and is made to where the clock does not.

A machine whose clock has no battery begins each boot in the past, until the network tells the time; and a clock that
was in the future once would be the newest for ever. So what comes is put behind what is there. Blocking, for a moment.
"""

import os
from collections.abc import Iterable
from pathlib import Path

_STEP_NS = 1_000_000_000
"""What every file system tells apart."""


def newest_first(paths: Iterable[Path]) -> list[Path]:
    """In the order that `put_behind` made. Raises OSError."""
    return sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)


def put_behind(path: Path, earlier: Iterable[Path]) -> None:
    """It is newer than those, whatever the clock said as it was written. Raises OSError."""
    latest_ns = max((one.stat().st_mtime_ns for one in earlier), default=0)
    if path.stat().st_mtime_ns <= latest_ns:
        os.utime(path, ns=(latest_ns + _STEP_NS, latest_ns + _STEP_NS))
