"""The UDP flows that the kernel remembers, and which of them the rules would lead elsewhere today.

The kernel asks the rules at a flow's first packet, and remembers what they said as long as the flow goes on: who sends
from the same port twice a minute never reaches what was mapped since, and goes on to an address that may be somebody
else's by now. So once the rules have changed, such flows are forgotten, and the next packet is a first one. A TCP
connection ends by itself when nobody answers it.

Blocking: everything here runs on the driver's own thread.
"""

import errno
import logging
import socket
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import msgspec

from projections.network import Mapping

log = logging.getLogger(__name__)


class Place(msgspec.Struct, frozen=True):
    """An address and a port."""

    address: str
    port: int


class Flow(msgspec.Struct, frozen=True):
    """Who sends, where to, and who answers: another where the flow is led elsewhere."""

    sender: Place
    target: Place
    answering: Place


def astray(
    flows: Iterable[Flow], mappings: Iterable[Mapping], own: frozenset[str], subnet: IPv4Network
) -> tuple[Flow, ...]:
    """The flows that the rules would lead elsewhere. `own` are the machine's addresses. Pure."""
    leads = {
        Place(one.host_address, one.host_port): Place(one.address, one.port)
        for one in mappings
        if one.protocol == "udp"
    }

    def is_astray(flow: Flow) -> bool:
        target, lead = flow.target, None
        if target.address in own or IPv4Address(target.address).is_loopback:
            lead = leads.get(target) or leads.get(Place("", target.port))
        if flow.answering == (lead or target):
            return False
        # What others than we lead elsewhere is theirs.
        return lead is not None or IPv4Address(flow.answering.address) in subnet

    return tuple(flow for flow in flows if is_astray(flow))


def _connected() -> Any:
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

    return NFCTSocket()


class Flows:
    """Those of this machine. `connect` makes a socket to the kernel's memory of them."""

    def __init__(self, subnet: str, connect: Callable[[], Any] = _connected) -> None:
        self._subnet = IPv4Network(subnet)
        self._connect = connect
        self._told = False
        self._renewed: tuple[frozenset[Mapping], frozenset[str]] | None = None
        """The UDP mappings and own addresses by which none was astray."""

    def doubt(self) -> None:
        """The rules were others for a while, by another hand: flows may have begun by those."""
        self._renewed = None

    def renew(self, mappings: Iterable[Mapping], own: frozenset[str]) -> None:
        """None is astray any more. Where the kernel does not tell of them, that is logged, once.

        It is asked only where something was changed for them: a busy machine has tens of thousands, and to take them
        apart is seconds, for a host port of TCP, too.
        """
        from pyroute2.netlink.exceptions import NetlinkError

        mappings = tuple(mappings)
        wanted = frozenset(one for one in mappings if one.protocol == "udp"), own
        if wanted == self._renewed:
            return
        self._renewed = None
        try:
            with self._connect() as kernel:
                for flow in astray(_seen(kernel), mappings, own, self._subnet):
                    _forget(kernel, flow)
            self._renewed = wanted
        except (OSError, NetlinkError) as error:
            if not self._told:
                log.warning(
                    "this kernel does not tell of its flows (%s): who sends UDP without a pause to a port that is "
                    "mapped later, or was mapped before, is led as before until it pauses for two minutes",
                    error,
                )
            self._told = True


def _seen(kernel: Any) -> list[Flow]:
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

    found = []
    for message in kernel.dump(tuple_orig=NFCTAttrTuple(proto=socket.IPPROTO_UDP)):
        there, back = (
            NFCTAttrTuple.from_netlink(socket.AF_INET, message.get_attr(name))
            for name in ("CTA_TUPLE_ORIG", "CTA_TUPLE_REPLY")
        )
        if there.proto == socket.IPPROTO_UDP:
            sender, target = Place(there.saddr, there.sport), Place(there.daddr, there.dport)
            found.append(Flow(sender, target, Place(back.saddr, back.sport)))
    return found


def _forget(kernel: Any, flow: Flow) -> None:
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

    one = NFCTAttrTuple(
        saddr=flow.sender.address,
        daddr=flow.target.address,
        proto=socket.IPPROTO_UDP,
        sport=flow.sender.port,
        dport=flow.target.port,
    )
    try:
        kernel.entry("del", tuple_orig=one)
    except NetlinkError as error:
        if error.code != errno.ENOENT:  # it has just ended by itself
            raise
