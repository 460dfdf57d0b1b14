"""How a workload of a storm falls ill, and whether it is: from outside, in the program's own files and processes.

Each has a page that says it is well, which exec and http checks look for, and a second server for tcp checks.
"""

import contextlib
import os
import signal
from pathlib import Path

WELL = "tmp/www/well"
TCP_PORT = 81
CHECKS = ("exec", "http", "tcp")


def program(token: str) -> int:
    """The process of the program that has this token; 0 while there is none."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            words = _command(entry)
            if len(words) > 3 and words[:2] == ["sh", "-c"] and words[3] == token:
                return int(entry.name)
    return 0


def sicken(pid: int, check: str) -> None:
    """From now on its check fails."""
    if check == "tcp":
        for child in _listeners(pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
    else:
        _well(pid).unlink(missing_ok=True)


def heal(pid: int) -> None:
    """From now on its check succeeds again, one of exec or http."""
    with contextlib.suppress(OSError):
        _well(pid).touch()


def is_ill(token: str, check: str) -> bool:
    """Whether the check of a program that runs must fail."""
    pid = program(token)
    return not _listeners(pid) if check == "tcp" else not _well(pid).exists()


def _well(pid: int) -> Path:
    return Path(f"/proc/{pid}/root/{WELL}")


def _listeners(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(child) for child in children if _command(Path("/proc", child))[:2] == ["httpd", "-f"]]


def _command(process: Path) -> list[str]:
    try:
        return (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []
