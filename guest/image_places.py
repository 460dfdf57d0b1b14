"""What an image has at a place, by the directories of its layers: nothing has to be mounted for it. Shared: the agent
has an image's one directory, the daemon those that an overlay lies on.

A link leads where it would inside, and never out of the image. Whatever is there is looked at by descriptors that open
nothing: a device in a file's place stays what it is.
Source of how layers hide what is below them: the kernel's Documentation/filesystems/overlayfs.rst.
"""

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_LINKS = 40
"""As many as the kernel follows."""
_OPENED = 1_024
"""Many layers by many names, and far from what a process may have open: an image may be anybody's."""
_SEEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_OPAQUE = "trusted.overlay.opaque"


def directory_at(layers: "Sequence[str | os.PathLike[str]]", place: str) -> "os.stat_result | None":
    """What stat says of the directory that is at a place in an image of these layers, the topmost first; nothing where
    none is. Raises OSError."""
    seen = seen_at(layers, place)
    if seen is None:
        return None
    try:
        found = os.fstat(seen)
        return found if stat.S_ISDIR(found.st_mode) else None
    finally:
        os.close(seen)


def seen_at(layers: "Sequence[str | os.PathLike[str]]", place: str) -> int | None:
    """A descriptor that has looked at what is there, and opened nothing: the caller's to close. None where nothing is.
    Raises OSError."""
    opened: list[int] = []
    try:
        roots = [_opened(opened, os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) for layer in layers]
        found = _walked(roots, place, opened)
        return os.dup(found[0]) if found else None
    finally:
        for fd in opened:
            os.close(fd)


def _walked(roots: list[int], place: str, opened: list[int]) -> list[int]:
    """The directories that are one at this place, the topmost first, or what is there that is none; nothing where it
    leads nowhere."""
    trail, left, links = [roots], _names(place), _LINKS
    while left:
        if len(opened) > _OPENED:
            return []
        name = left.pop()
        if name == "..":
            del trail[max(1, len(trail) - 1) :]
            continue
        found, link = _below(trail[-1], name, opened)
        if link and links:
            links -= 1
            left += _names(link)
            del trail[1 if link.startswith("/") else len(trail) :]
        elif found and not link:
            trail.append(found)
        else:
            return []
    return trail[-1]


def _names(path: str) -> list[str]:
    """What a path goes through, the last first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _below(parents: list[int], name: str, opened: list[int]) -> tuple[list[int], str]:
    """The directories of this name in those that are one, or what has it and is none; and where that leads if it is a
    link."""
    found: list[int] = []
    for parent in parents:
        try:
            fd = _opened(opened, os.open(name, _SEEN, dir_fd=parent))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                continue
            raise
        facts = os.fstat(fd)
        if not stat.S_ISDIR(facts.st_mode):
            # What is no directory hides all below it, also as what the kernel notes a removal with.
            if found or _is_whiteout(facts):
                return found, ""
            return [fd], os.readlink("", dir_fd=fd) if stat.S_ISLNK(facts.st_mode) else ""
        found.append(fd)
        if parent != parents[-1] and _is_opaque(fd):
            break
    return found, ""


def _is_whiteout(facts: os.stat_result) -> bool:
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0


def _is_opaque(directory: int) -> bool:
    """Whether nothing that is below a directory shows in it."""
    try:
        return os.getxattr(f"/proc/self/fd/{directory}", _OPAQUE) == b"y"
    except OSError:
        return False


def _opened(opened: list[int], fd: int) -> int:
    opened.append(fd)
    return fd
