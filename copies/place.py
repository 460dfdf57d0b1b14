"""A path in a workload's file system, walked as the workload itself would walk it, and never out of it."""

import os

from copies import kernel
from copies.errors import CopyError, shown

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class Place:
    """`path` in the file system of the workload called `name`, whose `root` is open. Where it does not run, `absent`
    are the places that something is mounted at when it does."""

    def __init__(self, root: int, name: str, path: str, absent: tuple[str, ...] | None = None) -> None:
        self.name = name
        self.path = path if path.startswith("/") else f"/{path}"
        self._root = root
        self._absent = absent is not None
        self._device = os.stat(root).st_dev
        if any(_covers(one, self.path) for one in absent or ()):
            raise self._missing(self.path)

    @property
    def told(self) -> str:
        """The path, for messages."""
        return f"{shown(self.path)} in {self.name}"

    def open(self, path: str, flags: int = _DIRECTORY) -> int:
        """A directory, links followed as in the workload. Raises OSError, and CopyError for one of no use."""
        fd = kernel.open_below(self._root, path, flags)
        try:
            if self._absent and os.fstat(fd).st_dev != self._device:
                raise self._missing(path)
            if kernel.made_up(fd):
                raise CopyError(
                    "NOT_COPYABLE",
                    f"{shown(path)} in {self.name} is on no disk: the kernel makes it up as it is read. Use "
                    f"`capsulectl exec {self.name} …` there",
                )
        except BaseException:
            os.close(fd)
            raise
        return fd

    def passed_over(self, directory: int) -> bool:
        """Whether a directory within a tree, on another file system than the one above it, is left out."""
        return self._absent or kernel.made_up(directory)

    def _missing(self, path: str) -> CopyError:
        return CopyError(
            "NOT_RUNNING",
            f"{shown(path)} is mounted into {self.name} only while it runs: `capsulectl start {self.name}`, then copy",
        )


def _covers(place: str, path: str) -> bool:
    parts = [part for part in path.split("/") if part and part != "."]
    above = [part for part in place.split("/") if part]
    return parts[: len(above)] == above
