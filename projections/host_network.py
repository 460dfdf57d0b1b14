"""What the machine itself has of addresses and ports, as far as admission must know it: found by resolve. Pure.

The rules lead a host port away from whatever listens there, on the machine too: without a word sshd, another program or
the API would be out of reach.
"""

from ipaddress import IPv4Address, IPv4Network

import msgspec

from journal.specs import PortMapping

LOOPBACK = IPv4Network("127.0.0.0/8")


class Listener(msgspec.Struct, frozen=True, order=True):
    """A port that a program on the machine has. `address`: on this one only; empty: on all of them. `whose` says which
    program, where that is known."""

    protocol: str
    port: int
    address: str = ""
    whose: str = ""


class HostNetwork(msgspec.Struct, frozen=True):
    """The machine's IPv4 addresses (None: nobody looked, and nothing is refused for their sake) and who listens."""

    addresses: tuple[str, ...] | None = None
    listeners: tuple[Listener, ...] = ()

    def has(self, address: str) -> bool:
        """Whether packets to the address are the machine's own. All of 127.0.0.0/8 is."""
        return self.addresses is None or address in self.addresses or IPv4Address(address) in LOOPBACK

    def holder(self, wanted: PortMapping) -> Listener | None:
        """Whoever would be cut off by the mapping."""
        return next((one for one in self.listeners if is_in_the_way(one, wanted)), None)


def is_in_the_way(one: Listener, wanted: PortMapping) -> bool:
    """Whether the mapping would lead away what is meant for the listener."""
    same = (one.protocol, one.port) == (wanted.protocol, wanted.host_port)
    return same and (not one.address or not wanted.host_address or one.address == wanted.host_address)


UNSEEN = HostNetwork()
