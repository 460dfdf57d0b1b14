"""TAPs for real: a guest on one is on the bridge as a container is; whose it is, and what is mended under it."""

import asyncio
import errno
import json
import os
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from capsuled.processes import run
from effects.network import taps
from effects.network.linux_driver import LinuxNetwork
from effects.network.protocol import Link
from projections.network import Mapping
from tests.support.site import site
from tests.support.tap_guest import answering, guest, heard

pytestmark = pytest.mark.real

MONITOR = 64_007
VM, BOX = Link("vm", 7, "172.20.254.2", "tap"), Link("box", 8, "172.20.254.3")
GATEWAY = "172.20.254.1"
MAPPING = Mapping("tcp", 8080, "", VM.address, 80)


def _on_a_machine(suite: Callable[[LinuxNetwork, Path], Awaitable[None]]) -> None:
    async def inside(directory: Path) -> None:
        driver = LinuxNetwork(
            run, directory / "netns", "br0", "172.20.254.0/24", "ffee-test", lambda name, uid: MONITOR
        )
        try:
            await suite(driver, directory)
        finally:
            await driver.clear()
            await driver.close()

    with site() as machine, tempfile.TemporaryDirectory(prefix="capsule-taps-") as directory:
        machine.on_thread(lambda: asyncio.run(inside(Path(directory))))


def test_a_guest_is_on_the_bridge_as_a_container_is() -> None:
    async def suite(driver: LinuxNetwork, directory: Path) -> None:
        await driver.ensure((MAPPING,))
        for link in (VM, BOX):
            await driver.attach(link)
        inside, box = directory / "guest", Path(driver.namespace(BOX.name, BOX.uid))
        port = driver.port_of(VM.name, VM.uid)

        def converse() -> None:
            with (
                guest(port, inside, VM.address, GATEWAY),
                answering("vm", 80, inside),
                answering("box", 81, box),
            ):
                assert heard(VM.address, 80) == "vm", "from the machine"
                assert heard("127.0.0.1", 8080) == heard(GATEWAY, 8080) == "vm", "by its mapped port"
                assert heard(VM.address, 80, box) == heard(GATEWAY, 8080, box) == "vm", "from a container"
                assert heard(BOX.address, 81, inside) == "box", "a container, from the guest"
                assert heard(GATEWAY, 8080, inside) == "vm", "itself, by its own mapped port"
                # Pulled from the bridge and mended, it is the same one: whoever has it open has it still.
                assert asyncio.run(driver.is_open(VM.name, VM.uid))
                subprocess.run(["ip", "link", "set", port, "nomaster"], check=True)
                asyncio.run(driver_of_this_thread(driver))
                assert heard(VM.address, 80) == heard(GATEWAY, 8080, inside) == "vm"
            assert subprocess.run(["ip", "link", "show", port], capture_output=True, check=False).returncode == 0

        async def driver_of_this_thread(driver: LinuxNetwork) -> None:
            assert await driver.observe() == (BOX,)
            await driver.attach(VM)
            assert set(await driver.observe()) == {VM, BOX}

        await asyncio.to_thread(converse)

    _on_a_machine(suite)


def test_it_is_for_its_monitor_alone_and_one_at_a_time() -> None:
    # The device is opened before: on some machines it is root's alone.
    script = """if True:
        import fcntl, os, struct, sys
        device = os.open("/dev/net/tun", os.O_RDWR)
        os.setgroups([])
        os.setuid(int(sys.argv[2]))
        fcntl.ioctl(device, 0x400454CA, struct.pack("16sH22x", sys.argv[1].encode(), 0x5002))
    """

    async def suite(driver: LinuxNetwork, directory: Path) -> None:
        await driver.ensure(())
        await driver.attach(VM)
        port = driver.port_of(VM.name, VM.uid)
        for uid, allowed in ((MONITOR, True), (MONITOR + 1, False)):
            done = subprocess.run(
                ["/usr/bin/python3", "-c", script, port, str(uid)],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert (done.returncode == 0) is allowed, done.stderr
            assert allowed or "not permitted" in done.stderr
        fd = taps.opened(port)
        try:
            with pytest.raises(OSError) as told:
                taps.opened(port)
            assert told.value.errno == errno.EBUSY
        finally:
            os.close(fd)
        with pytest.raises(FileNotFoundError):
            taps.opened("vffff.nobodys")

    _on_a_machine(suite)


def test_what_a_crash_cuts_short_is_not_there_and_the_bridge_has_an_address_of_its_own() -> None:
    async def suite(driver: LinuxNetwork, directory: Path) -> None:
        async def links() -> dict[str, str]:
            return {one["ifname"]: one["address"] for one in json.loads(await run("ip", "-j", "link"))}

        await driver.ensure(())
        before = await links()

        def fault() -> None:
            raise OSError(errno.EIO, "as a process that is killed")

        with pytest.raises(OSError, match="killed"):
            taps.make("vffee.cut", MONITOR, fault)
        assert await links() == before
        for link in (VM, BOX):
            await driver.attach(link)
        assert (await links())["br0"] == before["br0"] == "02:ca:ac:14:fe:01"

    _on_a_machine(suite)
