"""The machine's name: what the operator wrote into `/perm/capsule/hostname`, else one made of its first link's address,
which stays the same whatever is installed on it."""

import logging
import re
import socket
from pathlib import Path

from capsuled.boot.links import links

log = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{name}\n"


def wanted(file: Path, macs: tuple[str, ...]) -> str:
    """The name, from the file or from the first of the links' addresses. What the file has must be a host's name, else
    it is left out and logged."""
    try:
        text = file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        text = ""
    if _NAME.fullmatch(text):
        return text
    if text:
        log.warning("%s holds no name of a host (letters, digits and -, at most 63): it is not used", file)
    return f"capsule-{macs[0].replace(':', '')[-6:]}" if macs else "capsule"


def set_hostname(file: Path, sys: Path = Path("/sys"), hosts: Path = Path("/etc/hosts")) -> str:
    """Make it so, and return the name. Raises OSError."""
    name = wanted(file, tuple(link.mac for link in links(sys)))
    socket.sethostname(name)
    hosts.write_text(HOSTS.format(name=name))
    return name
