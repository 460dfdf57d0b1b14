"""A bridge's life: made, cut off in the making, full, beside another, and gone without a trace."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from capsuled.processes import run
from effects.network import rules
from effects.network.linux_driver import LinuxNetwork
from effects.network.protocol import Link
from projections.network import Mapping
from tests.support.bridge import HTTP, driver_in, on_a_machine

pytestmark = pytest.mark.real


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

    on_a_machine(look)


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


def test_a_bridge_whose_making_was_cut_anywhere_is_made_by_the_next_life_and_goes_with_it() -> None:
    async def bridges() -> list[str]:
        return [one["ifname"] for one in json.loads(await run("ip", "-j", "link", "show", "type", "bridge"))]

    async def lives(directory: Path) -> None:
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

    on_a_machine(lives)


def test_a_full_subnet_of_links_comes_and_goes() -> None:
    async def all_of_them(directory: Path) -> None:
        driver = driver_in(directory)
        links = tuple(Link(f"w{number}", number, f"172.20.254.{number}") for number in range(2, 255))
        mappings = tuple(sorted(Mapping("tcp", 20_000 + link.uid, "", link.address, 80) for link in links))
        await driver.ensure(mappings)
        for link in links:
            await driver.attach(link)
        assert set(await driver.observe()) == set(links) and await driver.holds(mappings)
        await driver.clear()
        assert await driver.observe() == () and list(directory.iterdir()) == []
        await driver.close()

    on_a_machine(all_of_them)
