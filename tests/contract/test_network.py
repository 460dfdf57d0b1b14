"""The contract of a driver of the network, on the twin and on a bridge of the kernel's: what the simulation relies on."""

import asyncio
import functools
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from capsuled.processes import CommandFailed, run
from effects.errors import NetworkFailed, NetworkForeign, NetworkMissing
from effects.network import namespaces, rules, taps
from effects.network.linux_driver import LinuxNetwork
from effects.network.protocol import Link, LinkKind, NetworkDriver
from effects.network.twin import Cables, TwinNetwork
from projections.network import Mapping
from tests.support.site import Site, site
from tests.support.tap_guest import guest

WEB, DB = Link("web", 7, "172.20.254.2"), Link("db", 8, "172.20.254.3")
MONITOR = 64_007
"""The uid that may open a TAP."""
HTTP = Mapping("tcp", 8080, "", WEB.address, 80)
DNS = Mapping("udp", 5353, "192.0.2.1", DB.address, 53)


class Subject(NamedTuple):
    """A driver, and another hand: it flushes the rules, takes the bridge's name, cuts a link, leaves one half made.
    `open` is a monitor's, of a TAP, and returns how it lets go."""

    driver: NetworkDriver
    flush: Callable[[], Awaitable[object]]
    strip: Callable[[], Awaitable[object]]
    occupy: Callable[[], Awaitable[object]]
    is_occupied: Callable[[], Awaitable[bool]]
    cut: Callable[[Link], Awaitable[object]]
    spoil: Callable[[Link], Awaitable[object]]
    open: Callable[[Link], Callable[[], object]]
    web: Link = WEB
    db: Link = DB


Suite = Callable[[Subject], Awaitable[None]]


def of_kind(kind: LinkKind) -> tuple[Link, Link]:
    return replace(WEB, kind=kind), replace(DB, kind=kind)


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


async def _on_twin(suite: Suite, kind: LinkKind) -> None:
    cables = Cables()

    async def flush() -> None:
        cables.flush()

    async def strip() -> None:
        cables.strip()

    async def occupy() -> None:
        cables.occupy()

    async def is_occupied() -> bool:
        return cables.foreign

    async def cut(link: Link) -> None:
        cables.cut((link.name, link.uid))

    def opened(link: Link) -> Callable[[], object]:
        key = link.name, link.uid
        cables.opened.add(key)
        return lambda: cables.opened.discard(key)

    await suite(
        Subject(TwinNetwork(cables, _no_step), flush, strip, occupy, is_occupied, cut, cut, opened, *of_kind(kind))
    )


async def _on_linux(suite: Suite, directory: Path, kind: LinkKind) -> None:
    driver = LinuxNetwork(run, directory, "br0", "172.20.254.0/24", "ffee-test", lambda name, uid: MONITOR)

    async def port(link: Link) -> str:
        listing = json.loads(await run("ip", "-j", "link"))
        text = f"capsule {link.name}.{link.uid} "
        return str(next(one["ifname"] for one in listing if one.get("ifalias", "").startswith(text)))

    async def strip() -> object:
        return await run("ip", "address", "flush", "dev", "br0")

    async def occupy() -> object:
        if await is_occupied():
            await run("ip", "link", "delete", "br0")
        return await run("ip", "link", "add", "br0", "type", "bridge")

    async def is_occupied() -> bool:
        return "br0" in [one["ifname"] for one in json.loads(await run("ip", "-j", "link"))]

    async def cut(link: Link) -> object:
        return await run("ip", "link", "delete", await port(link))

    async def spoil(link: Link) -> object:
        # As a crash before the last step leaves it: the link is there, and does not say whose it is.
        return await run("ip", "link", "set", await port(link), "alias", "")

    def opened(link: Link) -> Callable[[], object]:
        fd = taps.opened(driver.port_of(link.name, link.uid))
        return lambda: os.close(fd)

    flush = functools.partial(run, "nft", "flush", "ruleset")
    try:
        await suite(Subject(driver, flush, strip, occupy, is_occupied, cut, spoil, opened, *of_kind(kind)))
    finally:
        await driver.close()


