"""The uplink among real links, on a machine whose cables are veths."""

import asyncio
from pathlib import Path

import pytest

from capsuled.boot.uplink import leave
from tests.support.site import Site, site

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
