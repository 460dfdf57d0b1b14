"""The machine's addresses and the ports that its programs have, read from the kernel: which host ports are to be had.

Source of the format: proc_net(5); addresses are hexadecimal words in the machine's byte order, ports plain.
"""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from capsuled.ipv4 import assigned
from capsuled.names import PORT
from journal.specs import PortMapping
from projections.host_network import HostNetwork, Listener, is_in_the_way
from projections.state import Machine

_PROC = Path("/proc/net")
_LISTENS = {"tcp": "0A", "udp": "07"}
"""The state of a socket that waits for whoever comes: TCP_LISTEN, and a UDP socket that is connected to nobody."""

API, NAMES = "capsuled's API", "the workloads' name server"


class HostPorts:
    """What the machine has now. `served` gives the API's addresses (HOST:PORT, as bound); `nameserver` is the bridge's
    address."""

    def __init__(self, served: Callable[[], Sequence[str]], nameserver: str, proc: Path = _PROC) -> None:
        self._served = served
        self._nameserver = nameserver
        self._proc = proc

    async def look(self) -> HostNetwork:
        """The machine as it is at this moment."""
        return await asyncio.to_thread(self._look)

    def _look(self) -> HostNetwork:
        own = self._own()
        known = {(one.protocol, one.port, one.address) for one in own}
        others = {one for one in listeners(self._proc) if (one.protocol, one.port, one.address) not in known}
        return HostNetwork(self._addresses(), (*own, *sorted(others)))

    def _addresses(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*addresses(), self._nameserver)))

    def _own(self) -> tuple[Listener, ...]:
        """What is the daemon's, also while it does not listen there."""
        names = (Listener(protocol, PORT, self._nameserver, NAMES) for protocol in ("tcp", "udp"))
        return (*(one for served in self._served() if (one := _api(served)) is not None), *names)

    async def warnings(self, machine: Machine) -> tuple[str, ...]:
        """Which workloads' host ports lead nowhere, or have what is the daemon's: the machine may have other addresses
        since they were applied, and `--listen` another port."""
        host = HostNetwork(await asyncio.to_thread(self._addresses))
        return tuple(
            warning
            for name, workload in sorted(machine.workloads.items())
            if workload.spec.network == "bridge" and workload.desired == "running"
            for port in workload.spec.ports
            for warning in self._of(name, port, host)
        )

    def _of(self, name: str, port: PortMapping, host: HostNetwork) -> Iterator[str]:
        what = f"host port {port.host_port}/{port.protocol}"
        if port.host_address and not host.has(port.host_address):
            yield (
                f"{name}'s {what} cannot be reached: it is on {port.host_address}, which this machine does not have "
                f"any more. It has {', '.join(host.addresses or ())}: apply {name} with one of these as the port's "
                "hostAddress, or with none, and it is on all of them"
            )
        for own in self._own():
            if is_in_the_way(own, port):
                yield (
                    f"{name} has {what}, and {own.whose} cannot be reached there: apply it with another hostPort, or "
                    "give capsuled another `--listen`"
                )


def _api(served: str) -> Listener | None:
    host, _, port = served.rpartition(":")
    address = _ipv4(host.strip("[]"))
    return None if address is None else Listener("tcp", int(port), address, API)


def _ipv4(text: str) -> str | None:
    """The IPv4 address on which a socket at `text` is met, empty for all of them, None for none."""
    if ":" not in text:
        return "" if text == "0.0.0.0" else text
    address = IPv6Address(text)
    if address.ipv4_mapped is not None:
        return _ipv4(str(address.ipv4_mapped))
    return "" if address.is_unspecified else None


def addresses() -> tuple[str, ...]:
    """The machine's IPv4 addresses."""
    return tuple(str(address.ip) for _, address in assigned())


def listeners(proc: Path = _PROC) -> Iterator[Listener]:
    """Every socket on which something waits for whoever comes."""
    for protocol, state in _LISTENS.items():
        for name in (protocol, f"{protocol}6"):
            try:
                lines = (proc / name).read_text().splitlines()[1:]
            except FileNotFoundError:
                continue  # a kernel without IPv6
            yield from _waiting(protocol, state, lines)


def _waiting(protocol: str, state: str, lines: Iterable[str]) -> Iterator[Listener]:
    for line in lines:
        _, local, _, found, *_ = line.split(maxsplit=4)
        word, _, port = local.partition(":")
        address = _ipv4(_address(word)) if found == state else None
        if address is not None:
            yield Listener(protocol, int(port, 16), address)


def _address(word: str) -> str:
    raw = bytes.fromhex(word)
    if sys.byteorder == "little":
        raw = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    return str(IPv4Address(raw)) if len(raw) == 4 else socket.inet_ntop(socket.AF_INET6, raw)
