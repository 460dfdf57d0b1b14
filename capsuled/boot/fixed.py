"""An address that the operator wrote down, kept on its card, with its way out and its name servers.

A card that was registered anew has no address, and one that was set down has lost its routes: at each of the kernel's
news what is there is compared with what was written, and what is lacking is set. What is there already is let be, for
the kernel tells of each setting as news.

Source of the format: proc_net(5), `route`; addresses are hexadecimal words in the machine's byte order.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address
from pathlib import Path

from capsuled.boot.lease import Lease, resolver_text
from capsuled.ipv4 import assigned
from capsuled.processes import CommandFailed, run

log = logging.getLogger(__name__)

RESOLVER = Path("/etc/resolv.conf")
ROUTES = Path("/proc/net/route")

FIRST_PAUSE_S, CAP_PAUSE_S = 1.0, 60.0
"""Before what could not be set is tried again."""

_GATEWAY = 0x2  # RTF_GATEWAY


class Fixed:
    """`there` is called whenever the address was looked for and is there, also while the rest could not be set: the LAN
    is reached without a route. `problem`: what could not be, and why."""

    def __init__(self, interface: str, lease: Lease, there: Callable[[], None]) -> None:
        self._interface = interface
        self._lease = lease
        self._there = there
        self._news = asyncio.Event()
        self.problem = ""

    def look(self) -> None:
        """Something has happened."""
        self._news.set()

    async def keep(self) -> None:
        """Until cancelled. A setting that failed for want of memory has no news of its end, so it is tried again."""
        pause_s = FIRST_PAUSE_S
        while True:
            self._news.clear()
            failed = await _failed(self._set_address())
            if not failed:
                failed = await _failed(self._set_way())
                self._there()
            if failed and failed != self.problem:
                log.error("%s cannot be set up: %s", self._interface, failed)
            self.problem = failed
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s if failed else None):
                    await self._news.wait()
            pause_s = min(2 * pause_s, CAP_PAUSE_S) if failed else FIRST_PAUSE_S

    async def _set_address(self) -> None:
        if (self._interface, self._lease.address) not in assigned():
            await run("ip", "address", "replace", str(self._lease.address), "dev", self._interface)

    async def _set_way(self) -> None:
        router, text = self._lease.router, resolver_text(self._lease.dns).encode()
        if router is not None and (self._interface, router) not in ways_out(ROUTES.read_text()):
            await run("ip", "route", "replace", "default", "via", str(router), "dev", self._interface)
        if not RESOLVER.exists() or RESOLVER.read_bytes() != text:  # another hand's may be no text at all
            RESOLVER.write_bytes(text)


async def _failed(setting: Awaitable[None]) -> str:
    """Why it did; empty when all is there."""
    try:
        await setting
    except (CommandFailed, OSError, RuntimeError, ValueError) as error:
        # RuntimeError: no thread that waits for a process's end. ValueError: what is there cannot be read as it should.
        return str(error) or type(error).__name__
    return ""


def ways_out(table: str) -> frozenset[tuple[str, IPv4Address]]:
    """(the interface, the router) of each default route in the kernel's table. Pure."""
    found = set[tuple[str, IPv4Address]]()
    for line in table.splitlines()[1:]:
        interface, destination, gateway, flags, _, _, _, mask, *_ = line.split()
        if int(flags, 16) & _GATEWAY and not int(destination, 16) and not int(mask, 16):
            found.add((interface, IPv4Address(socket.ntohl(int(gateway, 16)))))
    return frozenset(found)
