"""What the uplink has: as DHCP's client told the machine's script (image/files/uplink), or as the operator wrote it."""

from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import msgspec


class Lease(msgspec.Struct, frozen=True):
    """`ntp` are servers of the time."""

    address: IPv4Interface
    router: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    ntp: tuple[str, ...] = ()


class Static(msgspec.Struct, frozen=True):
    """Without `interface`: whichever has a link."""

    lease: Lease
    interface: str = ""


def told(file: Path) -> Lease | None:
    """What the script noted; None while there is no lease."""
    try:
        lines = file.read_text().splitlines()
        given = dict(line.split("=", 1) for line in lines if "=" in line)
        routers = given.get("router", "").split()
        return Lease(
            IPv4Interface(f"{given['ip']}/{given.get('mask') or 32}"),
            IPv4Address(routers[0]) if routers else None,
            tuple(IPv4Address(one) for one in given.get("dns", "").split()),
            tuple(str(IPv4Address(one)) for one in given.get("ntpsrv", "").split()),
        )
    except (OSError, KeyError, ValueError):
        return None


_WORDS = ("address", "gateway", "dns", "interface", "ntp")


def written(text: str) -> Static | None:
    """What an operator wrote: a word a line, then its values. None of an empty text. Raises ValueError, with why."""
    given: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        word, *values = line.partition("#")[0].split() or ("",)
        if not word:
            continue
        if word not in _WORDS or not values or word in given:
            raise ValueError(f"line {number}: each of {', '.join(_WORDS)} stands there once, with a value behind it")
        given[word] = values
    if not given:
        return None
    if len(given.get("address", ())) != 1 or "/" not in given["address"][0]:
        raise ValueError("one address with its prefix is needed, like `address 192.168.1.20/24`")
    gateway = given.get("gateway", [])
    lease = Lease(
        IPv4Interface(given["address"][0]),
        IPv4Address(gateway[0]) if gateway else None,
        tuple(IPv4Address(one) for one in given.get("dns", ())),
        tuple(given.get("ntp", ())),
    )
    return Static(lease, given.get("interface", [""])[0])


def resolver_text(dns: tuple[IPv4Address, ...]) -> str:
    """Of /etc/resolv.conf."""
    return "".join(f"nameserver {one}\n" for one in dns[:3])
