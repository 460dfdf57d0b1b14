"""What is made of another firewall's rules: each case is loaded by nft and read back as nft tells it."""

import shutil
import subprocess
from typing import Any

import msgspec
import pytest

from effects.network import obstacles
from effects.network.foreign_rules import Fate, Packet, Table, fate, parsed
from projections.network import Mapping

BRIDGE, SUBNET = "br0", "172.20.254.0/24"

_SETS = """
  set lans { type ifname; elements = { "eth0", "br0" }; }
  set homes { type ipv4_addr; flags interval; elements = { 10.0.0.0/8, 172.16.0.0/12 }; }
  set pairs { type ifname . inet_service; elements = { "br0" . 53 }; }
  map zones { type ifname : verdict; elements = { "br0" : goto open, "eth0" : goto shut }; }
  chain open { accept; }
  chain shut { drop; }
  chain mine { udp dport 53 accept; tcp dport 53 accept; }
  chain perhaps { meta mark 1 return; drop; }
"""


def told(hook: str, policy: str, rules: str, coming: tuple[Packet, ...] = ()) -> str:
    """What is told of a chain with these rules, `;` between them."""
    text = (
        f"table inet wall {{ {_SETS} chain c {{ type filter hook {hook} priority 0; policy {policy}; {rules}\n }}\n}}"
    )
    script = "nft -f - && nft -j list chains && nft -j list table inet wall"
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", script], input=text, text=True, stdout=subprocess.PIPE, check=True
    )
    chains, table = (line.encode() for line in done.stdout.strip().splitlines())
    (chain,) = obstacles.filters(chains)
    return obstacles.told(chain, table, BRIDGE, SUBNET, coming)


@pytest.mark.skipif(shutil.which("nft") is None or shutil.which("unshare") is None, reason="needs nft, as root")
@pytest.mark.real
@pytest.mark.parametrize(
    "rules",
    [
        "accept",
        'iifname "br0" accept',
        'iifname "br*" accept',
        "iifname @lans accept",
        'iifname { "eth0", "br0" } counter accept',
        'iifname != "eth0" accept',
        'iifname "br0" meta mark 7 accept',
        'iifname "br0" limit rate 5/second accept',
        "iifname vmap @zones",
        'iifname vmap { "eth0" : drop, "br0" : accept }',
        "ct state vmap { established : accept, new : jump open }",
        "ip saddr 172.20.254.0/24 accept",
        "ip saddr @homes accept",
        "ip saddr 172.20.254.0-172.20.254.255 accept",
        "ip saddr { 10.0.0.0/8, 172.16.0.0/12 } ct state new accept",
        "meta nfproto ipv4 accept",
        'log prefix "all " counter goto open',
    ],
)
def test_what_lets_the_bridge_pass_is_in_nobodys_way(rules: str) -> None:
    for hook in ("forward", "input"):
        assert told(hook, "drop", rules) == ""
        assert told(hook, "accept", f"{rules}; counter reject") == ""


@pytest.mark.skipif(shutil.which("nft") is None or shutil.which("unshare") is None, reason="needs nft, as root")
@pytest.mark.real
@pytest.mark.parametrize(
    "rules",
    [
        'iifname "lo" accept',
        'iifname != "br0" accept',
        'iifname "br1" accept; iifname "eth*" accept',
        'iifname "br0" drop',
        'iifname "br0" meta nfproto ipv6 accept',
        'iifname vmap { "eth0" : accept, "br0" : jump shut }',
        "ct state { established, related } accept; ct status dnat accept",
        "ct state vmap { established : accept, related : accept, invalid : drop }",
        "ip saddr 192.168.0.0/16 accept",
        'iifname "eth0" ip saddr 172.16.0.0/12 jump open',
        "ip6 saddr fe80::/10 accept",
        "meta mark 7 accept",
        "meta mark 7 jump open",
        "meta mark 7 return",
        "limit rate 5/second accept",
        "meta l4proto { icmp, ipv6-icmp } accept; icmp type echo-request accept",
        "return",
    ],
)
def test_what_accepts_others_leaves_the_bridge_to_the_policy(rules: str) -> None:
    for hook in ("forward", "input"):
        assert "chain c of nft table inet wall has" in told(hook, "drop", rules)
    if "return" not in rules:
        assert "has a rule that drops or rejects the rest" in told("forward", "accept", f"{rules}; reject")