@pytest.fixture(params=["twin", pytest.param("linux", marks=pytest.mark.real)])
def on_each(request: pytest.FixtureRequest) -> Callable[[Suite, LinkKind], None]:
    """Runs a suite on the twin or the real driver, with links of a kind; the real one on a machine of its own."""

    def on_twin(suite: Suite, kind: LinkKind) -> None:
        asyncio.run(_on_twin(suite, kind))

    def on_linux(suite: Suite, kind: LinkKind) -> None:
        directory = Path(tempfile.mkdtemp(prefix="capsule-netns-"))
        try:
            with site() as machine:
                machine.on_thread(lambda: asyncio.run(_on_linux(suite, directory, kind)))
        finally:
            shutil.rmtree(directory)

    return on_twin if request.param == "twin" else on_linux


async def _rules(subject: Subject) -> None:
    driver = subject.driver
    assert not await driver.holds(())
    for mappings in ((), (HTTP,), (HTTP, DNS), (HTTP, DNS), (DNS,)):
        await driver.ensure(mappings)
        assert await driver.holds(mappings)
        assert not await driver.holds((*mappings, Mapping("tcp", 1, "", subject.db.address, 1)))
    await driver.clear()
    await driver.clear()
    assert not await driver.holds((DNS,)) and not await driver.holds(())


async def _links(subject: Subject) -> None:
    driver = subject.driver
    with pytest.raises(NetworkMissing):
        await driver.attach(subject.web)
    await driver.ensure(())
    for link in (subject.web, subject.db, subject.web):
        await driver.attach(link)
    assert sorted(await driver.observe(), key=lambda link: link.name) == [subject.db, subject.web]
    assert await driver.holds(())
    moved = replace(subject.web, address="172.20.254.9")
    await driver.attach(moved)
    assert moved in await driver.observe() and subject.web not in await driver.observe()
    for name, uid in ((subject.db.name, subject.db.uid), (subject.db.name, subject.db.uid), ("never", 99)):
        await driver.detach(name, uid)
    assert await driver.observe() == (moved,)
    await driver.clear()
    assert await driver.observe() == ()


async def _incarnations(subject: Subject) -> None:
    driver = subject.driver
    await driver.ensure(())
    again = replace(subject.web, uid=70, address=subject.db.address)
    await driver.attach(subject.web)
    await driver.attach(again)
    assert sorted(await driver.observe(), key=lambda link: link.uid) == [subject.web, again]
    assert driver.namespace(subject.web.name, subject.web.uid) != driver.namespace(again.name, again.uid)
    await driver.detach(subject.web.name, subject.web.uid)
    assert await driver.observe() == (again,)
    await driver.clear()


async def _applied_together(subject: Subject) -> None:
    driver = subject.driver
    await driver.ensure(())
    # A uid is the number of the entry: they share it.
    both = (replace(subject.web, name="a"), replace(subject.db, name="b", uid=7))
    for link in both:
        await driver.attach(link)
    assert sorted(await driver.observe(), key=lambda link: link.name) == list(both)
    await driver.detach("a", 7)
    assert await driver.observe() == both[1:]
    await driver.clear()


async def _half_made(subject: Subject) -> None:
    driver = subject.driver
    await driver.ensure((HTTP,))
    for harm in (subject.spoil, subject.cut):
        await driver.attach(subject.web)
        await driver.attach(subject.db)
        await harm(subject.web)
        assert await driver.observe() == (subject.db,)
        await driver.attach(subject.web)
        assert sorted(await driver.observe(), key=lambda link: link.name) == [subject.db, subject.web]
    await driver.clear()


async def _foreign(subject: Subject) -> None:
    await subject.occupy()
    assert not await subject.driver.holds(())
    with pytest.raises(NetworkForeign) as told:
        await subject.driver.ensure((HTTP,))
    assert "br0" in told.value.message
    await subject.driver.clear()
    assert await subject.is_occupied(), "it is not ours to remove"


async def _taken_over(subject: Subject) -> None:
    """Another hand makes a bridge of its own where ours was: nobody is led there, and what is ours can still go."""
    driver = subject.driver
    await driver.ensure((HTTP,))
    await driver.attach(subject.web)
    drifts = driver.drift()
    heard = asyncio.ensure_future(anext(drifts))
    await asyncio.sleep(0)
    await subject.occupy()
    async with asyncio.timeout(10):
        await heard
    assert not await driver.holds((HTTP,)) and await driver.observe() == ()
    for link in (subject.web, subject.db):
        with pytest.raises(NetworkForeign):
            await driver.attach(link)
    assert await driver.observe() == ()
    with pytest.raises(NetworkForeign):
        await driver.ensure((HTTP,))
    await driver.clear()
    assert await subject.is_occupied() and await driver.observe() == ()


