"""The machine's own network interfaces: Ethernet cards and whatever else has hardware behind it."""

from pathlib import Path

import msgspec

_ETHERNET = "1"  # ARPHRD_ETHER


class Link(msgspec.Struct, frozen=True):
    """`carrier`: a cable is in, and something is at its other end."""

    name: str
    mac: str
    carrier: bool


def links(sys: Path = Path("/sys")) -> tuple[Link, ...]:
    """By name, as the kernel counted them. Bridges, veths and TAPs have no device behind them."""
    found = []
    for place in (sys / "class/net").iterdir():
        if (place / "device").exists() and _text(place / "type") == _ETHERNET:
            found.append(Link(place.name, _text(place / "address"), _text(place / "carrier") == "1"))
    return tuple(sorted(found, key=lambda one: (len(one.name), one.name)))


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""  # of an interface that is down the carrier cannot be read


def chosen(having: tuple[Link, ...], now: str, wanted: str = "") -> str:
    """The uplink: the one that is asked for, else the present one while it has a link, else the first that has. Where
    none has, the present one stays. Empty: there is none. Pure."""
    names = [link.name for link in having]
    if wanted:
        return wanted if wanted in names else ""
    linked = [link.name for link in having if link.carrier]
    if now in linked or (now in names and not linked):
        return now
    return linked[0] if linked else ""
