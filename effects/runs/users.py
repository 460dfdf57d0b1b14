"""From `user[:group]` to numbers, with the image's own passwd and group files.

The files are read from the layers' directories without mounting them. A path that leads through a symbolic link is
not followed: a layer could point it at the host's files.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from effects.errors import BadUser
from effects.runs.process import Identity

_FILE_BYTES = 1 << 20


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
    name, _, group = user.partition(":")
    accounts = _lines(directories, "passwd")
    account = next((line for line in accounts if line[0] == name or (len(line) > 2 and line[2] == name)), None)
    if account is not None and len(account) > 3:
        name, uid, gid = account[0], _number(account[2], user), _number(account[3], user)
    elif name.isdecimal():
        uid, gid = _number(name, user), 0
    else:
        raise BadUser(f"the image has no user {name}: name one from its /etc/passwd, or give a number")
    groups = _lines(directories, "group")
    if group:
        found = next((line for line in groups if line[0] == group), None)
        if found is None and not group.isdecimal():
            raise BadUser(f"the image has no group {group}: name one from its /etc/group, or give a number")
        return Identity(uid, _number(group if found is None else found[2], user))
    extra = tuple(
        int(line[2]) for line in groups if len(line) > 3 and name in line[3].split(",") and line[2].isdecimal()
    )
    return Identity(uid, gid, extra)


def _number(text: str, user: str) -> int:
    if text.isdecimal() and int(text) < 1 << 32:
        return int(text)
    raise BadUser(f"{user} does not lead to a valid user and group number in this image")


def _lines(directories: tuple[Path, ...], name: str) -> list[list[str]]:
    for directory in directories:
        content = _read(directory, name)
        if content is not None:
            return [line.split(":") for line in content.splitlines() if line and not line.startswith("#")]
    return []


def _read(directory: Path, name: str) -> str | None:
    opened: list[int] = []
    try:
        opened.append(os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        flags = os.O_NOFOLLOW | os.O_CLOEXEC
        opened.append(os.open("etc", os.O_PATH | os.O_DIRECTORY | flags, dir_fd=opened[-1]))
        opened.append(os.open(name, os.O_RDONLY | os.O_NONBLOCK | flags, dir_fd=opened[-1]))
        return os.read(opened[-1], _FILE_BYTES).decode(errors="replace")
    except OSError:
        return None
    finally:
        for fd in opened:
            os.close(fd)
