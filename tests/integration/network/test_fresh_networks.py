"""What a run does to its own network ends with it: each begins with a namespace that no run was in."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.bridge import WEB, driver_in, on_a_machine
from tests.support.daemon import Daemon, daemon, manifest
from tests.support.site import site

pytestmark = pytest.mark.real

VPN = (
    "cat /sys/class/net/eth0/address; ip route add 10.9.0.0/16 via 172.20.254.1 && ip route del default"
    " && trap 'exit 3' TERM && echo up; while :; do sleep 0.1 & wait $!; done"
)
"""As a VPN's client does it; it is not up where it finds its own leftovers, or no way out."""


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with site() as machine, daemon(inside=machine.inside) as made:
        made.push_image()
        yield made


def network_of(capsule: Daemon) -> str:
    return os.readlink(f"/proc/{capsule.status('vpn')['pid']}/ns/net")


@contextmanager
def held(namespace: Path) -> Iterator[int]:
    """The namespace's number, which is given to no other meanwhile."""
    fd = os.open(namespace, os.O_RDONLY)
    try:
        yield os.fstat(fd).st_ino
    finally:
        os.close(fd)


def test_a_run_finds_nothing_that_the_one_before_did_to_its_network(capsule: Daemon) -> None:
    fields = {"networkMode": "BRIDGE", "capAdd": ["NET_ADMIN"], "restartPolicy": {"backoffFirst": "100ms"}}
    ports = [{"containerPort": 80, "hostPort": 8080}]
    capsule.apply(manifest("vpn", VPN, ports=ports, **fields), "--wait")
    address, told = capsule.status("vpn")["address"], set[str]()

    def is_up(run: int) -> None:
        capsule.until(lambda: capsule.status("vpn")["run"] == run, f"run {run} begins")
        capsule.until(lambda: "up" in capsule.good("logs", "vpn", "--run", str(run)), f"run {run} is up")
        told.add(capsule.good("logs", "vpn", "--run", str(run)))

    is_up(1)
    capsule.good("restart", "vpn", "--wait")
    is_up(2)
    capsule.good("stop", "vpn", "--wait")
    capsule.good("start", "vpn", "--wait")
    is_up(3)
    os.kill(capsule.status("vpn")["pid"], 15)
    is_up(4)
    capsule.apply(manifest("vpn", VPN, ports=ports, env=[{"name": "ANOTHER", "value": "1"}], **fields), "--wait")
    is_up(5)
    assert len(told) == 1, "its hardware address stays"
    assert capsule.status("vpn")["address"] == address

    network = network_of(capsule)
    capsule.kill()
    capsule.start()
    capsule.until(lambda: capsule.status("vpn")["phase"] == "WORKLOAD_PHASE_RUNNING", "it is adopted")
    assert capsule.status("vpn")["run"] == 5 and network_of(capsule) == network, "a run that goes on keeps its own"


def test_a_namespace_that_no_run_was_in_is_not_made_twice() -> None:
    async def work(directory: Path) -> None:
        driver = driver_in(directory)
        there = Path(driver.namespace(WEB.name, WEB.uid))
        try:
            await driver.ensure(())
            await driver.attach(WEB)
            with held(there) as first:
                await driver.renew(WEB)
                assert there.stat().st_ino == first
                await driver.renew(WEB)
                assert there.stat().st_ino != first
        finally:
            await driver.clear()
            await driver.close()

    on_a_machine(work)


def test_another_life_does_not_know_what_was_used() -> None:
    async def work(directory: Path) -> None:
        one, other = driver_in(directory), driver_in(directory)
        there = Path(one.namespace(WEB.name, WEB.uid))
        try:
            await one.ensure(())
            await one.attach(WEB)
            await other.attach(WEB)
            with held(there) as first:
                await other.renew(WEB)
                assert there.stat().st_ino != first
            assert await other.observe() == (WEB,)
        finally:
            await other.clear()
            await asyncio.gather(one.close(), other.close())

    on_a_machine(work)
