"""Where the operating system serves figures: what an operator wrote is used, or it is told why not; no start ends of it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from capsuled.listening import CannotListen
from capsuled.metrics import by_hand
from capsuled.metrics.by_hand import MetricsByHand, wanted
from tests.support.until import until

GOOD = ("127.0.0.1:50001", "0.0.0.0:9100", "[::]:50001", "192.168.1.20:1")
BAD = (
    "50001", "127.0.0.1", "::1:50001", "metrics.lan:50001", "a..b:1", "127.0.0.1:99999", "127.0.0.1:1\n127.0.0.1:2", "none",
)  # fmt: skip


class Doors:
    """An endpoint that says where it was started, and stands before `faults` first."""

    def __init__(self, *faults: str) -> None:
        self.faults = list(faults)
        self.made = 0
        self.served: list[str] = []
        self.stopped = 0

    def make(self) -> Any:
        self.made += 1
        return self

    async def start(self, address: str, chosen: str) -> None:
        if self.faults:
            raise CannotListen(0, f"{self.faults.pop(0)}, or choose another address {chosen}", address)
        self.served.append(address)

    async def stop(self) -> None:
        self.stopped += 1


def run(file: Path, doors: Doors, story: Callable[[MetricsByHand, "asyncio.Task[None]"], Awaitable[None]]) -> None:
    async def main() -> None:
        metrics = MetricsByHand(file, doors.make)
        running = asyncio.ensure_future(metrics.run())
        try:
            async with asyncio.timeout(10):
                await story(metrics, running)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())


@pytest.mark.parametrize("text", GOOD)
def test_the_address_is_the_operators(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics").write_text(f"{text}\n")
    assert wanted(tmp_path / "metrics") == text


def test_without_the_file_or_with_nothing_in_it_nothing_is_served_nor_loaded(tmp_path: Path) -> None:
    doors = Doors()

    async def story(metrics: MetricsByHand, running: "asyncio.Task[None]") -> None:
        await running
        assert await metrics.warnings() == () and not doors.made

    run(tmp_path / "metrics", doors, story)
    (tmp_path / "metrics").write_text("\n")
    run(tmp_path / "metrics", doors, story)


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_address_is_told_and_nothing_is_served(tmp_path: Path, text: str) -> None:
    doors = Doors()
    (tmp_path / "metrics").write_text(text)

    async def story(metrics: MetricsByHand, running: "asyncio.Task[None]") -> None:
        await running
        (said,) = await metrics.warnings()
        assert f"{tmp_path}/metrics is not used, no figures are served" in said
        assert "is no ADDRESS:PORT: write 127.0.0.1:50001" in said and not doors.made

    run(tmp_path / "metrics", doors, story)


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        (tmp_path / "metrics").mkdir()
    else:
        (tmp_path / "metrics").write_bytes(content)

    async def story(metrics: MetricsByHand, running: "asyncio.Task[None]") -> None:
        await running
        assert "it cannot be read" in (await metrics.warnings())[0]

    run(tmp_path / "metrics", Doors(), story)


def test_an_address_that_cannot_be_had_yet_is_told_once_and_tried_until_it_can(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(by_hand, "AGAIN_S", 0.05)
    (tmp_path / "metrics").write_text("192.168.1.20:50001\n")
    doors = Doors(*["it is none of this machine's addresses"] * 3)

    async def story(metrics: MetricsByHand, running: "asyncio.Task[None]") -> None:
        await until(lambda: len(doors.faults) == 2)
        (said,) = await metrics.warnings()
        assert said.startswith("192.168.1.20:50001 it is none") and f"in {tmp_path}/metrics. It is tried again" in said
        await until(lambda: bool(doors.served))
        assert doors.served == ["192.168.1.20:50001"] and await metrics.warnings() == ()
        assert doors.made == 1 and not doors.stopped and not running.done()

    run(tmp_path / "metrics", doors, story)
    assert doors.stopped == 1, "with the daemon's end"
    assert caplog.text.count("none of this machine's addresses") == 1
