"""A port that another hand sets down and settings of the bridge that it takes: seen, told of, and made so again."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import get_args

import pytest
from msgspec.structs import replace

from capsuled.processes import run
from effects.network.linux_driver import LinuxNetwork
from effects.network.protocol import LinkKind
from tests.support.bridge import HTTP, WEB, driver_in, on_a_machine

pytestmark = pytest.mark.real


async def told_of(driver: LinuxNetwork, harm: Awaitable[object]) -> None:
    heard = asyncio.ensure_future(anext(driver.drift()))
    await asyncio.sleep(0)
    await harm
    async with asyncio.timeout(10):
        await heard


@pytest.mark.parametrize("kind", get_args(LinkKind))
def test_a_port_that_is_down_is_no_link(kind: LinkKind) -> None:
    async def work(directory: Path) -> None:
        driver, link = driver_in(directory), replace(WEB, kind=kind)
        port = driver.port_of(link.name, link.uid)
        try:
            await driver.ensure(())
            await driver.attach(link)
            await told_of(driver, run("ip", "link", "set", port, "down"))
            assert await driver.observe() == ()
            await driver.attach(link)
            assert await driver.observe() == (link,)
            assert b",UP" in await run("ip", "link", "show", port)
        finally:
            await driver.clear()
            await driver.close()

    on_a_machine(work)


@pytest.mark.parametrize("setting", ["ip_forward", "conf.br0.forwarding", "conf.br0.route_localnet"])
def test_a_bridge_without_its_settings_does_not_hold(setting: str) -> None:
    async def work(directory: Path) -> None:
        driver = driver_in(directory)
        try:
            await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
            await driver.ensure((HTTP,))
            harm = run("sysctl", "-qw", f"net.ipv4.{setting}=0")
            # Of the last one the kernel tells nobody.
            await (harm if "localnet" in setting else told_of(driver, harm))
            assert not await driver.holds((HTTP,))
            await driver.ensure((HTTP,))
            assert await driver.holds((HTTP,))
        finally:
            await driver.clear()
            await driver.close()

    on_a_machine(work)
