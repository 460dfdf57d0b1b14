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
_STEPS = 256
"""Names that are looked at in all: an image may be anybody's."""
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
    Raises OSError, also where too many names lead there."""
    left, links = _names(place), 0
    above: list[str] = []
    at = _roots(layers)
    try:
        for _ in range(_STEPS):
            if not left:
                return os.dup(at[0]) if at else None
            name = left.pop()
            if name == "..":
                left += reversed(above[:-1])
                at, above = _moved(at, _roots(layers)), []
                continue
            found, link = _below(at, name)
            at = _moved(at, found)
            if not link:
                above.append(name)
                if not found:
                    return None
                continue
            links += 1
            if links > _LINKS:
                return None
            left += _names(link) if link.startswith("/") else [*_names(link), *reversed(above)]
            at, above = _moved(at, _roots(layers)), []
        raise OSError(errno.ELOOP, "too many names lead there", place)
    finally:
        _closed(at)


def _roots(layers: "Sequence[str | os.PathLike[str]]") -> list[int]:
    opened: list[int] = []
    try:
        for layer in layers:
            opened.append(os.open(layer, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        return opened
    except OSError:
        _closed(opened)
        raise


def _moved(at: list[int], to: list[int]) -> list[int]:
    """Not more is open than one place in each layer, and the next."""
    _closed(at)
    return to


def _closed(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _names(path: str) -> list[str]:
    """What a path goes through, the last first."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]


def _below(parents: list[int], name: str) -> tuple[list[int], str]:
    """The directories of this name in those that are one, or what has it and is none; and where that leads if it is a
    link."""
    found: list[int] = []
    try:
        for parent in parents:
            try:
                fd = os.open(name, _SEEN, dir_fd=parent)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG):
                    continue
                raise
            found.append(fd)
            facts = os.fstat(fd)
            if not stat.S_ISDIR(facts.st_mode):
                # What is no directory hides all below it, also as what the kernel notes a removal with.
                if len(found) > 1 or _is_whiteout(facts):
                    os.close(found.pop())
                    return found, ""
                return found, os.readlink("", dir_fd=fd) if stat.S_ISLNK(facts.st_mode) else ""
            if parent != parents[-1] and _is_opaque(fd):
                break
        return found, ""
    except OSError:
        _closed(found)
        raise


def _is_whiteout(facts: os.stat_result) -> bool:
    return stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0


def _is_opaque(directory: int) -> bool:
    """Whether nothing that is below a directory shows in it."""
    try:
        return os.getxattr(f"/proc/self/fd/{directory}", _OPAQUE) == b"y"
    except OSError:
        return False
