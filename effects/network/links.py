"""Bridge and links by netlink. Blocking: everything here runs on the driver's own thread.

Links are found again by their alias (`capsule NAME.UID ADDRESS/PREFIX`), read from sysfs. The alias is set last on the
way up: a link without one is half made and is made again, and so is one of another subnet: its gateway was another. A
hardware address follows from the IP address, so that no cache of a neighbour's is ever wrong when an address gets
another owner; the bridge has its own, not that of whichever port is there.

The bridge gets its name last: the kernel takes no alias together with a new link, and a bridge without one would be
taken for another hand's by every life after a crash between the two.
"""

import errno
import hashlib
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

from effects.errors import NetworkForeign, NetworkMissing
from effects.network import ipv6, lans, obstacles, taps
from effects.network.namespaces import Inside
from effects.network.obstacles import WayIn
from effects.network.protocol import Link

_SYS = Path("/sys/class/net")
_SYSCTL = Path("/proc/sys/net/ipv4")
_INSIDE = "eth0"
_IFF_UP = 1


class Links:
    """The machine's side of the network: one bridge and its ports. `owner` marks the bridge as this capsule's,
    `tap_owner` is the uid of who may open an incarnation's TAP. `subnet_file` is where the operating system reads the
    bridge's subnet; with it, the bridge is not up while it overlaps another link's network: the machine has no other
    way to whoever could change that."""

    def __init__(
        self, bridge: str, subnet: str, owner: str, tap_owner: Callable[[str, int], int], subnet_file: str = ""
    ) -> None:
        from pyroute2.iproute.linux import IPRoute

        self._bridge = bridge
        self._tap_owner = tap_owner
        self._network = IPv4Network(subnet)
        self.gateway = IPv4Address(int(self._network.network_address) + 1)
        self._subnet_file = subnet_file
        self._alias = f"capsule bridge of {owner}"
        self._owner = owner
        self._prefix = _port_prefix(owner)
        self._scratch = f"{self._prefix}-bridge"
        self._ip: Any = IPRoute()
        self._open: Any = IPRoute

    def close(self) -> None:
        """Let go of the socket."""
        self._ip.close()

    def own_addresses(self) -> frozenset[str]:
        """The machine's, on any link."""
        return frozenset(one.get("local") or one.get("address") for one in self._ip.get_addr(family=socket.AF_INET))

    def ways_in(self) -> tuple[WayIn, ...]:
        """By which the LAN reaches the machine."""
        return lans.ways_in(self._ip)

    def overlap(self) -> str:
        """For the operator: which of the machine's networks the bridge's subnet overlaps; empty when none."""
        found = lans.overlap(self._ip, self._network, self._bridge)
        if found is None:
            return ""
        return obstacles.overlapped(found.link, found.network, str(self._network), found.free, self._subnet_file)

    # --- the bridge ----------------------------------------------------------------------------------------------

    def bridge_is_ours(self) -> bool:
        """Whether the bridge is there. Raises NetworkForeign when its name is somebody else's."""
        if not (_SYS / self._bridge).exists():
            return False
        alias = _alias(self._bridge)
        if alias != self._alias:
            whose = f"belongs to another capsule ({alias})" if alias.startswith("capsule ") else "is not Capsule's"
            raise NetworkForeign(
                f"{self._bridge} {whose}: start capsuled with `--bridge NAME`, and with `--subnet` if that is taken too"
            )
        return True

    def bridge_is_whole(self) -> bool:
        """Whether the bridge is there, up, and has its address, its settings and no IPv6, and may so. Raises
        NetworkForeign."""
        if not self.bridge_is_ours() or (self._subnet_file and self.overlap()):
            return False
        is_addressed = (str(self.gateway), self._network.prefixlen) in self._addresses()
        is_set = all(setting.read_text().strip() == "1" for setting in self._settings())
        return self._is_up(self._bridge) and is_addressed and is_set and ipv6.is_off(self._bridge)

    def ensure_bridge(self) -> None:
        """The bridge is there, up, with its address and without IPv6. Raises NetworkForeign."""
        is_there = self.bridge_is_ours()
        # A bridge that others had before the LAN came, a hosted capsule leaves to them, and tells of it.
        if (not is_there or self._subnet_file) and (overlap := self.overlap()):
            raise NetworkForeign(overlap)
        if not is_there:
            self._make_bridge()
        index = self._index(self._bridge)
        if (_SYS / self._bridge / "address").read_text().strip() != hardware(str(self.gateway)):
            # Else it is a port's, and another one's when that goes: whoever asked for it before, asks in vain a while.
            self._ip.link("set", index=index, address=hardware(str(self.gateway)))
        with _tolerated(errno.EEXIST):
            self._ip.addr("add", index=index, address=str(self.gateway), prefixlen=self._network.prefixlen)
        for address, prefix in self._addresses() - {(str(self.gateway), self._network.prefixlen)}:
            self._ip.addr("del", index=index, address=address, prefixlen=prefix)
        if not ipv6.is_off(self._bridge):
            # It is new, or an earlier release left it so, or somebody turned all links' on: ports' then, too.
            for name in (self._bridge, *self._ports()):
                ipv6.turn_off(name)
        self._ip.link("set", index=index, state="up")
        for setting in self._settings():
            setting.write_text("1")

    def _settings(self) -> tuple[Path, ...]:
        """Of the bridge, that must be 1. Answers to a loopback source come back over it; what a workload sends there by
        itself a rule drops. What comes from it is forwarded; whether other links forward is the machine's owner's
        choice, and where he changes that of all at once, the bridge's has changed with it."""
        return tuple(_SYSCTL / "conf" / self._bridge / setting for setting in ("route_localnet", "forwarding"))

    def _make_bridge(self) -> None:
        """Under a name that is only ever this capsule's, and renamed once it says whose it is."""
        self._delete(self._scratch)
        self._ip.link("add", ifname=self._scratch, kind="bridge")
        index = self._index(self._scratch)
        self._ip.link("set", index=index, ifalias=self._alias)
        self._ip.link("set", index=index, ifname=self._bridge)

    def bridge_is_in_use(self) -> bool:
        """Whether the bridge is there and packets come by it, or it has an address. Somebody else's is not it."""
        with suppress(NetworkForeign):
            return self.bridge_is_ours() and (self._is_up(self._bridge) or bool(self._addresses()))
        return False

    def take_down(self) -> None:
        """Nothing passes the bridge. What hangs on it stays."""
        self._ip.link("set", index=self._index(self._bridge), state="down")

    def take_addresses(self) -> None:
        """The bridge has none, nor has the machine a route there."""
        for address, prefix in self._addresses():
            self._ip.addr("del", index=self._index(self._bridge), address=address, prefixlen=prefix)

    def _is_up(self, link: str) -> bool:
        try:
            return bool(int((_SYS / link / "flags").read_text(), 16) & _IFF_UP)
        except OSError:
            return False

    def _addresses(self) -> set[tuple[str, int]]:
        index = self._index(self._bridge)
        return {(one.get("address"), one["prefixlen"]) for one in self._ip.get_addr(family=socket.AF_INET, index=index)}

    def forsaken(self) -> tuple[str, ...]:
        """Bridges of this capsule's with a name that it does not use any more."""
        mine = (path.name for path in sorted(_SYS.iterdir()) if _alias(path.name) == self._alias)
        return tuple(name for name in mine if name != self._bridge)

    def remove_forsaken(self, name: str) -> None:
        """The bridge is not there; what hung on it hangs on nothing."""
        self._delete(name)

    def remove_bridge(self) -> None:
        """The bridge is not there, nor one that is half made. Somebody else's stays."""
        self._delete(self._scratch)
        with suppress(NetworkForeign):
            if self.bridge_is_ours():
                self._delete(self._bridge)

    # --- links ---------------------------------------------------------------------------------------------------

    def _port(self, name: str, uid: int) -> str:
        return port_of(self._owner, name, uid)

    def _ports(self) -> list[str]:
        """All that there are, half made and pulled out ones, too."""
        return sorted(name for name in os.listdir(_SYS) if name.startswith(f"{self._prefix}."))

    def is_attached(self, link: Link) -> bool:
        """Whether the link is there and whole."""
        port = self._port(link.name, link.uid)
        return _alias(port) == self._text(link) and self._is_plugged(port) and self._is_of_its_kind(port, link)

    def _is_of_its_kind(self, port: str, link: Link) -> bool:
        if link.kind == "veth":
            return not taps.is_tap(port)
        return taps.is_tap(port) and taps.owner_of(port) == self._tap_owner(link.name, link.uid)

    def _text(self, link: Link) -> str:
        return f"capsule {link.name}.{link.uid} {link.address}/{self._network.prefixlen}"

    def _is_plugged(self, port: str) -> bool:
        """Whether the port is the bridge's, and up: somebody may have pulled it out, or it is another bridge's, or
        nothing passes."""
        try:
            master = os.path.basename(os.readlink(f"{_SYS}/{port}/master"))
        except OSError:
            return False
        return master == self._bridge and self._is_up(port)

    def _need_bridge(self) -> None:
        if not self.bridge_is_ours():
            raise NetworkMissing(f"{self._bridge} is not there; it is made again, then the link")

    def attach(self, link: Link, namespace: Path) -> None:
        """Link the namespace to the bridge. Raises NetworkMissing when there is no bridge, NetworkForeign when it is
        somebody else's: nobody is led there."""
        port = self._port(link.name, link.uid)
        self._delete(port)
        self._need_bridge()
        with namespace.open() as there:
            self._ip.link(
                "add",
                ifname=port,
                kind="veth",
                peer={"ifname": _INSIDE, "net_ns_fd": there.fileno(), "address": hardware(link.address)},
            )
        with Inside(namespace), self._open() as inside:
            index = inside.link_lookup(ifname=_INSIDE)[0]
            inside.addr("add", index=index, address=link.address, prefixlen=self._network.prefixlen)
            ipv6.follow_nobody(_INSIDE)
            inside.link("set", index=index, state="up")
            inside.link("set", index=inside.link_lookup(ifname="lo")[0], state="up")
            inside.route("add", dst="default", gateway=str(self.gateway))
        self._plug(port, link)

    def attach_tap(self, link: Link) -> None:
        """The link's TAP is on the bridge. One that is there stays, for a monitor may have it open: another one would
        not be the same to it. Raises NetworkMissing, NetworkForeign."""
        port = self._port(link.name, link.uid)
        self._need_bridge()
        if self._is_of_its_kind(port, link):
            self._plug(port, link)
            return
        self._delete(port)
        taps.make(port, self._tap_owner(link.name, link.uid), lambda: self._plug(port, link))

    def _plug(self, port: str, link: Link) -> None:
        index = self._index(port)
        ipv6.turn_off(port)
        self._ip.link("set", index=index, master=self._index(self._bridge), state="up")
        # A workload that calls its own mapped port gets its packets back over the port they came from.
        (_SYS / port / "brport" / "hairpin_mode").write_text("1")
        self._ip.link("set", index=index, ifalias=self._text(link))

    def detach(self, name: str, uid: int) -> None:
        """The link is not there; its other end goes with it."""
        self._delete(self._port(name, uid))

    def links(self) -> tuple[Link, ...]:
        """Every whole link of this capsule's."""
        plugged = (port for port in self._ports() if self._is_plugged(port))
        return tuple(link for port in plugged if (link := _parsed(_alias(port), port)) is not None)

    def stands(self) -> bool:
        """Whether there is a bridge of this capsule's, under whatever name, or a port."""
        own = (f"{self._prefix}.", self._scratch)
        return any(_alias(name) == self._alias or name.startswith(own) for name in os.listdir(_SYS))

    def remove_pulled_out(self) -> None:
        """Ports of this capsule's that another hand pulled out of the bridge are not there."""
        for port in self._ports():
            if not (_SYS / port / "master").exists():
                self._delete(port)

    def _index(self, name: str) -> int:
        return int((_SYS / name / "ifindex").read_text())

    def _delete(self, name: str) -> None:
        if (_SYS / name).exists():
            with _tolerated(errno.ENODEV):
                self._ip.link("del", index=self._index(name))