async def _drift(subject: Subject) -> None:
    driver = subject.driver
    await driver.ensure((HTTP,))
    await driver.attach(subject.web)
    drifts = driver.drift()

    async def told_of(harm: Awaitable[object]) -> None:
        heard = asyncio.ensure_future(anext(drifts))
        await asyncio.sleep(0)
        await harm
        async with asyncio.timeout(10):
            await heard

    await told_of(subject.flush())
    assert not await driver.holds((HTTP,)) and await driver.observe() == (subject.web,)
    await driver.ensure((HTTP,))
    assert await driver.holds((HTTP,))
    await told_of(subject.strip())
    assert not await driver.holds((HTTP,)), "the bridge has no address"
    await driver.ensure((HTTP,))
    assert await driver.holds((HTTP,))
    await told_of(subject.cut(subject.web))
    assert await driver.observe() == ()
    await driver.clear()


async def _own_work(subject: Subject) -> None:
    """What it does itself, for longer than a burst of changes lasts, is no news; another hand's change after it is."""
    driver = subject.driver
    await driver.ensure((HTTP,))
    drifts = driver.drift()
    heard = asyncio.ensure_future(anext(drifts))
    await asyncio.sleep(0)
    for _ in range(6):
        await driver.attach(subject.web)
        await driver.detach(subject.web.name, subject.web.uid)
        await asyncio.sleep(0.1)
    assert not heard.done(), "a look beside its own work"
    await subject.flush()
    async with asyncio.timeout(10):
        await heard
    await driver.clear()


async def _opened_by_a_monitor(subject: Subject) -> None:
    driver, key = subject.driver, (subject.web.name, subject.web.uid)
    await driver.ensure(())
    await driver.attach(subject.web)
    assert not await driver.is_open(*key)
    let_go = subject.open(subject.web)
    await driver.attach(subject.web)
    assert await driver.is_open(*key)
    await subject.cut(subject.web)
    await driver.attach(subject.web)
    assert not await driver.is_open(*key), "its monitor has one that leads nowhere"
    let_go()
    let_go = subject.open(subject.web)
    assert await driver.is_open(*key)
    let_go()
    assert not await driver.is_open(*key)
    await driver.clear()


_WITH_LINKS = (_links, _incarnations, _applied_together, _half_made, _taken_over, _drift, _own_work)


@pytest.mark.parametrize(
    ("suite", "kind"),
    [
        *((suite, "veth") for suite in (_rules, _foreign)),
        *((suite, "veth") for suite in _WITH_LINKS),
        *((suite, "tap") for suite in (*_WITH_LINKS, _opened_by_a_monitor)),
    ],
)
def test_it_keeps_the_contract(on_each: Callable[[Suite, LinkKind], None], suite: Suite, kind: LinkKind) -> None:
    on_each(suite, kind)


_AS_UFW = b"""
table ip filter {
  chain ufw-user-input { }
  chain ufw-not-local { fib daddr type local return; limit rate 3/minute log; drop; }
  chain ufw-before-input { iifname lo accept; ct state { established, related } accept; jump ufw-not-local; \
    jump ufw-user-input; }
  chain INPUT { type filter hook input priority 0; policy drop; jump ufw-before-input; }
}
"""
"""Its `default deny incoming`, abridged."""
_AS_FIREWALLD = b"""
table inet firewalld {
  chain trusted { accept; }
  chain public { tcp dport 22 accept; reject with icmpx admin-prohibited; }
  chain filter_INPUT_ZONES { goto public; }
  chain filter_FORWARD_ZONES { goto public; }
  chain filter_INPUT { type filter hook input priority 10; policy accept; \
    ct state { established, related } accept; ct status dnat accept; iifname lo accept; ct state invalid drop; \
    jump filter_INPUT_ZONES; reject with icmpx admin-prohibited; }
  chain filter_FORWARD { type filter hook forward priority 10; policy accept; \
    ct state { established, related } accept; ct status dnat accept; iifname lo accept; ct state invalid drop; \
    jump filter_FORWARD_ZONES; reject with icmpx admin-prohibited; }
}
"""
"""Its zones, abridged: who is in none is in public."""