@pytest.mark.skipif(shutil.which("nft") is None or shutil.which("unshare") is None, reason="needs nft, as root")
@pytest.mark.real
@pytest.mark.parametrize(
    ("rules", "is_told"),
    [
        ("meta l4proto { tcp, udp } th dport 53 accept", False),
        ("udp dport { 50-60, 67 } accept; tcp dport 53 accept", False),
        ('iifname . udp dport @pairs accept; iifname . tcp dport { "br0" . 53 } accept', False),
        ('iifname "br0" jump mine', False),
        ("ip daddr 172.20.254.1 accept", False),
        ("meta l4proto udp accept; ip protocol tcp accept", False),
        ("fib daddr type local udp dport 53 accept; fib daddr type local tcp dport 53 accept", False),
        ("udp dport 53 accept", True),
        ("tcp dport 53 accept", True),
        ('iifname "br0" tcp dport 22 accept', True),
        ('iifname "eth0" meta l4proto { tcp, udp } th dport 53 accept', True),
        ("ip saddr 192.168.1.0/24 meta l4proto { tcp, udp } th dport 53 accept", True),
        ("ip daddr 192.168.1.2 accept", True),
        ("icmp type echo-request accept", True),
    ],
)
def test_names_need_port_53_of_the_bridge_and_nothing_else(rules: str, is_told: bool) -> None:
    assert bool(told("input", "drop", rules)) is is_told
    assert bool(told("input", "accept", f"{rules}; reject")) is is_told


@pytest.mark.skipif(shutil.which("nft") is None or shutil.which("unshare") is None, reason="needs nft, as root")
@pytest.mark.real
@pytest.mark.parametrize(
    "rules", ["", 'iifname "eth0" drop', "meta mark 7 drop", "jump perhaps", "meta mark 7 jump shut"]
)
def test_what_may_drop_others_alone_is_not_told(rules: str) -> None:
    for hook in ("forward", "input"):
        assert told(hook, "accept", rules) == ""


WEB = Mapping("tcp", 8_080, "", "172.20.254.2", 80)
LAN = obstacles.WayIn("eth0", "192.168.1.0/24")
LEAVES = 'iifname "br0" accept'
"""What comes from the bridge passes: the rest is about what goes to it."""


@pytest.mark.skipif(shutil.which("nft") is None or shutil.which("unshare") is None, reason="needs nft, as root")
@pytest.mark.real
@pytest.mark.parametrize(
    ("rules", "is_told"),
    [
        ("ct state { established, related } accept", True),
        ("tcp dport 22 accept", True),
        ('iifname "eth0" tcp dport 22 accept', True),
        ('iifname "eth1" accept', True),
        ('iifname "docker0" oifname != "docker0" accept; oifname "docker0" accept', True),
        ("ip saddr 10.0.0.0/8 accept", True),
        ("ip daddr 172.20.254.3 accept", True),
        ("meta mark 7 accept", True),
        ('oifname "br0" drop; accept', True),
        ("accept", False),
        ('oifname "br0" accept', False),
        ('oifname "br0" meta mark 7 accept', False),
        ("ct status dnat accept", False),
        ('iifname "eth0" accept', False),
        ("ip saddr 192.168.0.0/16 accept", False),
        ("ip daddr 172.20.254.0/24 tcp dport 80 accept", False),
        ('iifname "eth0" oifname "br0" ct state new accept', False),
        ('oifname != "docker0" accept', False),
    ],
)
def test_what_comes_to_host_ports_from_the_lan_must_pass_to_the_bridge(rules: str, is_told: bool) -> None:
    packets = obstacles.coming(BRIDGE, (WEB,), (LAN,))
    words = told("forward", "drop", f"{LEAVES}; {rules}", packets)
    assert bool(words) is is_told and bool(told("forward", "accept", f"{LEAVES}; {rules}; reject", packets)) is is_told
    assert told("input", "drop", f"{LEAVES}; {rules}", packets) == "", "no host port is the machine's own"
    if is_told:
        assert "what is forwarded to host ports (80/tcp of 172.20.254.2), so that the LAN reaches none of it" in words