def port_of(owner: str, name: str, uid: int) -> str:
    """The name of the machine's end of a link. It has 15 characters; a uid alone is shared by all that were applied
    together."""
    return f"{_port_prefix(owner)}.{hashlib.sha256(f'{name}.{uid}'.encode()).hexdigest()[:9]}"


def _port_prefix(owner: str) -> str:
    return f"v{owner[:4]}"


def _alias(name: str) -> str:
    try:
        with open(f"{_SYS}/{name}/ifalias") as file:
            return file.read().strip()
    except OSError:
        return ""


def _parsed(alias: str, port: str) -> Link | None:
    word, _, rest = alias.partition(" ")
    who, _, address = rest.partition(" ")
    name, _, uid = who.rpartition(".")
    address, _, _ = address.partition("/")
    if word != "capsule" or not uid.isdecimal() or not address:
        return None
    return Link(name, int(uid), address, "tap" if taps.is_tap(port) else "veth")


def hardware(address: str) -> str:
    """A locally administered hardware address that follows from the IP address: what a workload's own end has."""
    return "02:ca:" + ":".join(f"{octet:02x}" for octet in IPv4Address(address).packed)


class _tolerated(suppress):
    """Netlink errors that say that the goal is reached already."""

    def __init__(self, *codes: int) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        super().__init__(NetlinkError)
        self._codes = codes

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        return super().__exit__(kind, error, trace) is True and error.code in self._codes
