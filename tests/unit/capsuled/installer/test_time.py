"""The installer sets the clock, so that the installed system begins with the right one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from capsuled.boot.ntp import DEFAULT_SERVERS, HORIZON_S, Bounds
from capsuled.installer import running
from capsuled.layout import hosted

BUILT_S = 1_800_000_000.0


def test_the_time_is_asked_for_once_there_is_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = list[Any]()

    class Uplink:
        def __init__(self, *_: object) -> None:
            self.up = asyncio.Event()

        async def run(self, hostname: str) -> None:
            self.up.set()

        async def ready(self) -> None:
            await self.up.wait()

        def time_servers(self) -> tuple[str, ...]:
            return ("10.0.0.1",)

    class Time:
        def __init__(self, servers: Callable[[], tuple[str, ...]], bounds: Bounds, stepped: object) -> None:
            made.extend((servers(), bounds))

        async def run(self, ready: Callable[[], Awaitable[None]]) -> None:
            await ready()
            made.append("asks")

    class Link:
        def say(self, *words: str) -> None:
            made.append(words)

    async def nothing(*_: object) -> None: ...

    async def hardware(beside: object, loaded: Callable[[], None]) -> None:
        loaded()

    def unwritable(file: Path) -> str:
        raise OSError(30, "Read-only file system", "/etc/hosts")

    monkeypatch.setattr(running, "Uplink", Uplink)
    monkeypatch.setattr(running, "NetworkTime", Time)
    monkeypatch.setattr(running, "load_or_log", hardware)
    monkeypatch.setattr(running, "load_plugged", nothing)
    monkeypatch.setattr(running, "watch_button", nothing)
    monkeypatch.setattr(running, "set_hostname", unwritable)
    monkeypatch.setattr(running, "own_hostname", lambda: "attic")
    monkeypatch.setattr(running, "built_s", lambda: BUILT_S)
    link: Any = Link()
    asyncio.run(running._reach(link, hosted(tmp_path)))
    bounds = Bounds(0.0, BUILT_S + HORIZON_S, BUILT_S)
    assert made == [("10.0.0.1", *DEFAULT_SERVERS), bounds, ("watchdog",), "asks"]
