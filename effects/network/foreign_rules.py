"""What another firewall's rules do with the first packet of a connection from or to the bridge, as far as can be told.
Pure.

Such a packet is walked through a base chain as the kernel would. A match is answered by yes, no or "cannot be told"
(a mark, a limit, what iptables knows alone). What drops must be certain; what accepts must be that, too, or name the
packet by its link, its addresses or its port: then the firewall's owner has thought of it, and needs no word of ours.

Source of the format: libnftables-json(5).
"""

from collections.abc import Iterator
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, collapse_addresses, summarize_address_range
from typing import Any, TypeAlias

import msgspec

Answer: TypeAlias = bool | None
"""Of a match; None where it cannot be told."""

_PASSING_OVER = ("counter", "log", "mangle", "flow")
"""Statements that decide nothing."""
_XT_DROPS = ("DROP", "REJECT")
_NUMBERS = {"tcp": 6, "udp": 17}
"""How nft tells of protocols on a machine without /etc/protocols."""
_NAMING = ("iifname", "iif", "oifname", "oif", "saddr", "daddr", "dport")


class Fate(StrEnum):
    """What becomes of a packet."""

    PASSES = "passes"
    DROPPED = "dropped"


class Packet(msgspec.Struct, frozen=True):
    """The first of a connection. Empty is what is not known of it; of one that is for the machine itself, also where it
    leaves."""

    link: str
    """By which it comes."""
    source: str
    """The network that it is from."""
    to: str = ""
    protocol: str = ""
    port: int = 0
    leaves: str = ""
    """The link by which it goes on."""
    is_led: bool = False
    """Whether it was sent to another address, and led to this one."""


class Table(msgspec.Struct, frozen=True):
    """Its rules by chain, in their order, each a list of statements; and the elements of its sets and maps."""

    rules: dict[str, list[list[dict[str, Any]]]]
    sets: dict[str, list[Any]]


def parsed(listing: bytes) -> Table:
    """Of what `nft -j list table` prints."""
    table = Table({}, {})
    for one in msgspec.json.decode(listing).get("nftables", []):
        if "chain" in one:
            table.rules.setdefault(one["chain"]["name"], [])
        elif "rule" in one:
            table.rules.setdefault(one["rule"]["chain"], []).append(one["rule"]["expr"])
        elif found := one.get("set") or one.get("map"):
            table.sets[found["name"]] = found.get("elem", [])
    return table


def fate(table: Table, chain: str, packet: Packet) -> Fate | None:
    """What the rules of a base chain do with the packet; None when they leave it to the chain's policy."""
    return _Walk(table, packet).through(chain, certain=True, named=False)


