"""What a driver of the network must do: the contract that the real one and its twin both keep.

Every method may be called again after any crash: it looks, compares, acts. Failures are `DriverError`s.
"""

from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

from projections.network import Mapping

LinkKind = Literal["veth", "tap"]
"""`veth` leads into a network namespace, a container's; `tap` to whoever opens it, a microVM's monitor."""


class Link(msgspec.Struct, frozen=True):
    """A workload's link to the bridge, by incarnation. A microVM's outlives runs; a container's is made anew for each,
    and its counters begin anew with it. The address is the workload's, not a run's, either way."""

    name: str
    uid: int
    address: str
    kind: LinkKind = "veth"


class Drift(msgspec.Struct, frozen=True):
    """Something of ours may have been changed by another hand: look (`holds`, `observe`), and make it so again."""


class NetworkDriver(Protocol):
    """One bridge, its rules and its links."""

    @property
    def subnet(self) -> str:
        """The bridge's, in CIDR form; its first address is the machine's own."""
        ...

    @property
    def nameserver(self) -> str:
        """Where workloads ask for names: the machine's own address on the bridge."""
        ...

    async def observe(self) -> tuple[Link, ...]:
        """Every whole link there is, those of earlier incarnations included. One that is half made is not shown."""
        ...

    async def holds(self, mappings: tuple[Mapping, ...]) -> bool:
        """Whether the bridge is there with its address, and the rules are just these. Somebody else's is not it."""
        ...

    async def ensure(self, mappings: tuple[Mapping, ...]) -> None:
        """The bridge is there and the rules are just these, replaced in one transaction. Raises NetworkForeign when
        the bridge's name or subnet is somebody else's."""
        ...

    async def clear(self) -> None:
        """Neither bridge nor rules are there, nor any link."""
        ...

    async def attach(self, link: Link) -> None:
        """The workload's link to the bridge is there: for a `veth` its namespace, with this address and a way out; for
        a `tap` a port that its owner may open, and whoever has it open keeps it while it is mended. Raises
        NetworkMissing when there is no bridge, NetworkForeign when it is somebody else's."""
        ...

    async def renew(self, link: Link) -> None:
        """As `attach`, and no run was in the `veth`'s namespace before: what one does to its network ends with it. The
        namespace that was there goes with its last process. For who begins a run, and of the one before nothing lives.
        """
        ...

    async def detach(self, name: str, uid: int) -> None:
        """Neither link nor namespace of the incarnation is there."""
        ...

    async def is_open(self, name: str, uid: int) -> bool:
        """Whether a monitor has the incarnation's TAP open. The one of a microVM that runs has not, when the TAP was
        made anew under it: it has the old one, which leads nowhere."""
        ...

    def namespace(self, name: str, uid: int) -> str:
        """The path under which a container joins the incarnation's namespace."""
        ...

    def port_of(self, name: str, uid: int) -> str:
        """The name of the machine's end of the incarnation's link: what a microVM's monitor opens."""
        ...

    async def obstacles(self) -> tuple[str, ...]:
        """What of the machine's own stands in the way of the bridge's packets, in words; nothing of it is changed."""
        ...

    def drift(self) -> AsyncIterator[Drift]:
        """Whenever something of ours may have been changed by another hand; own changes may be reported too."""
        ...
