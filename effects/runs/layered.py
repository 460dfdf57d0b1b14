"""Finds a file over the directories of an image's layers as the kernel would once they are mounted, and mounts nothing.

The layers are somebody else's, and the topmost one's workload may change it meanwhile. Every name is looked at in a
directory that is open, by a descriptor that opens nothing; a link is only read, and what it says is walked from the
image's root, above which there is nothing. What ends such a walk is bounded. Source: the kernel's
Documentation/filesystems/overlayfs.rst.
"""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from effects import plain_files

_HOPS = 40
_STEPS = 256
"""Names that are looked at in all. Each is in every layer that may have it."""
_OPAQUE = "trusted.overlay.opaque"
_SEEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def beginning(directories: Sequence[Path], path: str, most: int) -> bytes | None:
    """The first `most` bytes of a plain file, the topmost of `directories` first; nothing where there is none."""
    try:
        with ExitStack() as stack:
            fd = _Walk(directories, stack).file(path)
            stack.callback(os.close, fd)
            return plain_files.beginning(fd, most)
    except OSError:
        return None


class _Walk:
    """One way through the merged layers: `_at` is the directory that it has come to, as each layer has it, and `_names`
    how that is called from the root."""

    def __init__(self, directories: Sequence[Path], stack: ExitStack) -> None:
        self._root: list[int] = []
        for directory in directories:
            with _absent():
                self._root.append(os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
                stack.callback(os.close, self._root[-1])
        self._at = self._root
        self._names: list[str] = []
        self._held = ExitStack()
        stack.callback(self._restart)

    def file(self, path: str) -> int:
        """A plain file, open to read. Raises OSError."""
        left, hops = _parts(path), 0
        for _ in range(_STEPS):
            if not left:
                raise OSError(errno.EISDIR, "it is a directory", path)
            name, left = left[0], left[1:]
            if name == "..":
                left = [*self._names[:-1], *left]
                self._restart()
                continue
            seen = self._entered(name)
            if seen is None:
                continue
            try:
                if not stat.S_ISLNK(os.fstat(seen).st_mode):
                    if left:
                        raise OSError(errno.ENOTDIR, "it is no directory", path)
                    return plain_files.of(seen, path)
                target = os.readlink("", dir_fd=seen)
            finally:
                os.close(seen)
            hops += 1
            if hops > _HOPS:
                break
            if target.startswith("/"):
                self._restart()
            left = [*_parts(target), *left]
        raise OSError(errno.ELOOP, "it leads nowhere", path)

    def _entered(self, name: str) -> int | None:
        """Goes into a directory; anything else is returned as it was seen. Raises OSError for what is not there."""
        with ExitStack() as inside:
            found: list[int] = []
            for layer in self._at:
                with _absent():
                    seen = os.open(name, _SEEN, dir_fd=layer)
                    inside.callback(os.close, seen)
                    facts = os.fstat(seen)
                    if not stat.S_ISDIR(facts.st_mode):
                        if found or _is_whiteout(facts):
                            break
                        inside.pop_all()
                        return seen
                    found.append(seen)
                    if _is_opaque(seen):
                        break
            if not found:
                raise OSError(errno.ENOENT, "it is not there", name)
            names = [*self._names, name]
            self._restart()
            self._at, self._names, self._held = found, names, inside.pop_all()
        return None

    def _restart(self) -> None:
        """At the image's root."""
        self._held.close()
        self._at, self._names, self._held = self._root, [], ExitStack()


@contextmanager
def _absent() -> Iterator[None]:
    """A layer may lack a name, or all of it."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        return


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _is_whiteout(facts: os.stat_result) -> bool:
    """What is below is not there any more."""
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0


def _is_opaque(directory: int) -> bool:
    """What is in the same directory below is not there any more."""
    try:
        return os.getxattr(f"/proc/self/fd/{directory}", _OPAQUE) == b"y"
    except OSError:
        return False
