"""Who a name is in the payload's own files, for what is started there later. Called where these are the root's."""

import os

from guest.becoming import Unexecutable
from guest.run import User

_FILE_BYTES = 1 << 20
_IDS = 1 << 32


def resolve(user: str) -> User:
    """The numbers of `name[:group]`. Raises Unexecutable."""
    name, _, group = user.partition(":")
    accounts = _lines("/etc/passwd")
    account = next((line for line in accounts if line[0] == name or (len(line) > 2 and line[2] == name)), None)
    if account is not None and len(account) > 3:
        name, uid, gid = account[0], _number(account[2], user), _number(account[3], user)
    elif name.isdecimal():
        uid, gid = _number(name, user), 0
    else:
        raise _bad(f"there is no user {name}: name one from /etc/passwd there, or give a number")
    groups = _lines("/etc/group")
    if group:
        found = next((line for line in groups if line[0] == group), None)
        if found is None and not group.isdecimal():
            raise _bad(f"there is no group {group}: name one from /etc/group there, or give a number")
        return User(uid, _number(group if found is None or len(found) < 3 else found[2], user), ())
    extra = [int(line[2]) for line in groups if len(line) > 3 and name in line[3].split(",") and line[2].isdecimal()]
    return User(uid, gid, tuple(extra))


def home(uid: int) -> str:
    """The directory of a user; the root for one that has none."""
    number = str(uid)
    found = (line[5] for line in _lines("/etc/passwd") if len(line) > 5 and line[2] == number)
    return next(found, "") or "/"


def _number(text: str, user: str) -> int:
    if text.isdecimal() and int(text) < _IDS:
        return int(text)
    raise _bad(f"{user} does not lead to a valid user and group number")


def _bad(message: str) -> Unexecutable:
    return Unexecutable("BAD_USER", message)


def _lines(path: str) -> list[list[str]]:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        content = os.read(fd, _FILE_BYTES).decode(errors="replace")
    except OSError:
        return []
    finally:
        os.close(fd)
    return [line.split(":") for line in content.splitlines() if line and not line.startswith("#")]
