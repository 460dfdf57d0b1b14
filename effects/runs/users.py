"""From `user[:group]` to numbers, with the image's own passwd and group files.

The files are read from the layers' directories without mounting them. A path that leads through a symbolic link is
not followed: a layer could point it at the host's files. Nor is a device opened, which a container may put there.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from effects import plain_files
from effects.errors import BadUser
from effects.runs.process import Identity
from guest import accounts


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
    passwd, group = _content(directories, "passwd"), _content(directories, "group")
    try:
        return Identity(*accounts.resolve(user, passwd, group))
    except accounts.Unknown as error:
        raise BadUser(str(error)) from None


def _content(directories: tuple[Path, ...], name: str) -> str:
    """The topmost layer's file; nothing where none has it."""
    found = (_read(directory, name) for directory in directories)
    return next((content for content in found if content is not None), "")


def _read(directory: Path, name: str) -> str | None:
    opened: list[int] = []
    try:
        opened.append(os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        opened.append(os.open("etc", flags, dir_fd=opened[-1]))
        opened.append(plain_files.opened(name, opened[-1]))
        return plain_files.beginning(opened[-1], accounts.FILE_BYTES).decode(errors="replace")
    except OSError:
        return None
    finally:
        for fd in opened:
            os.close(fd)