@pytest.mark.real
def test_what_stands_in_the_way_is_told_until_it_does_not() -> None:
    async def look(directory: Path) -> None:
        driver = LinuxNetwork(run, directory, "br0", "172.20.254.0/24", "ffee-test")
        await run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        (told,) = await driver.obstacles()
        assert "net.ipv4.ip_forward is 0" in told
        await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        assert await driver.obstacles() == ()
        wall = b"table inet wall { chain in { type filter hook forward priority 0; policy drop; }; }"
        await run("nft", "-f", "-", stdin=wall)
        (told,) = await driver.obstacles()
        assert "chain in of nft table inet wall has policy drop" in told and "what is forwarded" in told
        await run("nft", "add rule inet wall in iifname br0 accept")
        assert await driver.obstacles() == ()
        await driver.ensure((HTTP,))
        assert await driver.obstacles() == (), "its own rules are none"
        await run(
            "nft",
            "-f",
            "-",
            stdin=b"table ip6 filter { chain f { type filter hook forward priority 0; policy drop; }; }",
        )
        assert await driver.obstacles() == (), "IPv6 is not the bridge's"
        await run("nft", "-f", "-", stdin=_AS_UFW)
        (told,) = await driver.obstacles()
        assert "chain INPUT of nft table ip filter has policy drop" in told and "name server" in told
        assert "port 53, udp and tcp" in told and "`ufw allow in on br0 to any port 53`" in told
        await run("nft", "add rule ip filter ufw-user-input iifname br0 udp dport 53 accept")
        assert len(await driver.obstacles()) == 1, "large answers come by tcp"
        await run("nft", "add rule ip filter ufw-user-input iifname br0 tcp dport 53 accept")
        assert await driver.obstacles() == ()
        await run("nft", "-f", "-", stdin=_AS_FIREWALLD)
        both = await driver.obstacles()
        assert ["what is forwarded" in told for told in both] == [False, True]
        for told in both:
            assert "of nft table inet firewalld has a rule that drops or rejects the rest" in told
            assert "`firewall-cmd --permanent --zone=trusted --add-interface=br0 && firewall-cmd --reload`" in told
        for hook in ("INPUT", "FORWARD"):
            await run("nft", f"insert rule inet firewalld filter_{hook}_ZONES iifname br0 goto trusted")
        assert await driver.obstacles() == ()
        await driver.clear()
        await driver.close()

        async def crashing(*argv: str, stdin: bytes = b"") -> bytes:
            if argv[1:4] == ("-j", "list", "table"):
                raise CommandFailed("`nft -j list table`: killed by SIGSEGV")
            return await run(*argv, stdin=stdin)

        driver = LinuxNetwork(crashing, directory, "br0", "172.20.254.0/24", "ffee-test")
        await run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        first, *others = await driver.obstacles()
        assert "ip_forward" in first and len(others) == 4
        assert all("is not known: the firewall's rules cannot be read: `nft" in told for told in others)
        await driver.close()

    with site() as machine, tempfile.TemporaryDirectory(prefix="capsule-netns-") as directory:
        machine.on_thread(lambda: asyncio.run(look(Path(directory))))


def _advertise_a_router(namespace: Path) -> None:
    """As whoever has NET_RAW can: its own address for the way out, and a prefix to make one's own address of."""
    with namespaces.Inside(namespace):
        subprocess.run(["ip", "address", "replace", "fe80::bad/64", "dev", "eth0", "nodad"], check=True)
        with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as rogue:
            rogue.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
            eth0 = socket.if_nametoindex("eth0")
            rogue.bind(("fe80::bad", 0, 0, eth0))
            prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, 3600, 3600, 0, bytes.fromhex("20010db8" + "0" * 24))
            rogue.sendto(struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, ("ff02::1", 0, 0, eth0))


async def _was_led_astray(within_s: float = 1) -> bool:
    """Whether the machine has an IPv6 way out, or becomes one."""
    for _ in range(int(within_s * 10)):
        if b"via fe80::bad" in await run("ip", "-6", "route", "show", "default"):
            return True
        await asyncio.sleep(0.1)
    return False


