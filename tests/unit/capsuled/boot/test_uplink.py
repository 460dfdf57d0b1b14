"""The DHCP client is kept running, whatever becomes of its log and of a start of it."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capsuled.boot import uplink
from capsuled.boot.fixed import ways_out
from capsuled.boot.links import Link
from capsuled.boot.uplink import Place, Uplink
from capsuled.processes import CommandFailed
from tests.support.until import until

CARD = Link("eth0", "52:54:00:12:34:56", True)


async def _no_news(*_: object) -> AsyncIterator[None]:
    await asyncio.Event().wait()
    yield


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one card, on which only what a test says runs as busybox."""
    monkeypatch.setattr(uplink, "RUN", tmp_path / "run")
    monkeypatch.setattr(uplink, "links", lambda: (CARD,))
    monkeypatch.setattr(uplink, "kernel_news", _no_news)
    monkeypatch.setattr(uplink, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")


def client(directory: Path, script: str) -> None:
    """What runs as the DHCP client."""
    (directory / "bin").mkdir()
    (directory / "bin/busybox").write_text(f"#!/bin/sh\n{script}\n")
    (directory / "bin/busybox").chmod(0o755)


def tool(directory: Path, name: str) -> None:
    """What does as it is told, and nothing."""
    (directory / "bin").mkdir(exist_ok=True)
    (directory / "bin" / name).write_text("#!/bin/sh\n")
    (directory / "bin" / name).chmod(0o755)


def unheard(*_: str) -> None:
    """Of a change of the uplink."""


def running(
    directory: Path,
    log_file: Path,
    story: Callable[[Uplink], Awaitable[None]],
    changed: Callable[[str, str, str], None] = unheard,
) -> None:
    """While the uplink is kept."""

    async def main() -> None:
        made = Uplink(Place(directory / "network", directory / "remembered", log_file), changed)
        keeping = asyncio.create_task(made.run("attic"))
        async with asyncio.timeout(20):
            await story(made)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(main())


def has(file: Path, text: str) -> Callable[[], bool]:
    return lambda: file.exists() and text in file.read_text()


class Cards:
    """A machine into which cards come, and what is done to them."""

    def __init__(self, *there: Link) -> None:
        self.there = list(there)
        self.commands: list[tuple[str, ...]] = []
        self._news: asyncio.Queue[None] = asyncio.Queue()
        self._waiting = False

    def come(self, card: Link) -> None:
        """Or another state of one that is there."""
        self.there = [one for one in self.there if one.name != card.name] + [card]
        self._news.put_nowait(None)

    def has(self, interface: str, address: str) -> bool:
        return ("ip", "address", "replace", address, "dev", interface) in self.commands

    def heard(self) -> bool:
        """All news were acted on."""
        return self._news.empty() and self._waiting

    async def news(self, *_: object) -> AsyncIterator[None]:
        while True:
            self._waiting = True
            await self._news.get()
            self._waiting = False
            yield

    async def run(self, *command: str) -> str:
        self.commands.append(command)
        return ""


def fixed(directory: Path, monkeypatch: pytest.MonkeyPatch, interface: str, *there: Link) -> Cards:
    """An operator has written down an address on an interface, of a machine that has these cards."""
    (directory / "network").write_text(f"address 192.168.1.20/24\ninterface {interface}\n")
    cards = Cards(*there)
    monkeypatch.setattr(uplink, "links", lambda: tuple(cards.there))
    monkeypatch.setattr(uplink, "kernel_news", cards.news)
    monkeypatch.setattr(uplink, "run", cards.run)
    monkeypatch.setattr("capsuled.boot.fixed.run", cards.run)
    monkeypatch.setattr("capsuled.boot.fixed.RESOLVER", directory / "resolv.conf")
    return cards


def test_a_fixed_address_on_a_card_that_is_not_there_gives_way_to_dhcp_until_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cards may be counted otherwise since it was written: a machine that nobody reaches is worse."""
    cards = fixed(tmp_path, monkeypatch, "eth1", CARD)

    async def story(made: Uplink) -> None:
        await until(has(tmp_path / "uplink.log", "asks on eth0"))
        (said,) = await made.warnings()
        assert said.endswith("is not used, the uplink asks by DHCP: it names eth1, and this machine has eth0")
        cards.come(Link("eth1", "52:54:00:12:34:57", True))
        await until(lambda: cards.has("eth1", "192.168.1.20/24"))
        assert await made.warnings() == ()

    monkeypatch.setattr(uplink, "ABSENT_S", 0.05)
    client(tmp_path, "echo asks on $4; exec sleep 60")
    running(tmp_path, tmp_path / "uplink.log", story)


def test_behind_a_cable_that_was_out_the_address_is_asked_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may lead to another LAN, which the client would hear of when half of its lease is over."""
    cards = Cards(CARD)
    monkeypatch.setattr(uplink, "links", lambda: tuple(cards.there))
    monkeypatch.setattr(uplink, "kernel_news", cards.news)
    monkeypatch.setattr(uplink, "run", cards.run)
    asked = tmp_path / "asked"

    def times() -> int:
        return asked.read_text().count("asks") if asked.exists() else 0

    async def story(made: Uplink) -> None:
        await until(lambda: times() == 1)
        for number in range(2, 4):
            cards.come(msgspec.structs.replace(CARD, carrier=False))
            await until(cards.heard)
            assert times() == number - 1, "the cable may come back"
            cards.come(CARD)
            await until(lambda number=number: times() == number)  # type: ignore[misc]
        cards.come(CARD)
        await until(cards.heard)
        assert times() == 3, "nothing was another way"

    client(tmp_path, f"echo asks >>{asked}; exec sleep 60")
    running(tmp_path, tmp_path / "uplink.log", story)


def test_a_card_that_is_registered_anew_has_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within one burst of the kernel's news, as when its driver is loaded again."""
    cards = Cards(CARD)
    monkeypatch.setattr(uplink, "links", lambda: tuple(cards.there))
    monkeypatch.setattr(uplink, "kernel_news", cards.news)
    monkeypatch.setattr(uplink, "run", cards.run)
    asked, lease = tmp_path / "asked", tmp_path / "run/eth0.lease"

    async def story(made: Uplink) -> None:
        await until(has(asked, "asks"))
        lease.write_text("ip=10.0.0.7\nmask=24\n")
        cards.come(CARD)
        await made.ready()
        cards.come(msgspec.structs.replace(CARD, index=CARD.index + 1))
        await until(lambda: asked.read_text().count("asks") == 2)
        assert not lease.exists() and made.time_servers() == ()

    client(tmp_path, f"echo asks >>{asked}; exec sleep 60")
    running(tmp_path, tmp_path / "uplink.log", story)


def test_a_fixed_address_that_cannot_be_set_is_told_of_tried_again_and_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = fixed(tmp_path, monkeypatch, "eth0", CARD)
    room, recorded = asyncio.Event(), list[tuple[str, str, str]]()

    async def run(*command: str) -> str:
        if not room.is_set():
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return await cards.run(*command)

    async def story(made: Uplink) -> None:
        await until(lambda: made.unreached().startswith("the uplink cannot be set up as"))
        (said,) = await made.warnings()
        assert "Cannot allocate memory" in said and "tried again by itself" in said and recorded == []
        room.set()
        await made.ready()
        assert await made.warnings() == () and cards.has("eth0", "192.168.1.20/24")
        assert recorded == [("eth0", "192.168.1.20/24", "static")]

    monkeypatch.setattr("capsuled.boot.fixed.run", run)
    monkeypatch.setattr("capsuled.boot.fixed.FIRST_PAUSE_S", 0.05)
    running(tmp_path, tmp_path / "uplink.log", story, lambda *what: recorded.append(what))


def test_a_way_out_that_cannot_be_set_leaves_the_address_on_the_lan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cards = fixed(tmp_path, monkeypatch, "eth0", CARD)
    (tmp_path / "network").write_text("address 192.168.1.20/24\ngateway 10.9.9.9\n")

    async def run(*command: str) -> str:
        if "route" in command:
            raise CommandFailed("Nexthop has invalid gateway")
        return await cards.run(*command)

    async def story(made: Uplink) -> None:
        await made.ready()
        await until(lambda: made.unreached().endswith("correct the file, and start the machine anew"))
        (said,) = await made.warnings()
        assert "Nexthop has invalid gateway" in said

    monkeypatch.setattr("capsuled.boot.fixed.run", run)
    running(tmp_path, tmp_path / "uplink.log", story)


def test_name_servers_that_are_no_text_give_way_to_what_was_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed(tmp_path, monkeypatch, "eth0", CARD)
    (tmp_path / "network").write_text("address 192.168.1.20/24\ndns 192.168.1.1\n")
    (tmp_path / "resolv.conf").write_bytes("# café\nnameserver 1.1.1.1\n".encode("latin-1"))

    async def story(made: Uplink) -> None:
        await made.ready()
        assert (tmp_path / "resolv.conf").read_bytes() == b"nameserver 192.168.1.1\n" and await made.warnings() == ()

    running(tmp_path, tmp_path / "uplink.log", story)


def test_routes_that_cannot_be_read_are_told_of_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = fixed(tmp_path, monkeypatch, "eth0", CARD)
    (tmp_path / "network").write_text("address 192.168.1.20/24\ngateway 192.168.1.1\n")
    (tmp_path / "route").write_text("Iface\neth0 00000000\n")
    monkeypatch.setattr("capsuled.boot.fixed.ROUTES", tmp_path / "route")
    monkeypatch.setattr("capsuled.boot.fixed.FIRST_PAUSE_S", 0.05)

    async def story(made: Uplink) -> None:
        await made.ready()
        (said,) = await made.warnings()
        assert said.startswith("the uplink")
        (tmp_path / "route").write_text("Iface\n")
        await until(
            lambda: ("ip", "route", "replace", "default", "via", "192.168.1.1", "dev", "eth0") in cards.commands
        )

    running(tmp_path, tmp_path / "uplink.log", story)


def test_the_ways_out_are_the_default_routes() -> None:
    table = (
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t0101A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth1\t00000000\t00000000\t0001\t0\t0\t9\t00000000\t0\t0\t0\n"
        "eth2\t00000000\t0201A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n"
        "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
    )
    assert ways_out(table) == {("eth0", IPv4Address("192.168.1.1"))}


def test_an_interface_that_comes_late_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cards = fixed(tmp_path, monkeypatch, "eth0")

    async def story(made: Uplink) -> None:
        await until((tmp_path / "run").exists)
        cards.come(CARD)
        await made.ready()
        assert cards.has("eth0", "192.168.1.20/24") and await made.warnings() == ()

    running(tmp_path, tmp_path / "uplink.log", story)


def test_where_the_disk_takes_no_log_it_is_kept_below_run(tmp_path: Path) -> None:
    client(tmp_path, "echo asks for $3; exec sleep 60")

    async def story(made: Uplink) -> None:
        await until(has(tmp_path / "run/uplink.log", "asks for"))
        assert await made.warnings() == ()

    running(tmp_path, tmp_path / "no such directory/uplink.log", story)


def test_a_client_that_cannot_be_started_is_told_of_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts, room, started = list[Path](), asyncio.Event(), asyncio.Event()

    async def supervise(command: Any, log_file: Path, before: Any) -> None:
        attempts.append(log_file)
        if not room.is_set():
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        started.set()
        await asyncio.Event().wait()

    async def story(made: Uplink) -> None:
        await until(lambda: attempts)
        (said,) = await made.warnings()
        assert "eth0" in said and "Cannot allocate memory" in said and "tried again by itself" in said
        room.set()
        await started.wait()
        assert await made.warnings() == ()

    monkeypatch.setattr(uplink, "supervise", supervise)
    running(tmp_path, tmp_path / "uplink.log", story)


def test_a_client_that_ends_leaves_the_address_to_the_next(tmp_path: Path) -> None:
    """The script takes it off at a client's start, unless that one is a start of ours (image/files/uplink)."""
    starts = tmp_path / "starts"

    async def story(made: Uplink) -> None:
        await until(lambda: starts.exists() and starts.read_text().count("\n") == 3)
        assert set(starts.read_text().split()) == {"kept"}

    takes_it = f"rm {tmp_path}/run/eth0.starting && echo kept >>{starts} || echo lost >>{starts}"
    client(tmp_path, f"{takes_it}; test $(wc -l <{starts}) -lt 3 || exec sleep 60")
    running(tmp_path, tmp_path / "uplink.log", story)


def test_a_client_that_talks_for_ever_keeps_a_log_of_some_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uplink, "LOG_BYTES", 256 << 10)
    client(tmp_path, "head -c 1500000 /dev/zero; echo; echo nobody answers; exec sleep 60")
    log_file = tmp_path / "uplink.log"

    async def story(made: Uplink) -> None:
        await until(has(log_file, "nobody answers"))
        await until(lambda: log_file.stat().st_blocks * 512 < 512 << 10)

    running(tmp_path, log_file, story)


@pytest.mark.parametrize(
    ("written", "own", "told"), [("address 10.0.0.2/24\nntp 10.0.0.9\n", ("10.0.0.9",), ()), ("", (), ("10.0.0.1",))]
)
def test_time_servers_are_the_operators_own_or_were_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, own: tuple[str, ...], told: tuple[str, ...]
) -> None:
    monkeypatch.setattr("capsuled.boot.fixed.RESOLVER", tmp_path / "resolv.conf")
    client(tmp_path, "exec sleep 60")
    tool(tmp_path, "ip")
    (tmp_path / "network").write_text(written)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/eth0.lease").write_text("ip=10.0.0.7\nmask=24\nntpsrv=10.0.0.1\n")

    async def story(made: Uplink) -> None:
        await made.ready()
        assert (made.own_time_servers(), made.time_servers()) == (own, told)

    running(tmp_path, tmp_path / "uplink.log", story)
