"""No workload speaks IPv6 for the machine: router advertisements on real links, and kernels without IPv6."""

import asyncio
import functools
import socket
import struct
import subprocess
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from msgspec.structs import replace

from capsuled.processes import run
from effects.errors import NetworkFailed
from effects.network import namespaces
from effects.network.protocol import LinkKind
from tests.support.bridge import DB, WEB, driver_in, on_a_machine
from tests.support.tap_guest import guest

pytestmark = pytest.mark.real


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


@pytest.mark.parametrize("kind", ["veth", "tap"])
def test_no_workload_becomes_the_machines_router_nor_its_neighbours(kind: LinkKind) -> None:
    rogue, db = replace(WEB, kind=kind), DB

    async def look(directory: Path) -> None:
        driver = driver_in(directory)
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

    on_a_machine(look)


def _during(
    held: Callable[[], AbstractContextManager[None]],
    loop: asyncio.AbstractEventLoop,
    work: Callable[[], Coroutine[object, object, None]],
) -> None:
    """What is held needs a thread that is no event loop's; the work is the loop's."""
    with held():
        asyncio.run_coroutine_threadsafe(work(), loop).result()


def test_a_kernel_without_ipv6_is_no_obstacle_and_one_that_may_not_be_told_is_named() -> None:
    async def look(directory: Path) -> None:
        driver = driver_in(directory)
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

    on_a_machine(look)