@pytest.mark.real
@pytest.mark.parametrize("kind", ["veth", "tap"])
def test_no_workload_becomes_the_machines_router_nor_its_neighbours(kind: LinkKind) -> None:
    rogue, db = of_kind(kind)[0], DB

    async def look(directory: Path) -> None:
        driver = LinuxNetwork(run, directory, "br0", "172.20.254.0/24", "ffee-test")
        await driver.ensure(())
        for link in (rogue, db):
            await driver.attach(link)
        port, there = driver.port_of(rogue.name, rogue.uid), Path(driver.namespace(rogue.name, rogue.uid))
        beside = Path(driver.namespace(db.name, db.uid))

        async def advertise() -> None:
            await asyncio.to_thread(_advertise_a_router, there)

        async def from_everywhere() -> None:
            await advertise()
            assert not await _was_led_astray(), "by the bridge"
            told = await run("nsenter", f"--net={beside}", "ip", "-6", "route", "show", "default")
            assert told == b"", "a container is a neighbour"
            await run("ip", "link", "set", port, "nomaster")
            await advertise()
            assert not await _was_led_astray(), "by a port that another hand pulled out of the bridge"
            await driver.attach(rogue)
            await run("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=0")
            assert not await driver.holds(()), "IPv6 is on, on every link"
            await advertise()
            assert not await _was_led_astray(), "until that is mended"
            await driver.ensure(())
            assert await driver.holds(())
            # As an earlier release left them, and then somebody pulls at a port.
            await run("ip", "link", "set", port, "nomaster")
            for name in ("br0", port):
                await run("sysctl", "-qw", f"net/ipv6/conf/{name}/disable_ipv6=0", f"net/ipv6/conf/{name}/accept_ra=1")
            await advertise()
            assert await _was_led_astray(5), "what this test sends leads nobody astray: it proves nothing"
            await driver.ensure(())
            assert not await _was_led_astray(), "and is not any more"

        if kind == "tap":
            guest_of = functools.partial(guest, port, there, rogue.address, driver.nameserver)
            await asyncio.to_thread(_during, guest_of, asyncio.get_running_loop(), from_everywhere)
        else:
            await from_everywhere()
        await driver.clear()
        await driver.close()

    with site() as machine, tempfile.TemporaryDirectory(prefix="capsule-netns-") as directory:
        machine.on_thread(lambda: asyncio.run(look(Path(directory))))


def _during(
    held: Callable[[], AbstractContextManager[None]],
    loop: asyncio.AbstractEventLoop,
    work: Callable[[], Coroutine[object, object, None]],
) -> None:
    """What is held needs a thread that is no event loop's; the work is the loop's."""
    with held():
        asyncio.run_coroutine_threadsafe(work(), loop).result()


@pytest.mark.real
def test_a_kernel_without_ipv6_is_no_obstacle_and_one_that_may_not_be_told_is_named() -> None:
    async def look(directory: Path) -> None:
        driver = LinuxNetwork(run, directory, "br0", "172.20.254.0/24", "ffee-test")
        await run("mount", "-t", "tmpfs", "none", "/proc/sys/net/ipv6")
        await driver.ensure(())
        await driver.attach(WEB)
        assert await driver.holds(()) and await driver.observe() == (WEB,)
        await driver.clear()
        await run("umount", "/proc/sys/net/ipv6")
        await run("mount", "--bind", "-o", "ro", "/proc/sys", "/proc/sys")
        with pytest.raises(NetworkFailed, match="/proc/sys/net/ipv6/conf/br0/accept_ra: Read-only file system"):
            await driver.ensure(())
        assert not await driver.holds(())
        await driver.clear()
        await driver.close()

    with site() as machine, tempfile.TemporaryDirectory(prefix="capsule-netns-") as directory:
        machine.on_thread(lambda: asyncio.run(look(Path(directory))))


@contextmanager
def _machine_on_a_lan() -> Iterator[tuple[Site, Site, str]]:
    """A machine, its neighbour at the other end of the cable, and a directory for a driver's namespaces."""
    with (
        site() as machine,
        site() as neighbour,
        tempfile.TemporaryDirectory(prefix="capsule-netns-") as directory,
    ):
        machine.join(neighbour, "192.0.2.1/24", "192.0.2.2/24")
        yield machine, neighbour, directory


