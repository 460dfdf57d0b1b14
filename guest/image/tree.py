"""A tree of files in memory, on its way into an image."""

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

DIRECTORY, FILE, PROGRAM, LINK = 0o755, 0o644, 0o755, 0o777


class Entry(NamedTuple):
    """`mode` is a file's whole; `data` is a file's content, or where a link leads; `device` is a node's numbers."""

    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


class Tree:
    """Entries by path, relative; the directories above one are there with it."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __iter__(self) -> Iterator[tuple[str, Entry]]:
        """In order: a directory before what is in it."""
        return iter(sorted(self._entries.items()))

    def directory(self, path: str) -> None:
        """An empty directory, if there is none."""
        above, _, _ = path.rpartition("/")
        if above:
            self.directory(above)
        if path:
            self._entries.setdefault(path, Entry(stat.S_IFDIR | DIRECTORY))

    def file(self, path: str, data: bytes, mode: int = FILE) -> None:
        """A file."""
        self._put(path, Entry(stat.S_IFREG | mode, data))

    def link(self, path: str, target: str) -> None:
        """A symbolic link."""
        self._put(path, Entry(stat.S_IFLNK | LINK, target.encode()))

    def node(self, path: str, major: int, minor: int) -> None:
        """A character device."""
        self._put(path, Entry(stat.S_IFCHR | 0o600, b"", (major, minor)))

    def _put(self, path: str, entry: Entry) -> None:
        self.directory(path.rpartition("/")[0])
        self._entries[path] = entry

    def write(self, target: Path) -> None:
        """All of it below a directory. Nodes are not written: only who is root could."""
        for path, entry in self:
            place = target / path
            if stat.S_ISDIR(entry.mode):
                place.mkdir(parents=True, exist_ok=True)
                place.chmod(stat.S_IMODE(entry.mode))  # whatever the umask
            elif stat.S_ISLNK(entry.mode):
                place.symlink_to(entry.data.decode())
            elif stat.S_ISREG(entry.mode):
                place.write_bytes(entry.data)
                place.chmod(stat.S_IMODE(entry.mode))
