"""Why a copy cannot be made."""

import errno
import os
from typing import Literal

Reason = Literal[
    "BAD_ARCHIVE",
    "ARCHIVE_CUT",
    "PATH_MISSING",
    "PATH_BAD",
    "PATH_IN_THE_WAY",
    "PATH_BUSY",
    "NOT_A_DIRECTORY",
    "NOT_COPYABLE",
    "READ_ONLY",
    "NO_SPACE",
    "NOT_PERMITTED",
    "NOT_RUNNING",
    "CALLED_OFF",
    "COPY_FAILED",
]


class CopyError(Exception):
    """Raised when a copy cannot be made; `reason` is for machines, the message says what and why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason


_REASONS: dict[int, tuple[Reason, str]] = {
    errno.ENOSPC: ("NO_SPACE", "no space is left there: free some, or copy less"),
    errno.EDQUOT: ("NO_SPACE", "the quota there is used up: free some space, or copy less"),
    errno.EROFS: ("READ_ONLY", "it is mounted read only"),
    errno.ENOENT: ("PATH_MISSING", "there is no such path"),
    errno.ENOTDIR: ("NOT_A_DIRECTORY", "a part of the path is no directory"),
    errno.ELOOP: ("PATH_BAD", "symbolic links lead in a circle, or to where the kernel itself makes them up"),
    errno.ENAMETOOLONG: ("PATH_BAD", "a name is longer than the file system there takes"),
    errno.EBUSY: ("PATH_BUSY", "something is mounted just there: declare it in the manifest, or copy to another name"),
    errno.EACCES: ("NOT_PERMITTED", "it may not be reached by who copies"),
    errno.EPERM: ("NOT_PERMITTED", "the file system does not permit it"),
    errno.EFBIG: ("NO_SPACE", "a file is larger than the file system there takes"),
}


def copy_error(what: str, error: OSError) -> CopyError:
    """What the system said of `what`."""
    number = error.errno or 0
    reason, words = _REASONS.get(number, ("COPY_FAILED", os.strerror(number)))
    return CopyError(reason, f"{what}: {words}")


def shown(name: str) -> str:
    """A file's name as it may stand in a message: in one line, of a size, and without what is no text."""
    text = "".join(sign if sign.isprintable() else "?" for sign in name)
    return text if len(text) <= 200 else f"{text[:200]}…"