def _segment_of(one: socket.socket) -> int:
    return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)


@pytest.mark.real
def test_a_connection_is_opened_with_segments_that_fit_the_uplink_in_both_directions() -> None:
    """The neighbour's own link is a wide one, as that of a server behind the narrow way."""

    async def look(directory: Path, neighbour: Site) -> None:
        driver = LinuxNetwork(run, directory, "br0", "172.20.254.0/24", "ffee-test")
        await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        await run("ip", "link", "set", "lan0", "mtu", "1400")
        await driver.ensure((HTTP,))
        await driver.attach(WEB)

        def at_both_ends() -> Iterator[int]:
            inside = Path(driver.namespace(WEB.name, WEB.uid))
            with namespaces.Inside(inside):
                mapped, out = socket.create_server((WEB.address, HTTP.port)), socket.socket()
            server = neighbour.on_thread(lambda: socket.create_server(("192.0.2.2", 9000)))
            with mapped, out, server:
                out.connect(("192.0.2.2", 9000))
                come = neighbour.on_thread(lambda: socket.create_connection(("192.0.2.1", HTTP.host_port), 5))
                with come, mapped.accept()[0] as answering, server.accept()[0] as called:
                    yield from map(_segment_of, (out, called, come, answering))

        fit = await asyncio.to_thread(lambda: list(at_both_ends()))
        assert all(1200 < one <= 1360 for one in fit), fit
        await driver.clear()
        await driver.close()

    with _machine_on_a_lan() as (machine, neighbour, directory):
        machine.on_thread(lambda: asyncio.run(look(Path(directory), neighbour)))


