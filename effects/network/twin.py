"""The simulated twin of the network: bridge, rules and links of a world in memory."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from effects.errors import NetworkForeign, NetworkMissing
from effects.network.own_work import OwnWork
from effects.network.protocol import Drift, Link
from projections.network import Mapping

Step = Callable[[str], Awaitable[None]]
REST_S = 0.05
"""So long news waits for the twin's own work to be told of: it costs nobody anything, and is short."""


class Cables:
    """The part of the world that is network. `foreign`: the bridge's name is somebody else's; `bare`: it has lost its
    address. `opened`: the TAPs that monitors have open, as long as these are the ones that they opened. `marked`: the
    namespaces that a run left its mark in, as long as these are the ones that it was in. `post` brings news to who
    listens: at once and once, unless a test knows better."""

    def __init__(self) -> None:
        self.rules: tuple[Mapping, ...] | None = None
        self.links: dict[tuple[str, int], Link] = {}
        self.opened: set[tuple[str, int]] = set()
        self.marked: set[tuple[str, int]] = set()
        self.foreign = False
        self.bare = False
        self.post: Callable[[Callable[[], None]], None] = lambda put: put()
        self._listeners: list[asyncio.Queue[Drift]] = []

    def listen(self) -> "asyncio.Queue[Drift]":
        """A queue of changes."""
        queue: asyncio.Queue[Drift] = asyncio.Queue()
        self._listeners.append(queue)
        return queue

    def changed(self) -> None:
        """Tell whoever listens."""
        for listener in self._listeners:
            self.post(partial(listener.put_nowait, Drift()))

    def flush(self) -> None:
        """Another hand's `nft flush ruleset`."""
        self.rules = None
        self.changed()

    def occupy(self) -> None:
        """Another hand's `ip link delete br0`, and a bridge of its own in that place: ours, if there was one, has left
        its ports. Who has a TAP open still has it."""
        self.foreign = True
        self.links.clear()
        self.changed()

    def strip(self) -> None:
        """Another hand's `ip address flush dev br0`."""
        self.bare = True
        self.changed()

    def cut(self, link: tuple[str, int]) -> None:
        """Another hand's `ip link delete`."""
        self.links.pop(link, None)
        self.opened.discard(link)
        self.changed()

    def open(self, link: tuple[str, int]) -> None:
        """A monitor begins, and has the TAP that there is."""
        if link in self.links:
            self.opened.add(link)

    def lose_power(self) -> None:
        """Nothing of it outlives a boot."""
        self.rules, self.bare = None, False
        self.links.clear()
        self.opened.clear()
        self.marked.clear()
        self._listeners.clear()


class TwinNetwork:
    """A driver on a world. See the protocol."""

    subnet = "172.20.254.0/24"
    nameserver = "172.20.254.1"

    def __init__(self, cables: Cables, step: Step) -> None:
        self._cables = cables
        self._step = step
        self._own_work = OwnWork(REST_S)

    async def observe(self) -> tuple[Link, ...]:
        """See the protocol."""
        await self._step("observe network")
        return tuple(self._cables.links.values())

    async def holds(self, mappings: tuple[Mapping, ...]) -> bool:
        """See the protocol."""
        await self._step("compare rules")
        return self._cables.rules == mappings and not self._cables.bare and not self._cables.foreign

    async def ensure(self, mappings: tuple[Mapping, ...]) -> None:
        """See the protocol."""
        with self._own_work:
            await self._step("ensure network")
            if self._cables.foreign:
                raise NetworkForeign("br0 belongs to somebody else")
            self._cables.rules, self._cables.bare = mappings, False
            self._cables.changed()
            await self._step("network ensured")

    async def clear(self) -> None:
        """See the protocol."""
        with self._own_work:
            await self._step("clear network")
            self._cables.links.clear()
            self._cables.opened.clear()
            self._cables.marked.clear()
            self._cables.rules, self._cables.bare = None, False
            await self._step("network cleared")

    async def attach(self, link: Link) -> None:
        """See the protocol."""
        with self._own_work:
            await self._step("attach")
            if self._cables.foreign:
                raise NetworkForeign("br0 belongs to somebody else")
            if self._cables.rules is None:
                raise NetworkMissing("there is no bridge")
            self._cables.links[link.name, link.uid] = link
            await self._step("attached")

    async def renew(self, link: Link) -> None:
        """See the protocol."""
        self._cables.marked.discard((link.name, link.uid))
        await self.attach(link)

    async def detach(self, name: str, uid: int) -> None:
        """See the protocol."""
        with self._own_work:
            await self._step("detach")
            self._cables.links.pop((name, uid), None)
            self._cables.opened.discard((name, uid))
            self._cables.marked.discard((name, uid))
            await self._step("detached")

    async def is_open(self, name: str, uid: int) -> bool:
        """See the protocol."""
        return (name, uid) in self._cables.opened

    def namespace(self, name: str, uid: int) -> str:
        """See the protocol."""
        return f"/netns/{name}.{uid}"

    def port_of(self, name: str, uid: int) -> str:
        """See the protocol."""
        return f"port.{name}.{uid}"

    async def obstacles(self) -> tuple[str, ...]:
        """See the protocol."""
        await self._step("look for obstacles")
        return ()

    async def drift(self) -> AsyncIterator[Drift]:
        """See the protocol."""
        queue = self._cables.listen()
        while True:
            news = await queue.get()
            await self._own_work.rested()
            yield news
