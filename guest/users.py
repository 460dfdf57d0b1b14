"""Who a name is in the payload's own files, for what is started there later. Called where these are the root's."""

import os

from guest.becoming import Unexecutable
from guest.run import User
from sandbox import accounts

_PASSWD, _GROUP = "/etc/passwd", "/etc/group"


def resolve(user: str) -> User:
    """The numbers of `name[:group]`. Raises Unexecutable."""
    try:
        return User(*accounts.resolve(user, _content(_PASSWD), _content(_GROUP)))
    except accounts.Unknown as error:
        raise Unexecutable("BAD_USER", str(error)) from None


def home(uid: int) -> str:
    """The directory of a user; the root for one that has none."""
    number = str(uid)
    found = (line[5] for line in accounts.lines(_content(_PASSWD)) if len(line) > 5 and line[2] == number)
    return next(found, "") or "/"


def _content(path: str) -> str:
    """What a file says; nothing where there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return os.read(fd, accounts.FILE_BYTES).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(fd)
