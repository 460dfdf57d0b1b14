"""From `user[:group]` to numbers, with the image's own passwd and group files.

The files are read from the layers' directories without mounting them, where the image's own links lead: some images
have theirs elsewhere. None leads to the host's files, and no device is opened, which a container may put there.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from effects import plain_files
from effects.errors import BadUser
from effects.runs.process import Identity
from sandbox import accounts, lookup


def layer_directories(mounts: Iterable[tuple[str, str, tuple[str, ...]]]) -> tuple[Path, ...]:
    """The directories under an overlay or bind mount (type, source, options), the topmost first."""
    for kind, source, options in mounts:
        if kind == "bind":
            return (Path(source),)
        found = dict(option.partition("=")[::2] for option in options)
        uppers = [found["upperdir"]] if "upperdir" in found else []
        return tuple(Path(part) for part in (*uppers, *found.get("lowerdir", "").split(":")) if part)
    return ()


def resolve(user: str, directories: tuple[Path, ...]) -> Identity:
    """The numbers of `user`; root when it is empty. Raises BadUser."""
    if not user:
        return Identity()
    passwd, group = _content(directories, "/etc/passwd"), _content(directories, "/etc/group")
    try:
        return Identity(*accounts.resolve(user, passwd, group))
    except accounts.Unknown as error:
        raise BadUser(str(error)) from None


def _content(directories: tuple[Path, ...], path: str) -> str:
    """What the image's file says; nothing where there is none."""
    try:
        if (seen := lookup.seen_at(directories, path)) is None:
            return ""
        try:
            fd = plain_files.of(seen, path)
        finally:
            os.close(seen)
        try:
            return plain_files.beginning(fd, accounts.FILE_BYTES).decode(errors="replace")
        finally:
            os.close(fd)
    except OSError:
        return ""
