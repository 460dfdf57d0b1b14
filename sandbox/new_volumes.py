"""What a workload finds in a volume that nobody has used: nothing, in a directory that is its own. Shared: the agent
does it in a microVM, the daemon for a container.

It is done before each start, so that one that was cut is made up for; and never to what somebody has used or changed.
"""

import os
import stat

from sandbox.lookup import directory_at

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Own = tuple[int, int, int]

MADE = (0, 0, 0o755)
"""Owner, group and mode of a root that is as `mkfs.ext4` makes it."""
_FOUND = "lost+found"


def settle(
    volume: "str | os.PathLike[str]",
    place: str,
    layers: "Sequence[str | os.PathLike[str]]",
    uid: int,
    gid: int,
) -> None:
    """The root of a volume, which is mounted at `volume`, is as a run by this user wants it at this place of its image.
    Blocks. Raises OSError."""
    root = os.open(volume, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _tidy(root)
        if _own(root)[:2] == MADE[:2] and _is_empty(root):
            there = directory_at(layers, place)
            wanted = (uid, gid, MADE[2]) if there is None else _of(there)
            _change(root, to_be(_own(root), wanted))
    finally:
        os.close(root)


def to_be(own: "Own", wanted: "Own") -> "Own":
    """What an empty root is to be, which is `own`: what is wanted, if nobody has changed it yet. The mode comes first,
    so that what was cut in between is not taken for somebody's wish."""
    return wanted if own in (MADE, (*MADE[:2], wanted[2])) else own


def _tidy(root: int) -> None:
    """Without the directory for what a check finds, if there is nothing in it: programs refuse a place that is not
    empty. A check makes it again when it needs it. It is looked for first: to remove anything would wait while the file
    system is held still."""
    try:
        os.stat(_FOUND, dir_fd=root, follow_symlinks=False)
        os.rmdir(_FOUND, dir_fd=root)
    except OSError:
        pass


def _is_empty(root: int) -> bool:
    with os.scandir(root) as entries:
        return next(entries, None) is None


def _own(root: int) -> "Own":
    return _of(os.fstat(root))


def _of(seen: os.stat_result) -> "Own":
    return seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)


def _change(root: int, wanted: "Own") -> None:
    own = _own(root)
    if own[2] != wanted[2]:
        os.fchmod(root, wanted[2])
    if own[:2] != wanted[:2]:
        os.fchown(root, *wanted[:2])
