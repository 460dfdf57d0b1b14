"""Secrets' files as they lie in memory, read for a guest: it has no directory of the machine, so it is told what is in
them. Blocking, but of memory only."""

import stat
from collections.abc import Iterable
from pathlib import Path

from effects.secrets.protocol import SecretContent, SecretDirectory


def contents(directories: Iterable[SecretDirectory]) -> tuple[SecretContent, ...]:
    """All files in these directories, by where they are to be inside. Raises OSError."""
    found = []
    for directory in directories:
        for path in sorted(Path(directory.source).iterdir()):
            seen = path.stat()
            place = f"{directory.target.rstrip('/')}/{path.name}"
            mode = stat.S_IMODE(seen.st_mode)
            found.append(SecretContent(place, path.read_bytes(), mode, seen.st_uid, seen.st_gid))
    return tuple(found)
