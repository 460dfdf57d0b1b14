"""The uplink among real links, on a machine whose cables are veths."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from capsuled.boot import fixed, uplink
from capsuled.boot.links import Link
from capsuled.boot.sysfs import text_of
from capsuled.boot.uplink import Place, Uplink, leave
from tests.support.site import Site, site
from tests.support.until import until

pytestmark = pytest.mark.real

TWO_CABLES = """
set -e
for one in 0 1; do
    ip link add eth$one type veth peer name switch$one
    ip link set eth$one up
    ip link set switch$one up
done
ip address add 10.77.0.20/24 dev eth0
ip link set switch0 down
ip address add 10.77.0.21/24 dev eth1
"""


CARD = Path("/sys/class/net/eth0")
PLUG = "ip link add eth0 type veth peer name switch0 && ip link set switch0 up"
REGISTERED_ANEW = f"ip link delete eth0 && {PLUG}"


def cards() -> tuple[Link, ...]:
    """eth0, where it is: no veth has a device behind it."""
    index = int(text_of(CARD / "ifindex") or 0)
    return (Link("eth0", text_of(CARD / "address"), text_of(CARD / "carrier") == "1", index),) if index else ()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an uplink is kept with, but for its kernel, which is a site's."""
    monkeypatch.setattr(uplink, "RUN", tmp_path / "run")
    monkeypatch.setattr(uplink, "links", cards)
    monkeypatch.setattr(fixed, "RESOLVER", tmp_path / "resolv.conf")
    monkeypatch.setattr(fixed, "ROUTES", Path("/proc/thread-self/net/route"))


def kept(here: Site, directory: Path, story: Callable[[Uplink], Awaitable[None]]) -> None:
    """While the uplink is kept there."""

    async def main() -> None:
        made = Uplink(Place(directory / "network", directory / "remembered", directory / "log"), lambda *_: None)
        keeping = asyncio.create_task(made.run("attic"))
        try:
            async with asyncio.timeout(30):
                await story(made)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)

    here.good("sh", "-c", PLUG)
    here.on_thread(lambda: asyncio.run(main()))


def way(here: Site) -> str:
    return here.run("ip", "route", "get", "10.77.0.1").stdout


def test_when_the_cable_goes_to_another_card_the_lan_is_reached_by_that_one(tmp_path: Path) -> None:
    for name in ("eth0", "eth1"):
        (tmp_path / f"{name}.lease").write_text("ip=10.77.0.20\n")
    with site() as here:
        assert here.run("sh", "-c", TWO_CABLES).returncode == 0
        assert "dev eth0" in way(here)  # a card without a cable keeps its route as long as it has its address
        here.on_thread(lambda: asyncio.run(leave("eth0", tmp_path)))
        assert "dev eth1" in way(here)
        here.on_thread(lambda: asyncio.run(leave("eth7", tmp_path)))  # one that was unplugged
    assert [file.name for file in tmp_path.iterdir()] == ["eth1.lease"]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    "taken", [REGISTERED_ANEW, "ip link set eth0 down", "ip address flush dev eth0", "ip route delete default"]
)
def test_a_fixed_address_and_its_way_out_come_back_whatever_took_them(tmp_path: Path, taken: str) -> None:
    (tmp_path / "network").write_text("address 10.77.0.20/24\ngateway 10.77.0.1\n")
    with site() as here:

        def is_set() -> bool:
            address = here.good("sh", "-c", "ip -4 -br address show eth0")
            return "10.77.0.20/24" in address and "10.77.0.1 dev eth0" in here.good("ip", "route", "show", "default")

        async def story(made: Uplink) -> None:
            await made.ready()
            await until(is_set)
            here.good("sh", "-c", taken)
            assert not is_set()
            await until(is_set)
            assert await made.warnings() == ()

        kept(here, tmp_path, story)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("taken", [REGISTERED_ANEW, "ip link set eth0 down"])
def test_by_dhcp_the_address_is_asked_for_anew_when_something_took_it_or_its_routes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    asked, client = tmp_path / "asked", tmp_path / "bin/busybox"
    client.parent.mkdir()
    client.write_text(f"#!/bin/sh\necho asks >>{asked}; exec sleep 60\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{client.parent}:{os.environ['PATH']}")

    async def story(made: Uplink) -> None:
        await until(asked.exists)
        await asyncio.sleep(1)  # the news of the card itself are over
        before = asked.read_text()
        here.good("sh", "-c", taken)
        await until(lambda: len(asked.read_text()) > len(before))

    with site() as here:
        kept(here, tmp_path, story)