class _Walk:
    def __init__(self, table: Table, packet: Packet) -> None:
        self._table = table
        self._packet = packet

    def through(self, chain: str, certain: bool, named: bool) -> Fate | None:
        """`certain`: the packet comes here; `named`: a rule on the way names it."""
        for rule in self._table.rules.get(chain, ()):
            for verdict, target, answers, names in self._outcomes(rule):
                if False in answers:
                    continue
                here, known = certain and None not in answers, named or names
                match verdict:
                    case "accept" if here or known:
                        return Fate.PASSES
                    case "drop" | "reject" if here:
                        return Fate.DROPPED
                    case "jump" | "goto":
                        found = self.through(target, here, known)
                        if found is not None or (verdict == "goto" and here):
                            return found
                    case "return" if here:
                        return None
                    case "return":
                        certain = False
        return None

    def _outcomes(self, rule: list[dict[str, Any]]) -> Iterator[tuple[str, str, list[Answer], bool]]:
        """A verdict of the rule, the chain that it leads to, the answers that must be yes for it, and whether one of
        them names the packet. A rule has none, one, or those of a verdict map."""
        answers: list[Answer] = []
        names = False
        for statement in rule:
            kind, said = next(iter(statement.items()))
            if kind == "match":
                answers.append(self._answer(said["op"], said["left"], said["right"]))
                names |= _names(said["left"]) and answers[-1] is True and said["op"] != "!="
            elif kind == "vmap":
                for key, verdict in self._elements(said["data"]):
                    word, where = next(iter(verdict.items()))
                    one = self._answer("==", said["key"], key)
                    yield word, _target(where), [*answers, one], names or (_names(said["key"]) and one is True)
            elif kind == "xt" and said is not None and said.get("type") == "target":
                if said.get("name") in _XT_DROPS:
                    yield "drop", "", answers, names
            elif kind in ("accept", "drop", "reject", "return", "jump", "goto"):
                yield kind, _target(said), answers, names
            elif kind not in _PASSING_OVER:
                answers.append(None)

    def _answer(self, op: str, left: Any, right: Any) -> Answer:
        if op not in ("==", "!=", "in"):
            return None
        found = _any([self._is(left, one) for one in self._elements(right)])
        return found if op != "!=" or found is None else not found

    def _elements(self, right: Any) -> list[Any]:
        """What a match is asked of: one thing, or those of a set, named or not."""
        if isinstance(right, str) and right.startswith("@"):
            found = self._table.sets.get(right[1:], [])
        elif isinstance(right, dict) and "set" in right:
            found = right["set"]
        else:
            found = right if isinstance(right, list) else [right]
        return [one["elem"]["val"] if isinstance(one, dict) and "elem" in one else one for one in found]

    def _is(self, left: Any, right: Any) -> Answer:
        packet = self._packet
        match left:
            case {"concat": parts}:
                several = right["concat"] if isinstance(right, dict) and "concat" in right else []
                return _all([self._is(*pair) for pair in zip(parts, several, strict=False)]) if several else None
            case {"meta": {"key": "iifname" | "iif"}}:
                return _is_known_link(packet.link, right, packet.leaves)
            case {"meta": {"key": "oifname" | "oif"}}:
                return _is_known_link(packet.leaves, right, packet.link)
            case {"meta": {"key": "nfproto"}}:
                return bool(right == "ipv4")
            case {"meta": {"key": "protocol"}}:
                return bool(right == "ip")
            case {"meta": {"key": "l4proto"}} | {"payload": {"protocol": "ip", "field": "protocol"}}:
                return right in (packet.protocol, _NUMBERS[packet.protocol]) if packet.protocol else None
            case {"payload": {"protocol": "ip", "field": "saddr"}}:
                return _is_within(IPv4Network(packet.source), right) if packet.source else None
            case {"payload": {"protocol": "ip", "field": "daddr"}}:
                return _is_within(IPv4Network(packet.to), right) if packet.to else None
            case {"payload": {"protocol": "tcp" | "udp" | "th" as protocol, "field": "dport"}} if packet.port:
                return protocol in ("th", packet.protocol) and _is_port(packet.port, right)
            case {"payload": {"protocol": "ip6" | "icmpv6"}}:
                return False
            case {"payload": {"protocol": "tcp" | "udp" | "icmp" as protocol}} if packet.protocol not in ("", protocol):
                return False
            case {"ct": {"key": "state"}}:
                return bool(right == "new")
            case {"ct": {"key": "status"}}:
                return packet.is_led and bool(right == "dnat")  # nobody has answered it
            case _:
                return None


def _names(left: Any) -> bool:
    """Whether who matches this says which packets are meant."""
    match left:
        case {"concat": parts}:
            return any(_names(part) for part in parts)
        case {"meta": {"key": key}} | {"payload": {"field": key}}:
            return key in _NAMING
        case _:
            return False


def _target(said: Any) -> str:
    return str(said["target"]) if isinstance(said, dict) and "target" in said else ""


def _any(answers: list[Answer]) -> Answer:
    return True if True in answers else None if None in answers else False


def _all(answers: list[Answer]) -> Answer:
    return False if False in answers else None if None in answers else True


def _is_link(name: str, right: Any) -> bool:
    if not isinstance(right, str):
        return False
    return name.startswith(right[:-1]) if right.endswith("*") else name == right


def _is_known_link(name: str, right: Any, other: str) -> Answer:
    """Of a link that is not known it is known that it is not the packet's `other` one."""
    if name:
        return _is_link(name, right)
    return False if _is_link(other, right) else None


def _is_port(port: int, right: Any) -> Answer:
    match right:
        case int():
            return port == right
        case {"range": [int(first), int(last)]}:
            return first <= port <= last
        case _:
            return None


def _is_within(network: IPv4Network, right: Any) -> Answer:
    """None where only a part of the network is within."""
    try:
        match right:
            case {"prefix": {"addr": address, "len": length}}:
                those = [IPv4Network(f"{address}/{length}")]
            case {"range": [first, last]}:
                those = list(summarize_address_range(IPv4Address(first), IPv4Address(last)))
            case _:
                those = [IPv4Network(right)]
    except (TypeError, ValueError):
        return None
    if any(network.subnet_of(one) for one in collapse_addresses(those)):
        return True
    return None if any(network.overlaps(one) for one in those) else False
