"""The files that a run's output goes to. Blocking, and short."""

import contextlib
import os
from pathlib import Path


def touch(*paths: Path) -> None:
    """They are there, with what is in them. Raises OSError."""
    paths[0].parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in paths:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))


def remove(directory: Path, uid: int) -> None:
    """None of an incarnation's is left in its workload's directory."""
    for path in directory.glob(f"{uid}.*"):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        directory.rmdir()
