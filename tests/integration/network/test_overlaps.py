"""A LAN whose network has addresses of the bridge's: before the bridge and behind it, on somebody's machine and on the
operating system, where it is the only way to the machine."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from capsuled.processes import run
from effects.errors import NetworkForeign
from effects.network.linux_driver import LinuxNetwork
from effects.network.protocol import Drift
from tests.support.bridge import HTTP, WEB, driver_in, machine_on_a_lan

pytestmark = pytest.mark.real

SUBNET_FILE = "/perm/capsule/subnet"
NEIGHBOUR = "172.20.254.9"
LANS = [("172.20.254.50", 24), ("172.20.10.50", 16)]
"""The machine's address: on the bridge's own network, and on one around it."""

API = 50_000
_ASK = f"import socket, sys; print(socket.create_connection((sys.argv[1], {API}), 2).recv(9).decode())"

Ask = Callable[[str], Coroutine[object, object, str]]
"""What the neighbour hears at an address of the machine's; empty for nothing."""


def on_a_lan(prefix: int, work: Callable[[Path, Ask], Coroutine[object, object, None]]) -> None:
    """What is done on a machine with a cable to a neighbour, and without an address there."""
    with machine_on_a_lan() as (machine, neighbour, directory):
        machine.good("ip", "address", "flush", "dev", "lan0")
        neighbour.good("ip", "address", "replace", f"{NEIGHBOUR}/{prefix}", "dev", "lan0")

        async def ask(address: str) -> str:
            done = await asyncio.to_thread(neighbour.run, "/usr/bin/python3", "-c", _ASK, address)
            return done.stdout.strip()

        machine.on_thread(lambda: asyncio.run(work(Path(directory), ask)))


@asynccontextmanager
async def served(driver: LinuxNetwork) -> AsyncIterator["asyncio.Queue[Drift]"]:
    """The machine's API answers, and the driver's news is followed."""
    news: asyncio.Queue[Drift] = asyncio.Queue()

    async def follow() -> None:
        async for one in driver.drift():
            news.put_nowait(one)

    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    server = await asyncio.start_server(hello, "0.0.0.0", API, family=socket.AF_INET)
    following = asyncio.create_task(follow())
    try:
        yield news
    finally:
        following.cancel()
        server.close()
        await driver.clear()
        await driver.close()


async def lease(news: "asyncio.Queue[Drift]", address: str, prefix: int, *, comes: bool = True) -> None:
    """It comes or goes, and the driver has heard of it."""
    await asyncio.sleep(0.5)
    while not news.empty():
        news.get_nowait()
    await run("ip", "address", "add" if comes else "del", f"{address}/{prefix}", "dev", "lan0")
    async with asyncio.timeout(10):
        await news.get()


def on_the_os(directory: Path) -> LinuxNetwork:
    return LinuxNetwork(run, directory, "br0", "172.20.254.0/24", "ffee-test", subnet_file=SUBNET_FILE)


async def tables() -> set[str]:
    listing = json.loads(await run("nft", "-j", "list", "tables"))["nftables"]
    return {one["table"]["name"] for one in listing if "table" in one}


@pytest.mark.parametrize(("address", "prefix"), LANS)
def test_on_the_operating_system_the_bridge_gives_way_to_a_lan_that_comes_later_until_it_goes(
    address: str, prefix: int
) -> None:
    async def look(directory: Path, ask: Ask) -> None:
        driver = on_the_os(directory)
        await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        async with served(driver) as news:
            await driver.ensure((HTTP,))
            await driver.attach(WEB)
            assert await driver.obstacles() == ()
            await lease(news, address, prefix)
            assert await ask(address) == "hello", "the machine is reached, whatever becomes of its workloads"
            assert b"dev br0" not in await run("ip", "-4", "route", "show", "table", "all")
            assert await tables() == set(), "no host port leads to a stranger"
            assert not await driver.holds((HTTP,)), "it is seen as what it is, and tried again"
            (told,) = await driver.obstacles()
            assert told.startswith("lan0 has 172.20.") and "the bridge's 172.20.254.0/24 overlaps" in told
            assert f"echo 10.254.254.0/24 >{SUBNET_FILE}" in told and "`capsulectl capsule reboot`" in told
            with pytest.raises(NetworkForeign, match="so the bridge is down"):
                await driver.ensure((HTTP,))
            assert await ask(address) == "hello"
            assert await driver.observe() == (WEB,), "what hangs on it stays"
            await lease(news, address, prefix, comes=False)
            await driver.ensure((HTTP,))
            assert await driver.holds((HTTP,)) and await driver.obstacles() == ()

    on_a_lan(prefix, look)


def test_on_the_operating_system_a_life_that_finds_both_gives_way_without_any_news() -> None:
    async def look(directory: Path, ask: Ask) -> None:
        former = on_the_os(directory)
        await former.ensure((HTTP,))
        await former.close()
        await run("ip", "address", "add", "172.20.254.50/24", "dev", "lan0")
        driver = on_the_os(directory)
        async with served(driver):
            assert not await driver.holds((HTTP,)), "so it is made anew"
            with pytest.raises(NetworkForeign, match="so the bridge is down"):
                await driver.ensure((HTTP,))
            assert await ask("172.20.254.50") == "hello" and await tables() == set()

    on_a_lan(24, look)


@pytest.mark.parametrize(("address", "prefix"), LANS)
def test_a_hosted_capsule_makes_no_bridge_there_and_tells_of_one_that_was_before(address: str, prefix: int) -> None:
    async def look(directory: Path, ask: Ask) -> None:
        driver = driver_in(directory)
        await run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        async with served(driver) as news:
            await driver.ensure(())
            await lease(news, address, prefix)
            (told,) = await driver.obstacles()
            assert "the bridge's 172.20.254.0/24 overlaps" in told
            assert told.endswith("Start capsuled with another `--subnet`, like 10.254.254.0/24")
            assert await driver.holds(()), "others use it: it is left to them"
            await driver.ensure((HTTP,))
            await driver.clear()
            with pytest.raises(NetworkForeign, match=r"another `--subnet`, like 10\.254\.254\.0/24"):
                await driver.ensure((HTTP,))

    on_a_lan(prefix, look)
