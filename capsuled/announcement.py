"""The capsule makes itself known on the LAN by multicast DNS: `_capsule._tcp.local.`, as docs/security.md describes it.

What is said here is a hint and proves nothing; whoever dials compares fingerprints. An interface has an announcement of
its own, with its own address in it: what one LAN reaches is of no use to another. When addresses or the fact that the
capsule is adopted change, the announcement follows. Multicast that does not work is a line in the log, never more.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

import msgspec
from zeroconf import IPVersion, NonUniqueNameException, Zeroconf
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from capsuled.identity import Identity
from capsuled.lan import Interface, Place, interfaces, places
from effects.network.kernel_news import ADDRESSES, LINKS, kernel_news
from journal.release import RELEASE

log = logging.getLogger(__name__)

SERVICE = "_capsule._tcp.local."


class Subject(msgspec.Struct, frozen=True):
    """What is said of the capsule. `mode` is the contract's: `runtime`, or `installer`, which says `more`."""

    identity: Identity
    hostname: str
    adopted: bool
    mode: str = "runtime"
    more: tuple[tuple[str, str], ...] = ()

    def properties(self) -> dict[str, str]:
        """The TXT record."""
        found = {
            "capsule_id": self.identity.capsule_id,
            "short_id": self.identity.short_id,
            "adopted": "true" if self.adopted else "false",
            "version": RELEASE,
            "mode": self.mode,
        }
        return found | dict(self.more) | ({"hostname": self.hostname} if self.hostname else {})

    def names(self) -> tuple[str, ...]:
        """What the instance may be called, the best first; the last one nobody else has."""
        short = self.identity.short_id
        return (*((self.hostname,) if self.hostname else ()), short, self.identity.capsule_id)

    def service(self, name: str, place: Place) -> AsyncServiceInfo:
        """Of the instance of this name, at this place."""
        return AsyncServiceInfo(
            SERVICE,
            f"{name}.{SERVICE}",
            port=place.port,
            properties=self.properties(),
            server=f"{self.identity.short_id}.local.",
            addresses=[place.at.ip.packed],
        )


class Announcement:
    """`subject` says what is true now, `changes` when it may be another. `served`: HOST:PORT each, as bound."""

    def __init__(
        self,
        subject: Callable[[], Subject],
        served: tuple[str, ...],
        bridge: str,
        changes: Callable[[], AsyncIterator[object]],
        having: Callable[[], tuple[Interface, ...]] = interfaces,
    ) -> None:
        self._subject = subject
        self._served = served
        self._bridge = bridge
        self._changes = changes
        self._having = having
        self._voices: dict[Place, _Voice] = {}
        self._news = asyncio.Event()
        logging.getLogger("zeroconf").setLevel(logging.ERROR)  # whoever is on the LAN could fill the log otherwise

    async def run(self) -> None:
        """Announce, and follow what changes, until cancelled; then say goodbye."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._hear(self._differences()))
                group.create_task(self._hear(kernel_news(ADDRESSES, LINKS)))
                while True:
                    self._news.clear()
                    await self._follow()
                    await self._news.wait()
        finally:
            await asyncio.gather(*(voice.close() for voice in self._voices.values()), return_exceptions=True)

    async def _differences(self) -> AsyncIterator[None]:
        known = self._subject()
        async for _ in self._changes():
            now = self._subject()
            if now != known:
                known = now
                yield

    async def _hear(self, source: AsyncIterator[None]) -> None:
        try:
            async for _ in source:
                self._news.set()
        except OSError as error:
            log.warning("changes of addresses are not heard of: %s. Restart capsuled after one", error)

    async def _follow(self) -> None:
        """Let the announcements be as the machine is. What fails now is tried again at the next change."""
        subject = self._subject()
        try:
            wanted = places(self._served, self._having(), self._bridge)
        except OSError as error:
            log.warning("the machine's addresses cannot be read, the announcement stays as it is: %s", error)
            return
        for place in self._voices.keys() - set(wanted):
            log.info("not announced at %s any more", place)
            await self._voices.pop(place).close()
        for place in wanted:
            try:
                await self._say(place, subject)
            except Exception as error:  # of a library and a network that this daemon does not depend on
                log.warning(
                    "the capsule cannot be announced at %s: %s. It serves all the same; tried again when addresses "
                    "change", place, str(error) or type(error).__name__,
                )  # fmt: skip

    async def _say(self, place: Place, subject: Subject) -> None:
        voice = self._voices.get(place)
        if voice is not None:
            await voice.correct(subject)
            return
        voice = _Voice.opened(place)
        try:
            await voice.say(subject)
        except BaseException:
            await voice.close()
            raise
        self._voices[place] = voice
        log.info("announced at %s as %s", place, voice.name)


class _Lan(Zeroconf):
    """Multicast DNS on one interface.

    Linux hands a query that came by another interface to this one's socket, too. A unicast answer to it would name an
    address that the asker may not reach. (IP_MULTICAST_ALL is no way out: where it leaves one socket of several that
    share the port, kernel 6.18 hands the packet to any of them.)
    """

    def __init__(self, at: IPv4Interface) -> None:
        self._at = at
        super().__init__(interfaces=[str(at.ip)], ip_version=IPVersion.V4Only)

    def async_send(self, out: Any, addr: str | None = None, *arguments: Any, **named: Any) -> None:
        """See the library's."""
        if addr is None or IPv4Address(addr) in self._at.network:
            super().async_send(out, addr, *arguments, **named)


class _Voice:
    """An announcement on one interface."""

    def __init__(self, place: Place, zeroconf: AsyncZeroconf) -> None:
        self._place = place
        self._zeroconf = zeroconf
        self._said: Subject | None = None
        self.name = ""

    @classmethod
    def opened(cls, place: Place) -> "_Voice":
        """Raises OSError and the library's own."""
        return cls(place, AsyncZeroconf(zc=_Lan(place.at)))

    async def say(self, subject: Subject) -> None:
        """Take the first name that nobody else has, and answer from now on."""
        *candidates, last = subject.names()
        for name in candidates:
            try:
                await self._register(subject, name)
            except NonUniqueNameException:
                if not self._is_ours(name, subject):
                    continue
                await self._register(subject, name, probe=False)
            return
        await self._register(subject, last, probe=False)

    def _is_ours(self, name: str, subject: Subject) -> bool:
        """Whether who answers to this name is this capsule, on another interface of the same LAN."""
        other = AsyncServiceInfo(SERVICE, f"{name}.{SERVICE}")
        found = other.load_from_cache(self._zeroconf.zeroconf)
        return found and other.decoded_properties.get("capsule_id") == subject.identity.capsule_id

    async def _register(self, subject: Subject, name: str, probe: bool = True) -> None:
        info = subject.service(name, self._place)
        told = await self._zeroconf.async_register_service(info, cooperating_responders=not probe, strict=False)
        self.name, self._said = name, subject
        await told

    async def correct(self, subject: Subject) -> None:
        """Say what has changed, if anything has."""
        if self._said is not None and subject != self._said:
            told = await self._zeroconf.async_update_service(subject.service(self.name, self._place))
            self._said = subject
            await told

    async def close(self) -> None:
        """Say goodbye."""
        await self._zeroconf.async_close()
