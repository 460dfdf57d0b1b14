"""What the operating system adds to the daemon, on a machine whose drivers are no help."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from capsuled.boot import modules, system
from capsuled.boot.ground import Booted, Ground
from capsuled.boot.link import InitLink
from capsuled.boot.stages import Stages
from capsuled.boot.storage import Mounted
from capsuled.boot.system import System
from capsuled.condition import State
from capsuled.identity import Identity
from capsuled.layout import hosted
from capsuled.services.capsule import About

BOUND_S = 20


class Wire(InitLink):
    """To a PID 1 that notes what it hears."""

    def __init__(self) -> None:
        super().__init__(None)
        self.heard: list[str] = []

    def say(self, word: str, number: int | None = None) -> None:
        self.heard.append(word)


class Lan:
    """An uplink; `began` once it runs."""

    def __init__(self, *_: object) -> None:
        self.began = asyncio.Event()

    async def warnings(self) -> tuple[str, ...]:
        return ()

    def unreached(self) -> str:
        return ""

    async def ready(self) -> None:
        await asyncio.Event().wait()

    async def run(self, hostname: str) -> None:
        assert hostname
        self.began.set()
        await asyncio.Event().wait()


async def _for_ever(*_: object) -> None:
    await asyncio.Event().wait()


async def _gone(sys: Path) -> None:
    raise FileNotFoundError(2, "No such file or directory", "/sys/devices/virtual/net/veth3")


async def _at_once(sys: Path) -> None: ...


async def _fails_the_test(sys: Path) -> None:
    raise AssertionError("once a boot is complete its drivers are loaded")


def _unwritable(file: Path) -> str:
    raise OSError(30, "Read-only file system", "/etc/hosts")


class Time:
    """A clock that needs nobody."""

    problem = ""

    def __init__(self, *_: object) -> None: ...

    async def warnings(self) -> tuple[str, ...]:
        return ()

    run = _for_ever


@contextlib.asynccontextmanager
async def _answering(place: object) -> AsyncIterator[Callable[..., object]]:
    yield _for_ever


@pytest.mark.parametrize(
    ("loads", "named", "warned"),
    [
        (_gone, lambda file: "attic", "some of the hardware may lack its driver: [Errno 2]"),
        (_for_ever, lambda file: "attic", "some of the hardware may lack its driver: one has not come to its end"),
        (_gone, _unwritable, "the machine's name cannot be set: [Errno 30]"),
    ],
)
def test_the_uplink_and_the_button_wait_for_no_driver_and_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loads: object, named: object, warned: str
) -> None:
    button = asyncio.Event()

    async def watch(pressed: object) -> None:
        button.set()

    async def live() -> None:
        lan, wire, nothing = Lan(), Wire(), SimpleNamespace(problem="", changes=lambda: None, machine=None)
        stages = Stages(tmp_path / "stages.json")
        unused: Any = nothing
        machine = System(Ground(wire, stages, Booted("slot_a"), "/dev/vda3", Mounted(), "0.1.0 abc"))
        about = About(Identity("2ad99090-a60b-4666-a937-e5842bde9915", b"k" * 32), Path("/"), State())
        for name, fake in {
            "Uplink": lambda *_: lan, "NetworkTime": Time, "answering": _answering, "load_plugged": _for_ever,
            "keep_showing": _for_ever, "watch_button": watch, "kernel_news": lambda *_: None,
            "merged": lambda *_: None, "set_hostname": named, "own_hostname": lambda: "attic",
        }.items():  # fmt: skip
            monkeypatch.setattr(system, name, fake)
        monkeypatch.setattr(modules, "PATIENCE_S", 0.05)
        monkeypatch.setattr(modules, "_load_all", loads)
        keeping = asyncio.create_task(machine.keep(unused, unused, about, hosted(tmp_path), lambda: True, unused))
        await lan.began.wait()
        await button.wait()
        assert "watchdog" in wire.heard
        assert [one.name for one in stages.all if one.problem] == ["drivers of the hardware"]
        await machine._has_hardware.wait()  # or the boot would never be complete
        assert any(one.startswith(warned) for one in await about.warnings(1.0))
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)

    asyncio.run(asyncio.wait_for(live(), BOUND_S))


def test_what_lacks_its_driver_is_told_by_each_daemon_of_the_boot_until_one_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(modules, "PATIENCE_S", 0.05)

    async def warned(loads: object, complete: bool) -> list[str]:
        monkeypatch.setattr(modules, "_load_all", loads)
        stages = Stages(tmp_path / "stages.json")
        about = About(Identity("2ad99090-a60b-4666-a937-e5842bde9915", b"k" * 32), Path("/"), State())
        machine = System(Ground(Wire(), stages, Booted("slot_a"), "/dev/vda3", Mounted(), "0.1.0 abc"))
        async with asyncio.TaskGroup() as group:
            await machine._load_hardware(group, about)
        if complete:
            stages.keep()
        return await about.warnings(1.0)

    async def live() -> None:
        lacks = await warned(_gone, False)
        assert len(lacks) == 1
        assert await warned(_gone, True) == lacks  # it was started again before the boot was complete
        assert await warned(_fails_the_test, True) == lacks  # and behind that nothing is loaded
        (tmp_path / "stages.json").unlink()
        assert await warned(_at_once, True) == await warned(_fails_the_test, True) == []

    asyncio.run(asyncio.wait_for(live(), BOUND_S))


def test_a_driver_that_comes_late_is_lacking_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "PATIENCE_S", 0.05)

    async def live() -> None:
        comes = asyncio.Event()

        async def late(sys: Path) -> None:
            await comes.wait()

        monkeypatch.setattr(modules, "_load_all", late)
        stages = Stages(tmp_path / "stages.json")
        about = About(Identity("2ad99090-a60b-4666-a937-e5842bde9915", b"k" * 32), Path("/"), State())
        machine = System(Ground(Wire(), stages, Booted("slot_a"), "/dev/vda3", Mounted(), "0.1.0 abc"))
        async with asyncio.TaskGroup() as group:
            await machine._load_hardware(group, about)
            assert len(await about.warnings(1.0)) == 1
            comes.set()
        assert await about.warnings(1.0) == []

    asyncio.run(asyncio.wait_for(live(), BOUND_S))
