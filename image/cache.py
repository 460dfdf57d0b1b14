"""What was built once: files under a key of everything that they were built from."""

import hashlib
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

KEPT = 3
"""Results of a step that stay; older ones make room."""


def key_of(parts: Iterable[bytes | str | Path]) -> str:
    """Of values as they are, and of files by what is in them."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.read_bytes() if isinstance(part, Path) else part.encode() if isinstance(part, str) else part
        digest.update(hashlib.sha256(data).digest())
    return digest.hexdigest()[:24]


class Cache:
    """A directory with a directory for each result."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def get(self, step: str, key: str, build: Callable[[Path], None]) -> Path:
        """The directory that `build` fills for this key; at once, if it has done so before. One that was interrupted
        leaves nothing that could be taken for a result."""
        place = self._directory / f"{step}-{key}"
        if place.is_dir():
            place.touch()
            return place
        scratch = self._directory / f".{step}"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        build(scratch)
        scratch.rename(place)
        self._thin(step)
        return place

    def _thin(self, step: str) -> None:
        there = sorted(self._directory.glob(f"{step}-*"), key=lambda one: one.stat().st_mtime, reverse=True)
        for old in there[KEPT:]:
            shutil.rmtree(old)