def _udp(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.settimeout(1)
    made.bind((address, port))
    return made


def _heard(listening: socket.socket) -> str:
    try:
        return listening.recv(512).decode()
    except TimeoutError:
        return ""


@pytest.mark.real
def test_who_sends_udp_without_a_pause_goes_where_the_rules_lead_by_now() -> None:
    async def send(directory: Path, sender: socket.socket, later: socket.socket) -> None:
        driver = LinuxNetwork(run, directory, "br0", "172.20.254.0/24", "ffee-test")
        await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        await driver.ensure(())
        there = {}
        for link in (WEB, DB):
            await driver.attach(link)
            with namespaces.Inside(Path(driver.namespace(link.name, link.uid))):
                there[link] = _udp(link.address, 53)

        def reached() -> list[str]:
            """Who hears what is sent from the one port to the other, always the same two."""
            sender.sendto(b"again", ("192.0.2.1", 5353))
            return [link.name for link, socket in there.items() if _heard(socket)]

        assert reached() == []
        await driver.ensure((Mapping("udp", 5353, "", WEB.address, 53),))
        assert reached() == [WEB.name], "it is mapped"
        assert reached() == [WEB.name], "and remembered"
        await driver.ensure((Mapping("udp", 5353, "192.0.2.1", DB.address, 53),))
        assert reached() == [DB.name], "mapped to another"
        await driver.ensure(())
        assert reached() == [], "to nobody any more"
        await driver.ensure((Mapping("udp", 5353, "", WEB.address, 53),))
        assert reached() == [WEB.name], "and again"
        sender = later
        # Somebody else's rule, so that the kernel remembers flows without ours, too.
        theirs = "table ip theirs { chain first { type filter hook prerouting priority 0; ct state new accept; }; }"
        await run("nft", theirs)
        await run("nft", "delete", "table", "ip", rules.table_of("br0"))
        assert reached() == [], "another hand took the rules"
        await driver.ensure((Mapping("udp", 5353, "", WEB.address, 53),))
        assert reached() == [WEB.name], "the same ones are back"
        await driver.clear()
        await driver.ensure(())
        await driver.attach(WEB)
        with namespaces.Inside(Path(driver.namespace(WEB.name, WEB.uid))):
            there = {WEB: _udp(WEB.address, 53)}
        assert reached() == [], "the address has another owner"
        await driver.clear()
        await driver.close()

    with _machine_on_a_lan() as (machine, neighbour, directory):
        sender, later = (neighbour.on_thread(functools.partial(_udp, "192.0.2.2", port)) for port in (4_000, 4_001))
        machine.on_thread(lambda: asyncio.run(send(Path(directory), sender, later)))


@pytest.mark.real
def test_bridges_whose_names_differ_in_a_sign_only_have_their_own_rules_and_take_over_what_they_had() -> None:
    former = "capsule_br_a"

    async def tables() -> set[str]:
        listing = json.loads(await run("nft", "-j", "list", "tables"))["nftables"]
        return {one["table"]["name"] for one in listing if "table" in one}

    async def look(directory: Path) -> None:
        dashed = LinuxNetwork(run, directory / "1", "br-a", "172.20.254.0/24", "ffee-test")
        dotted = LinuxNetwork(run, directory / "2", "br.a", "172.20.253.0/24", "eeff-test")
        # As an earlier release left it: of the two, the last to load its rules has the table.
        old = rules.render("br-a", dashed.subnet, (HTTP,)).replace(rules.table_of("br-a"), former)
        await run("nft", "-f", "-", stdin=old.encode())
        await dotted.ensure(())
        assert await tables() == {former, "capsule_br.a"}, "the old table is the other's"
        await dashed.ensure((HTTP,))
        assert await tables() == {"capsule_br-a", "capsule_br.a"}
        assert await dashed.holds((HTTP,)) and await dotted.holds(())
        await run("nft", "-f", "-", stdin=old.encode())
        await dashed.clear()
        assert await tables() == {"capsule_br.a"} and await dotted.holds(())
        await dotted.clear()
        await dashed.close()
        await dotted.close()

    with site() as machine, tempfile.TemporaryDirectory(prefix="capsule-netns-") as directory:
        machine.on_thread(lambda: asyncio.run(look(Path(directory))))


class _Cut(Exception):
    """The daemon is killed here."""


def _cut_after(driver: LinuxNetwork, calls: int) -> Callable[..., object]:
    """The driver's own way to change links, of which so many are left before it dies."""
    really = driver._links._ip.link
    left = iter(range(calls))

    def link(*words: object, **attributes: object) -> object:
        if next(left, None) is None:
            raise _Cut
        return really(*words, **attributes)

    return link


@pytest.mark.real
def test_a_bridge_whose_making_was_cut_anywhere_is_made_by_the_next_life_and_goes_with_it() -> None:
    def driver_in(directory: str) -> LinuxNetwork:
        return LinuxNetwork(run, Path(directory), "br0", "172.20.254.0/24", "ffee-test")

    async def bridges() -> list[str]:
        return [one["ifname"] for one in json.loads(await run("ip", "-j", "link", "show", "type", "bridge"))]

    async def lives(directory: str) -> None:
        cuts = 0
        for calls in range(20):
            first = driver_in(directory)
            ip = await first._on_thread(lambda first=first: first._links._ip)  # type: ignore[misc]
            ip.link = _cut_after(first, calls)
            try:
                await first.ensure(())
            except _Cut:
                cuts += 1
            await first.close()
            then = driver_in(directory)
            if calls % 2:
                await then.ensure(())
                assert await then.holds(()) and await bridges() == ["br0"]
            await then.clear()
            assert await bridges() == [] and not await then.stands()
            await then.close()
        assert 2 < cuts < 20

    with site() as machine, tempfile.TemporaryDirectory(prefix="capsule-netns-") as directory:
        machine.on_thread(lambda: asyncio.run(lives(directory)))


@pytest.mark.real
def test_a_full_subnet_of_links_comes_and_goes() -> None:
    async def all_of_them(directory: Path) -> None:
        driver = LinuxNetwork(run, directory, "br0", "172.20.254.0/24", "ffee-test")
        links = tuple(Link(f"w{number}", number, f"172.20.254.{number}") for number in range(2, 255))
        mappings = tuple(sorted(Mapping("tcp", 20_000 + link.uid, "", link.address, 80) for link in links))
        await driver.ensure(mappings)
        for link in links:
            await driver.attach(link)
        assert set(await driver.observe()) == set(links) and await driver.holds(mappings)
        await driver.clear()
        assert await driver.observe() == () and list(directory.iterdir()) == []
        await driver.close()

    with site() as machine, tempfile.TemporaryDirectory(prefix="capsule-netns-") as directory:
        machine.on_thread(lambda: asyncio.run(all_of_them(Path(directory))))
