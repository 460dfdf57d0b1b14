"""What on this machine keeps packets from or to the bridge, though everything of ours is right. Pure.

A hosted capsule changes neither the machine's forwarding nor anybody else's rules: it says what is in the way.
Source of the format: libnftables-json(5), chain objects; chains of ufw(8) begin with `ufw-`, firewalld's stand in a
table of its name.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec

from effects.network.foreign_rules import Fate, Packet, Table, fate, parsed
from projections.host_network import LOOPBACK
from projections.network import Mapping

_FAMILIES = ("ip", "inet")
"""Those that IPv4 packets come by: the bridge has no others."""
_NAMES = 53


class Chain(msgspec.Struct, frozen=True):
    """A base chain that sees what is forwarded, or what is for the machine itself."""

    family: str
    table: str
    name: str
    hook: str
    drops: bool
    """By policy, what none of its rules decides on."""


def filters(listing: bytes) -> tuple[Chain, ...]:
    """Of what `nft -j list chains` prints: those that can be in the way."""
    objects: list[dict[str, Any]] = msgspec.json.decode(listing).get("nftables", [])
    chains = (one["chain"] for one in objects if "chain" in one)
    return tuple(
        Chain(one["family"], one["table"], one["name"], one["hook"], one.get("policy") == "drop")
        for one in chains
        if one["family"] in _FAMILIES and one.get("type") == "filter" and one.get("hook") in ("forward", "input")
    )


class WayIn(msgspec.Struct, frozen=True):
    """A link by which the LAN reaches the machine, and the LAN's network."""

    link: str
    network: str


def coming(bridge: str, mappings: Iterable[Mapping], ways: Iterable[WayIn]) -> tuple[Packet, ...]:
    """What comes to the host ports from elsewhere, as it is forwarded. Where there is no way in, it comes by one that
    is not known."""
    ways = tuple(ways) or (WayIn("", ""),)
    ends = dict.fromkeys((one.address, one.protocol, one.port) for one in mappings if not _is_of_the_machine_alone(one))
    return tuple(Packet(way.link, way.network, *end, leaves=bridge, is_led=True) for way in ways for end in ends)


def _is_of_the_machine_alone(mapping: Mapping) -> bool:
    return bool(mapping.host_address) and IPv4Address(mapping.host_address) in LOOPBACK


def told(chain: Chain, listing: bytes, bridge: str, subnet: str, coming: Iterable[Packet] = ()) -> str:
    """For the operator: what the chain drops of the bridge's; empty when it does not. `listing` is what
    `nft -j list table` prints of its table, `coming` what else is to pass it where it sees what is forwarded."""
    table = parsed(listing)
    for packet in (*_leaving(chain.hook, bridge, subnet), *(coming if chain.hook == "forward" else ())):
        found = fate(table, chain.name, packet)
        if found is Fate.DROPPED or (found is None and chain.drops):
            how = "has a rule that drops or rejects the rest" if found else "has policy drop"
            where = f"chain {chain.name} of nft table {chain.family} {chain.table} {how}"
            what, mend = _words(chain, table, bridge, packet)
            return (
                f"another firewall drops {what}: {where}, and no rule that lets {bridge} pass. {mend}; capsuled "
                "leaves it alone"
            )
    return ""


def _leaving(hook: str, bridge: str, subnet: str) -> Iterator[Packet]:
    """What must pass of what workloads send."""
    if hook == "forward":
        yield Packet(bridge, subnet)
        return
    gateway = str(IPv4Network(subnet)[1])
    for protocol in ("udp", "tcp"):
        yield Packet(bridge, subnet, gateway, protocol, _NAMES)


def _words(chain: Chain, table: Table, bridge: str, packet: Packet) -> tuple[str, str]:
    """What is dropped, and what helps."""
    is_ufw = any(name.startswith("ufw-") for name in table.rules)
    if chain.hook == "forward":
        what = "what is forwarded"
        if packet.is_led:
            what += (
                f" to host ports ({packet.port}/{packet.protocol} of {packet.to}), so that the LAN reaches none of it"
            )
        mend = f"Let pass there what comes from {bridge} and what goes to it"
        if is_ufw:
            mend += f": `ufw route allow in on {bridge} && ufw route allow out on {bridge}`"
    else:
        what = "what workloads ask the capsule's name server, so that they find no name"
        mend = f"Let pass there port {_NAMES}, udp and tcp, from {bridge}"
        if is_ufw:
            mend += f": `ufw allow in on {bridge} to any port {_NAMES}`"
    if chain.table == "firewalld":
        mend += f": `firewall-cmd --permanent --zone=trusted --add-interface={bridge} && firewall-cmd --reload`"
    return what, mend


def overlapped(link: str, network: str, subnet: str, free: str, subnet_file: str) -> str:
    """For the operator: a link's network has addresses of the bridge's. `free` is a subnet that is to be had;
    `subnet_file` is where the operating system reads its own."""
    words = (
        f"{link} has {network}, which the bridge's {subnet} overlaps: where they do, the machine finds only one of them"
    )
    if not subnet_file:
        like = f", like {free}" if free else ""
        return f"{words}. Start capsuled with another `--subnet`{like}"
    another = f"another subnet, like {free}," if free else "another subnet"
    command = f"chroot /host sh -c 'echo {free or 'SUBNET'} >{subnet_file}'"
    return (
        f"{words}, so the bridge is down and its workloads have no network. Write {another} into {subnet_file} "
        f"(`capsulectl capsule debug -- {command}`) and start the machine anew: `capsulectl capsule reboot`"
    )


def no_forwarding() -> str:
    """For the operator."""
    return (
        "this machine forwards no packets (net.ipv4.ip_forward is 0): host ports do not answer from elsewhere, and "
        "workloads on the bridge reach none. `echo net.ipv4.ip_forward=1 >/etc/sysctl.d/60-capsule.conf && "
        "sysctl --system` changes it, also for the boots to come; capsuled leaves it alone"
    )
