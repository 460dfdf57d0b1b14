"""What on this machine keeps packets from or to the bridge, though everything of ours is right. Pure.

A hosted capsule changes neither the machine's forwarding nor anybody else's rules: it says what is in the way.
Source of the format: libnftables-json(5), chain objects.
"""

from typing import Any

import msgspec


class Chain(msgspec.Struct, frozen=True):
    """A chain on the forward hook that drops what none of its rules lets pass."""

    family: str
    table: str
    name: str


def dropping_chains(listing: bytes) -> tuple[Chain, ...]:
    """Of what `nft -j list chains` prints."""
    objects: list[dict[str, Any]] = msgspec.json.decode(listing).get("nftables", [])
    chains = (one["chain"] for one in objects if "chain" in one)
    return tuple(
        Chain(one["family"], one["table"], one["name"])
        for one in chains
        if one.get("hook") == "forward" and one.get("policy") == "drop"
    )


def knows(table: str, bridge: str) -> bool:
    """Whether a table's text has a rule for the bridge: then its owner has thought of it."""
    return f'"{bridge}"' in table


def no_forwarding() -> str:
    """For the operator."""
    return (
        "this machine forwards no packets (net.ipv4.ip_forward is 0): host ports do not answer from elsewhere, and "
        "workloads on the bridge reach none. `echo net.ipv4.ip_forward=1 >/etc/sysctl.d/60-capsule.conf && "
        "sysctl --system` changes it, also for the boots to come; capsuled leaves it alone"
    )


def dropped(chain: Chain, bridge: str) -> str:
    """For the operator."""
    return (
        f"another firewall drops what is forwarded: chain {chain.name} of nft table {chain.family} {chain.table} has "
        f"policy drop and no rule for {bridge}. Let pass there what comes from {bridge} and what goes to it; capsuled "
        "leaves it alone"
    )
