"""The installer, in place of the daemon: on the LAN, on the console, and watched by PID 1 as the daemon is."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

from capsuled.announcement import Announcement, Subject
from capsuled.boot.answering import answering
from capsuled.boot.bring_up import COMMAND_LINE, booted_of, release_text
from capsuled.boot.console import Console, keep_showing, merged
from capsuled.boot.disks import disk_of, hidden_disks
from capsuled.boot.ground import built_s
from capsuled.boot.hostname import set_hostname
from capsuled.boot.link import InitLink
from capsuled.boot.links import lacking, links
from capsuled.boot.modules import load_or_log
from capsuled.boot.ntp import NetworkTime, bounds_of, servers_of
from capsuled.boot.partitions import table_of
from capsuled.boot.plugged import load_plugged
from capsuled.boot.power import watch_button
from capsuled.boot.storage import booted_from
from capsuled.boot.uplink import Place, Uplink
from capsuled.hostname import own_hostname
from capsuled.identity import Identity, load_or_make
from capsuled.installed import Installed
from capsuled.installer.installation import Installation, Source, Step
from capsuled.installer.screen import screen
from capsuled.installer.server import serving
from capsuled.installer.service import InstallService
from capsuled.installer.targets import Target, targets, viable
from capsuled.lan import reached
from capsuled.layout import Layout
from capsuled.tls import Certificate, load_or_make_certificate
from effects.network.kernel_news import ADDRESSES, LINKS, kernel_news

log = logging.getLogger(__name__)

STATE = Path("/run/capsule/installer")
"""In memory: an installer remembers nothing."""

LOOK_S = 10.0
"""Between two looks at the disks there are."""

ENDS_S = 3.0
"""For the last answer to leave, and for whoever stands before the console to read it."""


async def run(link: InitLink, layout: Layout, stopping: asyncio.Event) -> None:
    """Until `stopping` is set."""
    async with asyncio.TaskGroup() as group:
        installer = group.create_task(_run(link, layout))
        await stopping.wait()
        installer.cancel()


async def _run(link: InitLink, layout: Layout) -> None:
    booted = disk_of(booted_from())
    source = Source(booted, await table_of(booted), booted_of(COMMAND_LINE.read_text()).slot)
    version = release_text()
    identity = load_or_make(layout.identity)
    certificate = load_or_make_certificate(layout.certificate, identity.capsule_id)
    changed = News()

    def ended() -> None:
        asyncio.get_running_loop().call_later(ENDS_S, link.say, "reboot")

    machine = ThisMachine(source, identity, certificate)
    service = InstallService(machine, identity, certificate, changed.tell, ended)
    there = await machine.targets()
    console = Console.found()

    async def look() -> None:
        nonlocal there
        while True:
            await asyncio.sleep(LOOK_S)
            # Whoever installs has the disks to himself.
            if service.progress.step is None:
                there = await machine.targets()
                changed.tell()

    def subject() -> Subject:
        offered = viable(there)
        more = {"targets": ",".join(one.device for one in offered)}
        if offered:
            more |= {"target_disk": offered[0].device, "target_size_bytes": str(offered[0].size_bytes)}
        return Subject(identity, own_hostname(), adopted=False, mode="installer", more=tuple(more.items()))

    async with serving(service, layout, certificate, log.warning) as served, answering(layout.served) as answers:

        def shown() -> str:
            addresses, fingerprint = reached(served), certificate.fingerprint
            return screen(
                identity.short_id, version, addresses, lacking(links(), ""), fingerprint, there, service.progress,
                hidden_disks(),
            )  # fmt: skip

        async with asyncio.TaskGroup() as group:
            group.create_task(link.keep_alive(answers))
            group.create_task(_reach(link, layout))
            group.create_task(look())
            group.create_task(keep_showing(console, shown, merged(kernel_news(ADDRESSES, LINKS), changed.all())))
            group.create_task(Announcement(subject, served, "", changed.all).run())
            link.say("ready")


async def _reach(link: InitLink, layout: Layout) -> None:
    """Drivers, a name, an address, the power button."""
    place = Place(layout.by_hand / "network", layout.state / "uplink", layout.state / "uplink.log")
    uplink = Uplink(place, lambda interface, address, how: None)
    # What is installed begins with the clock that is set here, on the first boot of a machine that had Windows.
    clock = NetworkTime(lambda: servers_of(layout.by_hand / "ntp", uplink.time_servers()), bounds_of(built_s()), _set)
    has_hardware = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(load_plugged(has_hardware))
        await load_or_log(group, partial(link.say, "watchdog"))
        has_hardware.set()
        try:
            hostname = set_hostname(layout.by_hand / "hostname")
        except OSError as error:
            hostname = own_hostname()
            log.error("the machine's name cannot be set: %s", error)
        group.create_task(watch_button(lambda: link.say("poweroff")))
        group.create_task(clock.run(uplink.ready))
        try:
            await uplink.run(hostname)
        except OSError as error:
            log.error("the machine has no uplink: %s", error)


def _set(by_s: float, server: str) -> None:
    """An installer remembers nothing."""


class ThisMachine:
    """That the installer runs on."""

    def __init__(self, source: Source, identity: Identity, certificate: Certificate) -> None:
        self.booted, self.least_bytes = source.disk, source.table.least_bytes
        self._source = source
        self._identity = identity
        self._certificate = certificate

    async def targets(self) -> tuple[Target, ...]:
        """Every disk but the one that booted, now."""
        return await targets(self.booted, self.least_bytes)

    async def install(self, disk: str, installed: Installed, tell: Callable[[Step], None]) -> None:
        """On one of them. Raises InstallFailed."""
        await Installation(self._source, disk, tell).run(self._identity, self._certificate, installed)


class News:
    """Told once, heard by everybody who listens."""

    def __init__(self) -> None:
        self._heard: list[asyncio.Event] = []

    def tell(self) -> None:
        """Something is another than before."""
        for one in self._heard:
            one.set()

    async def all(self) -> AsyncIterator[None]:
        """One item for each time, or for several."""
        mine = asyncio.Event()
        self._heard.append(mine)
        try:
            while True:
                await mine.wait()
                mine.clear()
                yield
        finally:
            self._heard.remove(mine)
