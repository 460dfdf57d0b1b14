"""How files of a tree are opened: as one opens what is one's own, or as what somebody may swap at any moment."""

import os
import stat
from typing import NamedTuple, Protocol

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Seen(NamedTuple):
    """What a name is. `fd` stands for just that, where the opening holds it."""

    parent: int
    name: str
    facts: os.stat_result
    fd: int = -1


class Opening(Protocol):
    """Names in a directory that is open. Links are not followed. Raises OSError everywhere."""

    def look(self, parent: int, name: str) -> Seen:
        """What it is; nothing is opened by that. Whoever looked must `forget`."""
        ...

    def open(self, seen: Seen) -> int:
        """A file or a directory that was seen, to read."""
        ...

    def link(self, seen: Seen) -> str:
        """Where a link that was seen leads."""
        ...

    def forget(self, seen: Seen) -> None:
        """Done with it."""
        ...


class Plain:
    """For a tree of one's own: at worst it changes."""

    def look(self, parent: int, name: str) -> Seen:
        """See Opening."""
        return Seen(parent, name, os.stat(name, dir_fd=parent, follow_symlinks=False))

    def open(self, seen: Seen) -> int:
        """See Opening."""
        return os.open(seen.name, _FLAGS, dir_fd=seen.parent)

    def link(self, seen: Seen) -> str:
        """See Opening."""
        return os.readlink(seen.name, dir_fd=seen.parent)

    def forget(self, seen: Seen) -> None:
        """See Opening."""


class Guarded:
    """For a tree of somebody else's, who may put a device in a file's place: opening that would already do something.
    `descriptors` is our /proc/self/fd, open: what was looked at is opened by the very descriptor that looked."""

    def __init__(self, descriptors: int) -> None:
        self._descriptors = descriptors

    def look(self, parent: int, name: str) -> Seen:
        """See Opening."""
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        return Seen(parent, name, os.fstat(fd), fd)

    def open(self, seen: Seen) -> int:
        """See Opening."""
        assert stat.S_ISREG(seen.facts.st_mode) or stat.S_ISDIR(seen.facts.st_mode)
        return os.open(str(seen.fd), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._descriptors)

    def link(self, seen: Seen) -> str:
        """See Opening."""
        return os.readlink("", dir_fd=seen.fd)

    def forget(self, seen: Seen) -> None:
        """See Opening."""
        os.close(seen.fd)
