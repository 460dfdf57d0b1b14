"""What tells the work of this journal from the work of another: when it was asked for, noted beside the content.

A volume and a snapshot are called by the number of the entry that asked for them. Where an older export went in a
journal's place these numbers come again, and what the journal of before made stands under them: it is somebody's data,
and not what is asked for now. Blocking: for a thread.
"""

import errno
import logging
import os
from collections.abc import Collection
from pathlib import Path

from journal.durable import sync_directory

_ASKED = "user.capsule.asked"

log = logging.getLogger(__name__)


def note(path: Path, asked_at: int) -> None:
    """The file holds what was asked for then, in nanoseconds. Raises OSError."""
    try:
        os.setxattr(path, _ASKED, str(asked_at).encode())
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def is_of(path: Path, asked_at: int) -> bool:
    """Whether the file holds what was asked for then; also where the file system notes nothing. Raises OSError."""
    try:
        return os.getxattr(path, _ASKED) == str(asked_at).encode()
    except OSError as error:
        if error.errno == errno.ENODATA:
            return not asked_at
        if error.errno == errno.EOPNOTSUPP:
            return True
        raise


def set_aside(*paths: Path) -> None:
    """The files are there under other names, which nothing here uses, also after a power cut. One after another: a
    volume comes behind its snapshots, or those that a crash leaves would be another's under the same name. Raises
    OSError."""
    for path in paths:
        other = path.with_name(unused(f"{path.name}.stranger-", "", os.listdir(path.parent)))
        path.rename(other)
        tell(str(path), str(other))
    if paths:
        sync_directory(paths[0].parent)


def unused(before: str, behind: str, there: Collection[str]) -> str:
    """The first name with a number between these two that nothing there has."""
    return next(one for number in range(1, 1 << 20) if (one := f"{before}{number}{behind}") not in there)


def tell(name: str, other: str) -> None:
    """Say it to who reads the log."""
    log.warning(
        "%s is not what was asked for under this name: it is called %s now, and takes room until somebody removes it "
        "by hand",
        name,
        other,
    )
