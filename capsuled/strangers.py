"""Places for callers who have proven no key while the door waits for what they say: few, and the newest matter most.

Who has something to say says it at once and is gone. So where there is no place, the one who has been silent for
longest goes, first one from the same address: silence takes nothing from anybody, from however many addresses.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_NETWORK_BITS = 64
"""Of an IPv6 address the rest is anybody's own to choose."""


class Strangers:
    """At most `most` at a time, `each` of them from one address."""

    def __init__(self, most: int, each: int) -> None:
        self._most = most
        self._each = each
        self._places: dict[asyncio.Timeout, str] = {}

    @asynccontextmanager
    async def waiting(self, peer: str, seconds: float) -> AsyncIterator[None]:
        """Take a place for what is done here. Raises TimeoutError once `seconds` are over, or the place is needed."""
        host = host_of(peer)
        self._make_room(host)
        async with asyncio.timeout(seconds) as place:
            self._places[place] = host
            try:
                yield
            finally:
                self._places.pop(place, None)

    def _make_room(self, host: str) -> None:
        mine = [place for place, one in self._places.items() if one == host]
        if len(mine) >= self._each:
            self._end(mine[0])
        elif len(self._places) >= self._most:
            self._end(next(iter(self._places)))

    def _end(self, place: asyncio.Timeout) -> None:
        del self._places[place]
        if not place.expired():
            place.reschedule(0)


def host_of(peer: str) -> str:
    """The address in `192.0.2.7:50123` or `[2001:db8::7]:50123`; of an IPv6 one the network."""
    host = peer.rpartition(":")[0].strip("[]")
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return peer
    if address.version == 4:
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
