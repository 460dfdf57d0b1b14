"""The subnet of the workloads' bridge, as an operator wrote it down: PID 1 starts the daemon with the same words on
every machine, and the LAN of some has the addresses that the bridge has by itself."""

from ipaddress import IPv4Network
from pathlib import Path

from msgspec.structs import replace

from capsuled.settings import Settings, subnet_problem

PREFIX_MOST = 24
"""A smaller network than the one that the machine had may have no room for its workloads, and the daemon would not
start."""


def written(settings: Settings, file: Path) -> tuple[Settings, tuple[str, ...]]:
    """The settings with the subnet that `file` holds, and what an operator should know of it."""
    settings = replace(settings, subnet_file=str(file))
    try:
        subnet = file.read_text().strip()
        problem = subnet_problem(subnet)
        if not problem and IPv4Network(subnet).prefixlen > PREFIX_MOST:
            problem = f"{subnet}: at least 256 addresses are needed, like {settings.subnet}"
    except FileNotFoundError:
        return settings, ()
    except (OSError, ValueError) as error:
        problem = str(error)
    if problem:
        return settings, (f"{file} is not used, the workloads' bridge has {settings.subnet}: {problem}",)
    return replace(settings, subnet=subnet), ()
