"""What the one who starts the daemon may choose. The same must be said to `--halt`."""

import re
from ipaddress import IPv4Network

import msgspec

from capsuled.addresses import Listen
from capsuled.undumped import CoreLimit
from projections.intents import DEFAULT_SUBNET as DEFAULT_SUBNET

DEFAULT_BRIDGE = "br0"

_LINK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}")
"""What the kernel, nftables and a path below /proc/sys all take as it stands."""

_EVERY_LINK = ("all", "default", "lo")
"""Settings under these names are not of one bridge."""


class Settings(msgspec.Struct, frozen=True):
    """`bridge` is a link's name, `subnet` in CIDR form; its first address is the machine's own. Without
    `commands`, what exec ran is remembered without its command line. `core_limit` is what workloads may dump, as the
    daemon was started with it. `metrics`: where Prometheus may ask, if at all. `pool`: GROUP/POOL of the volumes, where
    LVM has them. `notify`: where an init system waits to be told that the daemon serves (readiness.py). `subnet_file`:
    where an operator writes the subnet, on the operating system."""

    bridge: str = DEFAULT_BRIDGE
    subnet: str = DEFAULT_SUBNET
    listen: Listen = Listen()
    commands: bool = True
    core_limit: CoreLimit | None = None
    metrics: str = ""
    pool: str = ""
    notify: str = ""
    subnet_file: str = ""

    def problem(self) -> str:
        """What is wrong with them, in words; empty when nothing is."""
        if not _LINK.fullmatch(self.bridge) or self.bridge in _EVERY_LINK:
            return (
                f"--bridge {self.bridge!r}: a link's name has 1 to 15 letters, digits and . _ - behind the first, like "
                f"{DEFAULT_BRIDGE}"
            )
        problem = subnet_problem(self.subnet)
        return f"--subnet {problem}" if problem else ""


def subnet_problem(subnet: str) -> str:
    """Why this can be no subnet of a bridge; empty where it can."""
    try:
        network = IPv4Network(subnet)
    except ValueError as error:
        return f"{subnet}: {error}; write it like {DEFAULT_SUBNET}"
    if network.prefixlen > 29 or not network.is_private:
        return f"{subnet}: a private network of at least 8 addresses is needed, like {DEFAULT_SUBNET}"
    return ""
