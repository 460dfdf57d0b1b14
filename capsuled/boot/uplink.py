"""The way to the LAN: the first interface that has a link, by DHCP or as the operator wrote it down.

DHCP is busybox's client, kept running: it asks, renews, and tells a script of ours, which sets address and route and
notes the lease. It asks for the address that it had last, whichever slot booted. What an operator wrote is kept there
(fixed.py). When the cable goes to another interface, the uplink goes with it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from capsuled.boot.fixed import Fixed
from capsuled.boot.lease import Lease, Static, told, written
from capsuled.boot.links import Link, chosen, lacking, links
from capsuled.logs.growth import Growth
from capsuled.logs.plain import PlainLog
from capsuled.processes import CommandFailed, run, supervise
from effects.network.kernel_news import ADDRESSES, LINKS, ROUTES, kernel_news
from journal.durable import write_durably

log = logging.getLogger(__name__)

SCRIPT = "/capsule/uplink"
RUN = Path("/run/capsule/uplink")
"""Where the script notes leases; it names the place, too."""

LOG_BYTES = 1 << 20
"""Without a server on the LAN the client says so several times a minute, for ever."""

LOOPBACK = "lo"
ABSENT_S = 10.0
"""So long the drivers may take to find the interface that an operator named."""

FIRST_PAUSE_S, CAP_PAUSE_S = 1.0, 60.0
"""Before a client that could not be started is tried again."""


class Place(msgspec.Struct, frozen=True):
    """What an operator wrote, and what is remembered of the last leases."""

    written: Path
    remembered: Path
    log: Path


class Uplink:
    """`changed` is told the interface, its address and how it came by that, whenever any is another one."""

    def __init__(self, place: Place, changed: Callable[[str, str, str], None]) -> None:
        self._place = place
        self._hostname = ""
        self._changed = changed
        self._card: Link | None = None
        self._lease: Lease | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._fixed: Fixed | None = None
        self._up = asyncio.Event()
        self.problem = ""
        self._absent = ""
        self._unasked = ""

    async def ready(self) -> None:
        """Return once there is an address."""
        await self._up.wait()

    def time_servers(self) -> tuple[str, ...]:
        """Those that came with the lease."""
        return self._lease.ntp if self._lease is not None and self._fixed is None else ()

    def own_time_servers(self) -> tuple[str, ...]:
        """Those that the operator wrote beside the address."""
        return self._lease.ntp if self._lease is not None and self._fixed is not None else ()

    async def warnings(self) -> tuple[str, ...]:
        """What an operator should know of now."""
        return tuple(filter(None, (self.problem, self._absent, self._unasked, self._unset())))

    def _unset(self) -> str:
        if self._fixed is None or not self._fixed.problem:
            return ""
        return (
            f"the uplink cannot be set up as {self._place.written} says: {self._fixed.problem}. It is tried again by "
            "itself; if it stays so, correct the file, and start the machine anew"
        )

    def unreached(self) -> str:
        """Why there is no address."""
        return self._unset() or lacking(links(), self._interface)

    @property
    def _interface(self) -> str:
        return "" if self._card is None else self._card.name

    async def run(self, hostname: str) -> None:
        """Until cancelled; `hostname` is told to the DHCP server. Raises OSError where the kernel tells no news of
        links."""
        RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._hostname = hostname
        static = self._static()
        news = kernel_news(LINKS, ADDRESSES, ROUTES)
        try:
            await self._until_there("" if static is None else static.interface)
            await self._follow(static)
            async for _ in news:
                await self._follow(static)
        finally:
            await news.aclose()  # type: ignore[attr-defined]
            await self._let_go()

    def _static(self) -> Static | None:
        try:
            return written(self._place.written.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self.problem = f"{self._place.written} is not used, the uplink asks by DHCP: {error}"
            log.warning("%s", self.problem)
            return None

    async def _until_there(self, interface: str) -> None:
        """The interface is there, or it takes too long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ABSENT_S), contextlib.aclosing(kernel_news(LINKS)) as news:  # type: ignore[type-var]
                while interface and all(link.name != interface for link in links()):
                    await anext(news)

    def _present(self, static: Static | None) -> Static | None:
        """What was written, as long as its interface is there. Cards may be counted otherwise once another one is in,
        or by another kernel: a machine that nobody reaches is worse than one with another address."""
        names = [link.name for link in links()]
        if static is None or not static.interface or static.interface in names:
            self._absent = ""
            return static
        self._absent = (
            f"{self._place.written} is not used, the uplink asks by DHCP: it names {static.interface}, and this "
            f"machine has {', '.join(names) or 'no network card'}"
        )
        return None

    async def _follow(self, asked: Static | None) -> None:
        brought_up = await bring_up()
        static = self._present(asked)
        having = links()
        wanted = chosen(having, self._interface, static.interface if static is not None else "")
        before, self._card = self._card, next((link for link in having if link.name == wanted), None)
        # Behind the cable there may be another LAN, and a client that holds a lease asks when half of it is over. And
        # whoever set the card down took its routes.
        had_none = (before is not None and not before.carrier) or wanted in brought_up
        if _which(self._card) != _which(before):
            await self._go_over(before, static)
        elif self._fixed is not None:
            self._fixed.look()
        elif self._card is not None and self._card.carrier and had_none:
            log.info("%s has a link again: the address is asked for anew", wanted)
            await self._let_go()
            self._ask_for(wanted)
        if self._fixed is None:
            lease = told(RUN / f"{wanted}.lease") if wanted else None
            if lease != self._lease:
                self._take(wanted, lease)

    async def _go_over(self, before: Link | None, static: Static | None) -> None:
        """To another card, also one that was registered anew under the name of its former self, or to none."""
        card = self._card
        await self._let_go()
        self._take("", None)
        left = {file.stem for file in RUN.glob("*.lease")} - {self._interface}
        for one in sorted(left if before is None else left | {before.name}):
            await leave(one, RUN)
        if card is None:
            log.warning("no interface has a link: the machine is on no LAN")
        elif static is None:
            self._ask_for(card.name)
        else:
            self._fixed = Fixed(card.name, static.lease, partial(self._is_there, card.name, static.lease))
            self._keeping = asyncio.create_task(self._fixed.keep(), name=f"uplink {card.name}")

    def _ask_for(self, interface: str) -> None:
        self._keeping = asyncio.create_task(self._keep_asking(interface), name=f"uplink {interface}")

    def _is_there(self, interface: str, lease: Lease) -> None:
        if lease != self._lease:
            self._take(interface, lease)

    def _take(self, interface: str, lease: Lease | None) -> None:
        self._lease = lease
        if lease is None:
            self._up.clear()
            return
        self._up.set()
        how = "dhcp" if self._fixed is None else "static"
        log.info("uplink %s has %s by %s", interface, lease.address, how)
        text, known = f"{interface} {lease.address} {how}\n", RUN / "told"
        # A daemon that was started again finds the machine where it was: that is no news.
        try:
            if not known.exists() or known.read_text() != text:
                self._changed(interface, str(lease.address), how)
                known.write_text(text)
        except OSError as error:
            log.warning("the next start of the daemon will take the address for another one: %s", error)
        if self._fixed is None:
            try:
                self._place.remembered.mkdir(mode=0o700, exist_ok=True)
                write_durably(self._place.remembered / interface, f"{lease.address.ip}\n".encode())
            except OSError as error:
                log.warning("the address is not remembered for the next boot: %s", error)

    async def _keep_asking(self, interface: str) -> None:
        """Nobody else renews the lease: what keeps the client from starting, as memory that is full, may go."""
        loop, pause_s = asyncio.get_running_loop(), FIRST_PAUSE_S
        async with asyncio.TaskGroup() as group:
            while True:
                began, self._unasked = loop.time(), ""
                try:
                    await self._ask(interface, group)
                except (OSError, RuntimeError) as error:  # no process for it, or no thread that waits for its end
                    self._unasked = (
                        f"nobody asks for the address of {interface}, nor renews it: the DHCP client cannot be started "
                        f"({error}). It is tried again by itself; if it stays so, free memory, or start the machine "
                        "anew"
                    )
                    log.warning("%s", self._unasked)
                if loop.time() - began > CAP_PAUSE_S:
                    pause_s = FIRST_PAUSE_S
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, CAP_PAUSE_S)

    async def _ask(self, interface: str, group: asyncio.TaskGroup) -> None:
        """Each client begins by taking the address off. The script is told to let it be: it is good for as long as it
        was leased, whichever client asked, and the next one may find no server for a while."""
        command = ["busybox", "udhcpc", "-f", "-i", interface, "-s", SCRIPT, "-x", f"hostname:{self._hostname}"]
        command += ["-O", "ntpsrv", "-t", "4", "-T", "2", "-A", "8", "-S"]
        try:
            command += ["-r", (self._place.remembered / interface).read_text().strip()]
        except OSError:
            pass  # it never had one
        with contextlib.closing(Growth()) as growth, contextlib.closing(self._log(growth, group)) as said:
            await supervise(command, said.path, before=(RUN / f"{interface}.starting").touch)

    def _log(self, growth: Growth, group: asyncio.TaskGroup) -> PlainLog:
        """What the client says, held to a bound; below /run where the disk takes no file."""
        try:
            return PlainLog(growth, group, self._place.log, LOG_BYTES)
        except OSError:
            return PlainLog(growth, group, RUN / "uplink.log", LOG_BYTES)

    async def _let_go(self) -> None:
        """The address stays where it is: a daemon that ends keeps its machine on the LAN."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
            self._keeping = None
        self._fixed = None
        self._unasked = ""


def _which(card: Link | None) -> tuple[str, int] | None:
    return None if card is None else (card.name, card.index)


async def bring_up() -> set[str]:
    """Those that were down. Only an interface that is up knows whether it has a link; and nobody else brings up the
    loopback one: without it what this machine asks of itself goes out by the uplink, and nobody answers."""
    done = set[str]()
    for name in (LOOPBACK, *(link.name for link in links())):
        flags = Path(f"/sys/class/net/{name}/flags")
        try:
            if not int(flags.read_text(), 16) & 1:
                await run("ip", "link", "set", name, "up")
                done.add(name)
        except (CommandFailed, OSError) as error:
            log.warning("%s cannot be brought up: %s", name, error)
    return done


async def leave(interface: str, noted: Path) -> None:
    """It is the uplink no more, so its address and its lease go: while it has that address, the LAN's route leads into
    it, with a cable or without."""
    (noted / f"{interface}.lease").unlink(missing_ok=True)
    try:
        await run("ip", "-4", "address", "flush", "dev", interface, "scope", "global")
    except (CommandFailed, OSError) as error:
        log.warning("%s, which is the uplink no more, keeps its address: %s", interface, error)
