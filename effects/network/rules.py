"""The owned nftables table, rendered from the mappings; replaced as a whole in one transaction. Pure.

A host port works from outside, from the machine's own addresses and 127.0.0.1, and from other workloads: mappings are
looked up in prerouting and in output for whatever is addressed to the machine itself. What a loopback source or another
workload sends to a mapped port is masqueraded, so that the answer comes back the same way. For that the bridge takes
part in loopback addresses (`route_localnet`), which the kernel else lets over no link: what a workload sends to one is
dropped, and so is what says that it comes from one, as programs take that for the machine's own.

From outside, a workload is reached by its mapped ports alone: the machine forwards, so whoever routes the subnet by it
would reach every port of every workload.

A connection over an uplink of less than the bridge's 1500 bytes (PPPoE, WireGuard) is opened with segments that fit
there, in both directions: otherwise it opens, and its first full segment waits for a word of a router's that many a
filter drops. The kernel only ever lowers what a packet says, and what does not touch the bridge stays as it is.

Source of the syntax: nft(8) 1.0. A chain cannot be called `dnat`; JSON that creates maps and uses them crashes 1.0.6.
What sets a segment's size (`exthdr` and `rt`) is no module of its own: since Linux 4.18 it is of nf_tables itself.
"""

import re
from collections.abc import Iterable, Iterator

from projections.network import Mapping

_PROTOCOLS = ("tcp", "udp")
_MAP = re.compile(r"map (\w+) \{(.*?)\n\t\}", re.DOTALL)
_ELEMENTS = re.compile(r"\s*elements = \{(.*?)\}", re.DOTALL)
_CHAINS = 7
_RULES = 16


def table_of(bridge: str) -> str:
    """The table's name: one for each bridge, so that two capsules on one machine do not share it. nft takes whatever
    a bridge may be called as it stands."""
    return f"capsule_{bridge}"


def former_table_of(bridge: str) -> str:
    """What the table was called once, when bridges whose names differ only in . _ - shared one."""
    return f"capsule_{bridge.replace('-', '_').replace('.', '_')}"


def is_of(listing: str, bridge: str) -> bool:
    """Whether a table's text has a rule for the bridge."""
    return f'"{bridge}"' in listing


def render(bridge: str, subnet: str, mappings: Iterable[Mapping], former: str = "") -> str:
    """The whole transaction: the old table goes, the new one comes; and `former` goes, where the old one is that."""
    table = table_of(bridge)
    by_map = elements(mappings)
    maps = "".join(
        f"  map {name} {{ type {_type(name)}; {_filled(by_map.get(name, ()))}}}\n"
        for protocol in _PROTOCOLS
        for name in (f"{protocol}_at", f"{protocol}_any")
    )
    lookups = "".join(
        f"    dnat ip to ip daddr . {protocol} dport map @{protocol}_at\n"
        f"    dnat ip to {protocol} dport map @{protocol}_any\n"
        for protocol in _PROTOCOLS
    )
    return f"""{_gone(table)}{_gone(former) if former else ""}table ip {table} {{
{maps}  chain ports {{
{lookups}  }}
  chain guard {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{bridge}" ip daddr 127.0.0.0/8 drop
    iifname "{bridge}" ip saddr 127.0.0.0/8 drop
  }}
  chain segments {{
    type filter hook forward priority mangle; policy accept;
    iifname "{bridge}" tcp flags syn tcp option maxseg size set rt mtu
    oifname "{bridge}" tcp flags syn tcp option maxseg size set rt mtu
  }}
  chain between {{
    type filter hook forward priority filter; policy accept;
    iifname {{ "lo", "{bridge}" }} accept
    ct state established,related accept
    ct status dnat accept
    ip daddr {subnet} drop
  }}
  chain arriving {{
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump ports
  }}
  chain leaving {{
    type nat hook output priority -100; policy accept;
    fib daddr type local jump ports
  }}
  chain behind {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {subnet} oifname != {{ "lo", "{bridge}" }} masquerade
    oifname "{bridge}" ct status dnat ip saddr {{ 127.0.0.0/8, {subnet} }} masquerade
  }}
}}
"""


def _gone(table: str) -> str:
    return f"table ip {table} {{}}\ndelete table ip {table}\n"


def _type(name: str) -> str:
    key = "ipv4_addr . inet_service" if name.endswith("_at") else "inet_service"
    return f"{key} : ipv4_addr . inet_service"


def _filled(pairs: Iterable[str]) -> str:
    text = ", ".join(pairs)
    return f"elements = {{ {text} }}; " if text else ""


def elements(mappings: Iterable[Mapping]) -> dict[str, tuple[str, ...]]:
    """Map name to its elements in nft's words, sorted."""
    found: dict[str, list[str]] = {}
    for one in mappings:
        name = f"{one.protocol}_{'at' if one.host_address else 'any'}"
        key = f"{one.host_address} . {one.host_port}" if one.host_address else str(one.host_port)
        found.setdefault(name, []).append(f"{key} : {one.address} . {one.port}")
    return {name: tuple(sorted(pairs)) for name, pairs in found.items()}


def udp(found: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Of these elements those that lead UDP."""
    return {name: pairs for name, pairs in found.items() if name.startswith("udp_")}


def removal(bridge: str, former: str = "") -> str:
    """The transaction after which nothing of the table is there, nor of the `former` one."""
    return _gone(table_of(bridge)) + (_gone(former) if former else "")


def listed_elements(listing: str) -> dict[str, tuple[str, ...]]:
    """`elements` as `nft -n list table` shows them: for a comparison with what is wanted."""
    found = {}
    for name, body in _MAP.findall(listing):
        inside = _ELEMENTS.search(body)
        if inside is not None:
            found[name] = tuple(sorted(" ".join(one.split()) for one in inside.group(1).split(",")))
    return found


def mapped(found: dict[str, tuple[str, ...]]) -> Iterator[Mapping]:
    """The mappings that have these elements."""
    for name, pairs in found.items():
        for pair in pairs:
            key, _, value = pair.partition(" : ")
            host_address, _, host_port = key.rpartition(" . ")
            address, _, port = value.partition(" . ")
            yield Mapping(name.partition("_")[0], int(host_port), host_address, address, int(port))


def skeleton(listing: str) -> str:
    """The listing without its elements: chains and rules, which never change while the table is ours."""
    return " ".join(_ELEMENTS.sub("", listing).split())


def is_complete(listing: str) -> bool:
    """Whether all chains and rules are there, as far as their number tells."""
    lines = [line.strip() for line in listing.splitlines()]
    chains = sum(line.startswith("chain ") for line in lines)
    verdicts = sum(
        line.endswith((" accept", " drop", " masquerade", "jump ports", " set rt mtu")) or " dnat ip to " in f" {line}"
        for line in lines
    )
    return (chains, verdicts) == (_CHAINS, _RULES)