def test_ports_of_the_machine_alone_need_no_way_in_and_each_other_one_needs_each() -> None:
    own = Mapping("tcp", 8_081, "127.0.0.1", "172.20.254.3", 80)
    second = Mapping("tcp", 8_082, "192.168.1.9", "172.20.254.2", 80)
    other = obstacles.WayIn("wlan0", "10.0.0.0/8")
    found = obstacles.coming(BRIDGE, (WEB, own, second), (LAN, other))
    assert [(one.link, one.to, one.port, one.leaves) for one in found] == [
        ("eth0", "172.20.254.2", 80, BRIDGE), ("wlan0", "172.20.254.2", 80, BRIDGE),
    ]  # fmt: skip
    (unknown,) = obstacles.coming(BRIDGE, (WEB,), ())
    assert (unknown.link, unknown.source) == ("", "") and obstacles.coming(BRIDGE, (own,), (LAN,)) == ()


def test_only_what_filters_ipv4_on_its_way_in_or_through_is_looked_at() -> None:
    def chain(family: str, hook: str, kind: str = "filter") -> dict[str, object]:
        return {"family": family, "table": "t", "name": "c", "hook": hook, "type": kind, "policy": "drop"}

    others = [chain("ip6", "forward"), chain("bridge", "input"), chain("ip", "output"), chain("ip", "input", "nat")]
    listing = [{"metainfo": {}}, *({"chain": one} for one in [*others, chain("inet", "input"), chain("ip", "forward")])]
    found = obstacles.filters(msgspec.json.encode({"nftables": [*listing, {"chain": {"family": "ip", "name": "d"}}]}))
    assert [(one.family, one.hook) for one in found] == [("inet", "input"), ("ip", "forward")]


def test_protocols_are_known_by_number_too() -> None:
    keys: list[Any] = [{"meta": {"key": "l4proto"}}, {"payload": {"protocol": "ip", "field": "protocol"}}]
    for key in keys:
        for number, dropped in ((17, "udp"), (6, "tcp")):
            rule: list[Any] = [{"match": {"op": "==", "left": key, "right": number}}, {"drop": None}]
            table = Table({"c": [rule]}, {})
            for protocol in ("udp", "tcp"):
                packet = Packet(BRIDGE, SUBNET, "172.20.254.1", protocol, 53)
                assert (fate(table, "c", packet) is Fate.DROPPED) is (protocol == dropped)


def test_what_only_iptables_knows_is_not_guessed_at_and_its_reject_is_one() -> None:
    conntrack, addrtype = ({"xt": {"type": "match", "name": name}} for name in ("conntrack", "addrtype"))
    log, reject = ({"xt": {"type": "target", "name": name}} for name in ("LOG", "REJECT"))
    packet = Packet(BRIDGE, SUBNET)

    def what(*rules: list[Any]) -> Fate | None:
        objects = [{"rule": {"chain": "FORWARD", "expr": rule}} for rule in rules]
        return fate(parsed(msgspec.json.encode({"nftables": objects})), "FORWARD", packet)

    assert what([conntrack, {"accept": None}]) is None
    assert what([conntrack, {"accept": None}], [log], [{"counter": {"packets": 0, "bytes": 0}}, reject]) is Fate.DROPPED
    assert what([addrtype, {"return": None}], [reject]) is None, "it may have returned"
    assert what([{"xt": None}, {"accept": None}]) is None, "as earlier releases of nft tell it"
