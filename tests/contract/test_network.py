"""The contract of a driver of the network, on the twin and on a bridge of the kernel's: what the simulation relies on."""

import asyncio
import functools
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from capsuled.processes import run
from effects.errors import NetworkForeign, NetworkMissing
from effects.network import taps
from effects.network.protocol import Link, LinkKind, NetworkDriver
from effects.network.twin import Cables, TwinNetwork
from projections.network import Mapping
from tests.support.bridge import DB, HTTP, WEB, driver_in, on_a_machine

MONITOR = 64_007
"""The uid that may open a TAP."""
MARK = "192.0.2.77/32"
"""An address that no driver gives."""
DNS = Mapping("udp", 5353, "192.0.2.1", DB.address, 53)


class Subject(NamedTuple):
    """A driver, and another hand: it flushes the rules, takes the bridge's name, cuts a link, leaves one half made.
    `open` is a monitor's, of a TAP, and returns how it lets go. `mark` is a run's, which does something to its own
    network."""

    driver: NetworkDriver
    flush: Callable[[], Awaitable[object]]
    strip: Callable[[], Awaitable[object]]
    occupy: Callable[[], Awaitable[object]]
    is_occupied: Callable[[], Awaitable[bool]]
    cut: Callable[[Link], Awaitable[object]]
    spoil: Callable[[Link], Awaitable[object]]
    open: Callable[[Link], Callable[[], object]]
    mark: Callable[[Link], Awaitable[object]]
    is_marked: Callable[[Link], Awaitable[bool]]
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

    async def mark(link: Link) -> None:
        cables.marked.add((link.name, link.uid))

    async def is_marked(link: Link) -> bool:
        return (link.name, link.uid) in cables.marked

    twin, links = TwinNetwork(cables, _no_step), of_kind(kind)
    await suite(Subject(twin, flush, strip, occupy, is_occupied, cut, cut, opened, mark, is_marked, *links))


async def _on_linux(suite: Suite, directory: Path, kind: LinkKind) -> None:
    driver = driver_in(directory, lambda name, uid: MONITOR)

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

    async def inside(link: Link, *command: str) -> bytes:
        return await run("nsenter", f"--net={driver.namespace(link.name, link.uid)}", *command)

    async def mark(link: Link) -> object:
        return await inside(link, "ip", "address", "add", MARK, "dev", "lo")

    async def is_marked(link: Link) -> bool:
        return MARK in str(await inside(link, "ip", "address", "show", "dev", "lo"))

    flush = functools.partial(run, "nft", "flush", "ruleset")
    try:
        links = of_kind(kind)
        await suite(Subject(driver, flush, strip, occupy, is_occupied, cut, spoil, opened, mark, is_marked, *links))
    finally:
        await driver.close()


@pytest.fixture(params=["twin", pytest.param("linux", marks=pytest.mark.real)])
def on_each(request: pytest.FixtureRequest) -> Callable[[Suite, LinkKind], None]:
    """Runs a suite on the twin or the real driver, with links of a kind; the real one on a machine of its own."""

    def on_twin(suite: Suite, kind: LinkKind) -> None:
        asyncio.run(_on_twin(suite, kind))

    def on_linux(suite: Suite, kind: LinkKind) -> None:
        on_a_machine(lambda directory: _on_linux(suite, directory, kind))

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


async def _renewed(subject: Subject) -> None:
    """For each run: the link is there, was it before or not, and nothing that the run before did to its network. While
    it runs, its network stays its own, also where the link has to be made again."""
    driver = subject.driver
    with pytest.raises(NetworkMissing):
        await driver.renew(subject.web)
    await driver.ensure(())
    for _ in range(3):
        await driver.renew(subject.web)
        assert await driver.observe() == (subject.web,) and await driver.holds(())
        assert not await subject.is_marked(subject.web)
        await subject.mark(subject.web)
        await driver.attach(subject.web)
        assert await subject.is_marked(subject.web)
    await subject.cut(subject.web)
    await driver.attach(subject.web)
    assert await subject.is_marked(subject.web)
    await subject.cut(subject.web)
    await driver.renew(subject.web)
    assert await driver.observe() == (subject.web,) and not await subject.is_marked(subject.web)
    await driver.clear()


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
_WITH_NAMESPACES = (*_WITH_LINKS, _renewed)


@pytest.mark.parametrize(
    ("suite", "kind"),
    [
        *((suite, "veth") for suite in (_rules, _foreign)),
        *((suite, "veth") for suite in _WITH_NAMESPACES),
        *((suite, "tap") for suite in (*_WITH_LINKS, _opened_by_a_monitor)),
    ],
)
def test_it_keeps_the_contract(on_each: Callable[[Suite, LinkKind], None], suite: Suite, kind: LinkKind) -> None:
    on_each(suite, kind)
