"""The driver of the network: a bridge, veth links and TAPs, and one nftables table, all by one thread of its own.

What the kernel does in microseconds would still hold up the event loop; one thread keeps it in order, too. `nft` runs
as a process: a crash in it (1.0.6 has some) must not take the daemon along.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import Protocol, TypeVar

from effects.errors import DriverError, NetworkFailed, NetworkForeign
from effects.network import namespaces, obstacles, rules, taps
from effects.network.flows import Flows
from effects.network.foreign_rules import Packet
from effects.network.kernel_news import ADDRESSES, LINKS, SETTINGS, TABLES, kernel_news
from effects.network.links import Links, port_of
from effects.network.obstacles import Chain
from effects.network.own_work import OwnWork
from effects.network.protocol import Drift, Link
from projections.network import Mapping

log = logging.getLogger(__name__)

_IP_FORWARD = Path("/proc/sys/net/ipv4/ip_forward")

T = TypeVar("T")


class Command(Protocol):
    """Runs a process to its end and returns its output; raises an exception whose text can be pasted into a shell."""

    def __call__(self, *argv: str, stdin: bytes = b"") -> Awaitable[bytes]: ...


def _root(name: str, uid: int) -> int:
    return 0


class LinuxNetwork:
    """See the protocol. `namespaces_dir` is volatile; `owner` names this capsule; `tap_owner` tells the uid of the
    monitor of an incarnation's virtual machine; `subnet_file`: see `Links`."""

    def __init__(
        self,
        command: Command,
        namespaces_dir: Path,
        bridge: str,
        subnet: str,
        owner: str,
        tap_owner: Callable[[str, int], int] = _root,
        subnet_file: str = "",
    ) -> None:
        self.subnet = subnet
        self.nameserver = str(IPv4Network(subnet)[1])
        self._command = command
        self._directory = namespaces_dir
        self._bridge = bridge
        self._owner = owner
        self._tap_owner = tap_owner
        self._subnet_file = subnet_file
        self._overlap = ""
        self._making = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "network")
        self._flows = Flows(subnet)
        self._skeleton = ""
        self._own_work = OwnWork()
        self._unused: set[Path] = set()
        self._forsaken_gone = False

    @cached_property
    def _links(self) -> Links:
        """Made on the thread, where there is no event loop: the socket brings one of its own."""
        return Links(self._bridge, self.subnet, self._owner, self._tap_owner, self._subnet_file)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        def guarded() -> T:
            from pyroute2.netlink.exceptions import NetlinkError

            try:
                return work()
            except NetlinkError as error:
                raise NetworkFailed(f"the kernel refused a change of the network: {error}") from error
            except OSError as error:
                raise NetworkFailed(f"the network cannot be changed: {error.filename}: {error.strerror}") from error

        return await asyncio.get_running_loop().run_in_executor(self._thread, guarded)

    async def close(self) -> None:
        """Let go of the thread and its socket; everything that was made stays."""
        if "_links" in self.__dict__:
            await self._on_thread(lambda: self._links.close())
        self._thread.shutdown(wait=False)

    # --- the protocol --------------------------------------------------------------------------------------------

    async def observe(self) -> tuple[Link, ...]:
        """See the protocol. A namespace without a link is left: somebody may be at work in it, and gets one again."""
        return await self._on_thread(self._observe)

    def _observe(self) -> tuple[Link, ...]:
        return tuple(
            link
            for link in self._links.links()
            if link.kind == "tap" or namespaces.exists(Path(self.namespace(link.name, link.uid)))
        )

    async def holds(self, mappings: tuple[Mapping, ...]) -> bool:
        """See the protocol. Somebody else's bridge is as good as none."""
        try:
            if not await self._on_thread(lambda: self._links.bridge_is_whole()):
                return False
        except NetworkForeign:
            return False
        try:
            listing = await self._list()
        except DriverError:
            return False
        if rules.listed_elements(listing) != rules.elements(mappings):
            return False
        return rules.skeleton(listing) == self._skeleton if self._skeleton else rules.is_complete(listing)

    async def ensure(self, mappings: tuple[Mapping, ...]) -> None:
        """See the protocol."""
        async with self._making:
            await self._ensure(mappings)

    async def _ensure(self, mappings: tuple[Mapping, ...]) -> None:
        with self._own_work:
            await self._clear_forsaken()
            await self._give_way()
            await self._on_thread(lambda: self._links.ensure_bridge())
            former = await self._former_table(self._bridge)
            if not await self._leads_udp(mappings):
                self._flows.doubt()
            await self._nft("-f", "-", stdin=rules.render(self._bridge, self.subnet, mappings, former).encode())
            await self._on_thread(lambda: self._flows.renew(mappings, self._links.own_addresses()))
            if not self._skeleton:  # as nft shows what we always load: it is asked once
                self._skeleton = rules.skeleton(await self._list())

    async def _leads_udp(self, mappings: tuple[Mapping, ...]) -> bool:
        """Whether the table that is there has led UDP as these have it. Else another hand was at it, or what was loaded
        last is not known to have been loaded."""
        try:
            listing = await self._list()
        except DriverError:
            return False
        held, wanted = rules.listed_elements(listing), rules.elements(mappings)
        return rules.skeleton(listing) == self._skeleton and rules.udp(held) == rules.udp(wanted)

    async def _clear_forsaken(self) -> None:
        """Another start of the daemon may have had another `--bridge`. None comes while this one lives."""
        if self._forsaken_gone:
            return
        for name in await self._on_thread(lambda: self._links.forsaken()):
            await self._remove_rules(name)
            await self._on_thread(partial(self._links.remove_forsaken, name))
        self._forsaken_gone = True

    async def clear(self) -> None:
        """See the protocol."""
        with self._own_work:
            await self._on_thread(self._detach_all)
            await self._clear_forsaken()
            await self._remove_rules(self._bridge)
            await self._on_thread(lambda: self._links.remove_bridge())

    def _detach_all(self) -> None:
        for link in self._links.links():
            self._detach(link.name, link.uid, Path(self.namespace(link.name, link.uid)))
        for left in self._directory.glob("*.*"):
            name, _, uid = left.name.rpartition(".")
            self._detach(name, int(uid), left)
        self._links.remove_pulled_out()

    async def stands(self) -> bool:
        """Whether there is anything to clear."""
        return await self._on_thread(lambda: self._links.stands() or any(self._directory.glob("*.*")))

    async def attach(self, link: Link) -> None:
        """See the protocol."""
        with self._own_work:
            await self._on_thread(lambda: self._attach(link))

    def _attach(self, link: Link) -> None:
        if link.kind == "tap":
            if not self._links.is_attached(link):
                self._links.attach_tap(link)
            return
        path = Path(self.namespace(link.name, link.uid))
        if not namespaces.exists(path):
            namespaces.make(path)
            self._unused.add(path)
        elif self._links.is_attached(link):
            return
        # Somebody may be at work in a namespace whose link is gone: it gets the link back, not another namespace.
        self._links.attach(link, path)

    async def renew(self, link: Link) -> None:
        """See the protocol. One piece of work on the thread: nobody who looks sees the link gone."""
        with self._own_work:
            await self._on_thread(lambda: self._renew(link))

    def _renew(self, link: Link) -> None:
        path = Path(self.namespace(link.name, link.uid))
        if path not in self._unused:  # a run was in it, or one may have been, before this life
            self._detach(link.name, link.uid, path)
        self._attach(link)
        self._unused.discard(path)

    async def detach(self, name: str, uid: int) -> None:
        """See the protocol."""
        with self._own_work:
            await self._on_thread(lambda: self._detach(name, uid, Path(self.namespace(name, uid))))

    def _detach(self, name: str, uid: int, path: Path) -> None:
        self._links.detach(name, uid)
        namespaces.remove(path)
        self._unused.discard(path)

    async def is_open(self, name: str, uid: int) -> bool:
        """See the protocol."""
        return await self._on_thread(lambda: taps.is_open(self.port_of(name, uid)))

    def namespace(self, name: str, uid: int) -> str:
        """See the protocol."""
        return str(self._directory / f"{name}.{uid}")

    def port_of(self, name: str, uid: int) -> str:
        """See the protocol. The kernel counts there what goes over the link."""
        return port_of(self._owner, name, uid)

    async def drift(self) -> AsyncIterator[Drift]:
        """See the protocol. Woken by the kernel's news of tables, links, their addresses and settings, once our own
        work has rested. Of `route_localnet` it tells nothing: that is seen with the next news."""
        async for _ in kernel_news(TABLES, LINKS, ADDRESSES, SETTINGS, rested=self._own_work.rested):
            await self._heed_overlap()
            yield Drift()

    async def _heed_overlap(self) -> None:
        """The LAN may be another one than when the bridge was made. On the operating system that cannot wait for
        whoever mends what drifted: by then nobody may reach the machine."""
        try:
            async with self._making:
                await self._give_way()
        except DriverError as error:
            log.warning("whether the bridge overlaps the LAN is not known: %s", error.message)

    async def _give_way(self) -> None:
        overlap = await self._on_thread(lambda: self._links.overlap())
        if overlap and overlap != self._overlap:
            log.warning("%s", overlap)
        self._overlap = overlap
        if not overlap or not self._subnet_file:
            return
        if await self._on_thread(lambda: self._links.bridge_is_in_use()):
            with self._own_work:
                await self._on_thread(lambda: self._links.take_down())
                await self._remove_rules(self._bridge)  # they would lead host ports to strangers on the LAN
                # At last: by them whoever comes behind a crash knows that this is due.
                await self._on_thread(lambda: self._links.take_addresses())

    async def obstacles(self) -> tuple[str, ...]:
        """See the protocol."""
        found = [] if _IP_FORWARD.read_text().strip() == "1" else [obstacles.no_forwarding()]
        found.append(await self._on_thread(lambda: self._links.overlap()))
        chains = [
            chain
            for chain in obstacles.filters(await self._nft("-j", "list", "chains"))
            if chain.table != rules.table_of(self._bridge)
        ]
        coming = await self._coming() if chains else ()
        found += [await self._told_of(chain, coming) for chain in chains]
        return tuple(filter(None, found))

    async def _coming(self) -> tuple[Packet, ...]:
        try:
            held = rules.listed_elements(await self._list())
        except DriverError:
            return ()  # there is no table, and no port
        ways = await self._on_thread(lambda: self._links.ways_in())
        return obstacles.coming(self._bridge, rules.mapped(held), ways)

    async def _told_of(self, chain: Chain, coming: tuple[Packet, ...]) -> str:
        try:
            listing = await self._nft("-j", "list", "table", chain.family, chain.table)
        except DriverError as error:  # nft may crash on what somebody else's table holds
            return f"whether chain {chain.name} drops what workloads need is not known: {error.message}"
        return await asyncio.to_thread(obstacles.told, chain, listing, self._bridge, self.subnet, coming)

    # --- nft -----------------------------------------------------------------------------------------------------

    async def _list(self) -> str:
        return await self._table(rules.table_of(self._bridge))

    async def _table(self, name: str) -> str:
        return (await self._nft("-n", "list", "table", "ip", name)).decode()

    async def _remove_rules(self, bridge: str) -> None:
        former = await self._former_table(bridge)
        await self._nft("-f", "-", stdin=rules.removal(bridge, former).encode())

    async def _former_table(self, bridge: str) -> str:
        """The table that an earlier release made for the bridge, if it is there. Another bridge's may have the name."""
        name = rules.former_table_of(bridge)
        if name == rules.table_of(bridge):
            return ""
        try:
            listing = await self._table(name)
        except DriverError:
            return ""
        return name if rules.is_of(listing, bridge) else ""

    async def _nft(self, *arguments: str, stdin: bytes = b"") -> bytes:
        try:
            return await self._command("nft", *arguments, stdin=stdin)
        except Exception as error:
            what = "changed" if stdin else "read"
            raise NetworkFailed(f"the firewall's rules cannot be {what}: {error}") from error
