"""The machine's own network interfaces: Ethernet cards and whatever else has hardware behind it."""

from pathlib import Path

import msgspec

from capsuled.boot.sysfs import text_of

_ETHERNET = "1"  # ARPHRD_ETHER


class Link(msgspec.Struct, frozen=True):
    """`carrier`: a cable is in, and something is at its other end. `index`: the kernel's number of it; one that is
    registered anew, as by its driver, has the same name and another number. `up`: somebody brought it up; of one that
    is down nobody knows the carrier."""

    name: str
    mac: str
    carrier: bool
    index: int = 0
    up: bool = True


def links(sys: Path = Path("/sys")) -> tuple[Link, ...]:
    """By name, as the kernel counted them. Bridges, veths and TAPs have no device behind them. Of one that is down
    the file of the carrier is there, and reading it fails."""
    found = []
    for place in (sys / "class/net").iterdir():
        if (place / "device").exists() and text_of(place / "type") == _ETHERNET:
            carrier, index = text_of(place / "carrier"), int(text_of(place / "ifindex") or 0)
            found.append(Link(place.name, text_of(place / "address"), carrier == "1", index, carrier != ""))
    return tuple(sorted(found, key=lambda one: (len(one.name), one.name)))


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


def lacking(having: tuple[Link, ...], now: str) -> str:
    """Why there is no address, for whoever stands before the machine. Pure."""
    if not having:
        return "no network card is known, or its driver lacks firmware"
    if not any(link.carrier for link in having):
        uncabled, down = ([link.name for link in having if link.up is up] for up in (True, False))
        without = f"no cable is in {' or '.join(uncabled)}" if uncabled else ""
        return without or f"{' and '.join(down)} {'is' if len(down) == 1 else 'are'} not up"
    return f"nobody has answered DHCP on {now}" if now else ""
