"""The modes of what is built: they come from what a file is, not from the umasks of who cloned, installed or builds."""

import stat
from pathlib import Path

DIRECTORY, FILE, PROGRAM = 0o755, 0o644, 0o755
UMASK = 0o022
"""Under which tools run: what they write is then as what we write."""


def settle(place: Path) -> None:
    """Let everybody read all that is in it, itself included, and run what its owner may run. Not for what Debian's
    packages bring along: theirs say more."""
    for file in (place, *place.rglob("*")):
        mode = file.lstat().st_mode
        if stat.S_ISDIR(mode):
            file.chmod(DIRECTORY)
        elif stat.S_ISREG(mode):
            file.chmod(PROGRAM if mode & stat.S_IXUSR else FILE)
