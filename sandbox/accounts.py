"""Who a name is, by what an image's own /etc/passwd and /etc/group say. Pure, and shared: the agent reads the payload's
files where they are its root's, the daemon an image's by their layers (effects/runs/users.py)."""

FILE_BYTES = 1 << 20
"""No more is read of either."""
_IDS = 1 << 32
_DIGITS = 20
"""Python refuses to count with thousands of them, by an error of its own."""


class Unknown(Exception):
    """Raised for whom they do not know; the message is for people."""


def resolve(user: str, passwd: str, group_file: str) -> tuple[int, int, tuple[int, ...]]:
    """The numbers of `name[:group]`: user, group, and further groups. Raises Unknown."""
    name, _, group = user.partition(":")
    accounts, groups = lines(passwd), lines(group_file)
    account = next((line for line in accounts if line[0] == name or (len(line) > 2 and line[2] == name)), None)
    if account is not None and len(account) > 3:
        name, uid, gid = account[0], _number(account[2], user), _number(account[3], user)
    elif name.isdecimal():
        uid, gid = _number(name, user), 0
    else:
        raise Unknown(f"the image has no user {name}: name one from its /etc/passwd, or give a number")
    if group:
        found = next((line for line in groups if line[0] == group), None)
        if found is None and not group.isdecimal():
            raise Unknown(f"the image has no group {group}: name one from its /etc/group, or give a number")
        return uid, _number(group if found is None or len(found) < 3 else found[2], user), ()
    extra = [int(line[2]) for line in groups if len(line) > 3 and name in line[3].split(",") and _is_id(line[2])]
    return uid, gid, tuple(extra)


def lines(content: str) -> list[list[str]]:
    """The fields of each line that has any."""
    return [line.split(":") for line in content.splitlines() if line and not line.startswith("#")]


def _number(text: str, user: str) -> int:
    if _is_id(text):
        return int(text)
    raise Unknown(f"{user} does not lead to a valid user and group number in this image")


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) <= _DIGITS and int(text) < _IDS
