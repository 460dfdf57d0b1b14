"""What a run's /etc/hosts and /etc/resolv.conf say. Pure."""

import re
from collections.abc import Iterable

from projections.network import ZONE

OWN_ADDRESS = "127.0.1.1"
"""A workload's name leads to itself, also where it has no network."""
_KEPT = re.compile(r"\s*options\s")
_SEARCH = re.compile(r"\s*(?:search|domain)\s+(.*)")


def hosts_text(name: str, address: str, extra: Iterable[tuple[str, str]]) -> str:
    """The content of /etc/hosts."""
    lines = [
        ("127.0.0.1", "localhost"),
        ("::1", "localhost ip6-localhost ip6-loopback"),
        (address, name),
        *((where, who) for who, where in extra),
    ]
    return "".join(f"{where}\t{who}\n" for where, who in lines)


def resolv_text(machine: str, nameserver: str) -> str:
    """What a container on the bridge asks: the machine there, which asks its own servers in turn. The machine's domains
    and options stay, behind the workloads' own zone."""
    lines = machine.splitlines()
    domains = [words for line in lines if (found := _SEARCH.match(line)) for words in found[1].split()]
    options = [line.strip() for line in lines if _KEPT.match(line)]
    ours = (f"nameserver {nameserver}", f"search {' '.join([ZONE, *domains])}")
    return "".join(f"{line}\n" for line in (*ours, *options))
