"""Drivers for what is there and for what is plugged in, with a modprobe that notes what it was asked for."""

import asyncio
import os
import shutil
import socket
from pathlib import Path

import pytest

from capsuled.boot import bring_up, modules, plugged
from capsuled.boot.console import Console
from capsuled.boot.errors import DriversFailed
from capsuled.boot.link import InitLink
from capsuled.boot.plugged import modalias_of
from effects.slots.protocol import LoaderState
from effects.slots.twin import SlotDisk, TwinLoader
from tests.support.beside import at_once

_MODPROBE = """#!/bin/sh
echo "$*" >>{place}/asked
case " $* " in *" pci:smbus "*) mkdir -p {place}/sys/devices/tco; echo platform:iTCO_wdt >{place}/sys/devices/tco/modalias ;; esac
case " $* " in *{watchdog}*) : >{place}/watchdog ;; esac
"""


class Kernel:
    """A sysfs with a bus on Intel's chipset, whose driver brings the device of a watchdog."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch, watchdog: str) -> None:
        self.place, self.sys = place, place / "sys"
        (self.sys / "devices/smbus").mkdir(parents=True)
        (self.sys / "devices/smbus/modalias").write_text("pci:smbus\n")
        (place / "bin").mkdir()
        (place / "bin/modprobe").write_text(_MODPROBE.format(place=place, watchdog=watchdog))
        (place / "bin/modprobe").chmod(0o755)
        monkeypatch.setenv("PATH", f"{place}/bin:{os.environ['PATH']}")
        monkeypatch.setattr(modules, "WATCHDOG", place / "watchdog")

    @property
    def asked(self) -> list[str]:
        """The words of each call, without the options, in their order."""
        lines = (self.place / "asked").read_text().splitlines()
        return [" ".join(word for word in line.split() if not word.startswith("--")) for line in lines]


async def load(kernel: Kernel) -> None:
    """As a boot does."""
    async with asyncio.TaskGroup() as group:
        await modules.load_hardware(group, lambda: None, kernel.sys)


@pytest.mark.parametrize("watchdog", ["iTCO_wdt", "platform:iTCO_wdt"])
def test_the_chipsets_watchdog_is_taken_though_its_device_comes_only_with_another_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watchdog: str
) -> None:
    kernel = Kernel(tmp_path, monkeypatch, watchdog)
    asyncio.run(load(kernel))
    assert kernel.asked[:2] == ["pci:smbus", "platform:iTCO_wdt"]
    assert not any("softdog" in one for one in kernel.asked)


def test_where_the_machine_has_no_watchdog_it_is_the_kernels_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(tmp_path, monkeypatch, "softdog")
    asyncio.run(load(kernel))
    assert kernel.asked[-2:] == ["iTCO_wdt", "softdog soft_panic=1"]


def test_a_device_that_goes_while_the_others_are_looked_at_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("eth0", "veth3"):
        (tmp_path / "devices" / name).mkdir(parents=True)
        (tmp_path / "devices" / name / "modalias").write_text("pci:card\n")

    def read(file: Path) -> str:
        said = file.read_text().strip()
        for other in set((tmp_path / "devices").iterdir()) - {file.parent}:
            shutil.rmtree(other)
        return said

    monkeypatch.setattr(modules, "text_of", read)
    assert modules.aliases(tmp_path) == ("pci:card",)


def test_a_driver_that_hangs_is_not_waited_for_and_told_of_if_it_comes_after_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel, late = Kernel(tmp_path, monkeypatch, "softdog"), list[str]()
    (tmp_path / "bin/modprobe").write_text(f"#!/bin/sh\nwhile [ ! -e {tmp_path}/done ]; do sleep 0.01; done\n")
    monkeypatch.setattr(modules, "PATIENCE_S", 0.05)

    async def boot() -> None:
        async with asyncio.TaskGroup() as group:
            with pytest.raises(DriversFailed, match=r"within 0.05 s.*: start the machine anew"):
                await modules.load_hardware(group, lambda: late.append("late"), kernel.sys)
            assert not late
            (tmp_path / "done").touch()

    asyncio.run(asyncio.wait_for(boot(), 20))
    assert late == ["late"]


def test_one_that_comes_to_no_good_end_is_lacking_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = list[str]()
    monkeypatch.setattr(modules, "PATIENCE_S", 0.05)

    async def boot() -> None:
        over = asyncio.Event()

        async def fails(sys: Path) -> None:
            await over.wait()
            raise FileNotFoundError(2, "No such file or directory", "modprobe")

        monkeypatch.setattr(modules, "_load_all", fails)
        async with asyncio.TaskGroup() as group:
            with pytest.raises(DriversFailed, match=r"within 0.05 s"):
                await modules.load_hardware(group, lambda: late.append("late"))
            over.set()

    asyncio.run(asyncio.wait_for(boot(), 20))
    assert not late


def test_drivers_that_cannot_be_loaded_are_told_of_once_and_end_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel, late = Kernel(tmp_path, monkeypatch, "softdog"), list[str]()
    monkeypatch.setenv("PATH", str(tmp_path))

    async def boot() -> None:
        async with asyncio.TaskGroup() as group:
            with pytest.raises(DriversFailed, match=r"No such file or directory.*\. Start the machine anew"):
                await modules.load_hardware(group, lambda: late.append("late"), kernel.sys)

    asyncio.run(asyncio.wait_for(boot(), 20))
    assert not late


@pytest.mark.parametrize(
    ("datagram", "alias"),
    [
        (b"add@/devices/usb1/1-1\0ACTION=add\0SUBSYSTEM=usb\0MODALIAS=usb:v0BDAp8153\0SEQNUM=9\0", "usb:v0BDAp8153"),
        (b"add@/devices/virtual/net/veth1\0ACTION=add\0SUBSYSTEM=net\0", ""),
        (b"remove@/devices/usb1/1-1\0ACTION=remove\0MODALIAS=usb:v0BDAp8153\0", ""),
        (b"libudev\0\xfe\xed\xca\xfe\0MODALIAS=usb:v0BDAp8153\0", ""),
        (b"", ""),
    ],
)
def test_a_device_that_came_says_what_it_asks_for(datagram: bytes, alias: str) -> None:
    assert modalias_of(datagram) == alias


class Told(plugged.Asked):
    """News without a kernel: what a device asked for, and whether more was missed."""

    def __init__(self, *aliases: str, missed: bool = False) -> None:
        self.came = asyncio.Event()
        self._wanted, self._missed = set(aliases), missed
        self.came.set()

    def close(self) -> None:
        """Nothing was opened."""


@pytest.mark.parametrize("missed", [False, True])
def test_what_is_plugged_in_gets_its_driver_behind_those_of_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missed: bool
) -> None:
    kernel = Kernel(tmp_path, monkeypatch, "none")
    monkeypatch.setattr(plugged, "Asked", lambda: Told("usb:v0BDAp8153", missed=missed))
    looked: list[str] = []

    async def live() -> None:
        started, done = asyncio.Event(), asyncio.Event()

        async def look() -> None:
            looked.append("all")
            done.set()

        async def load(*told: object) -> None:
            await modules_load(*told)  # type: ignore[arg-type]
            done.set()

        modules_load = modules.load
        monkeypatch.setattr(modules, "load_asked_for", look)
        monkeypatch.setattr(modules, "load", load)
        task = asyncio.create_task(plugged.load_plugged(started))
        await asyncio.sleep(2 * plugged.BURST_S)
        assert not (tmp_path / "asked").exists() and not looked
        started.set()
        await done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(asyncio.wait_for(live(), 20))
    assert looked == ["all"] if missed else kernel.asked == ["usb:v0BDAp8153"]


@pytest.mark.skipif(os.geteuid() != 0, reason="this machine lacks root")
def test_the_kernel_is_heard_and_nobody_in_its_name() -> None:
    async def live() -> None:
        asked = plugged.Asked()
        try:
            # To this socket alone: the news of a machine are not made up.
            with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, 15) as other:
                other.sendto(b"add@/x\0MODALIAS=usb:forged\0", (asked._listener.getsockname()[0], 0))
            await asyncio.sleep(0.1)
            assert "usb:forged" not in asked.taken()[0]
        finally:
            asked.close()

    asyncio.run(live())


@pytest.mark.parametrize(
    ("default", "fails", "taken_back"), [("slot_a", "", True), ("slot_a", "variables", False), ("slot_b", "", False)]
)
def test_without_a_state_the_power_button_still_ends_the_machine_and_a_trial_is_not_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, default: str, fails: str, taken_back: bool
) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    Kernel(tmp_path, monkeypatch, "softdog")

    async def pressed(told: object) -> None:
        assert callable(told)
        told()
        await asyncio.Event().wait()

    async def nothing(*_: object) -> None:
        return None

    monkeypatch.setattr(bring_up, "watch_button", pressed)
    monkeypatch.setattr(modules, "load_hardware", nothing)
    monkeypatch.setattr(Console, "found", classmethod(lambda cls: cls(())))
    (tmp_path / "cmdline").write_text(f"capsule.slot=slot_b capsule.default={default} capsule.update=7\n")
    monkeypatch.setattr(bring_up, "COMMAND_LINE", tmp_path / "cmdline")
    monkeypatch.setattr(bring_up, "booted_from", lambda: "/dev/vda5")
    disk = SlotDisk()
    disk.state = LoaderState("slot_a", "slot_b", 7)  # as firmware leaves it that writes nothing
    disk.fails = fails
    monkeypatch.setattr(bring_up, "loader_of", lambda root: TwinLoader(disk, at_once))

    async def live() -> None:
        stopping = asyncio.Event()
        task = asyncio.create_task(bring_up.console_only(InitLink(writing), "the disk is gone", stopping))
        words = b""
        while b"poweroff\n" not in words:
            await asyncio.sleep(0.01)
            try:
                words += os.read(reading, 4096)
            except BlockingIOError:
                continue
        stopping.set()  # as PID 1 has it, which ends the daemon
        await task
        assert words.split() == [b"lost", b"alive", b"watchdog", b"poweroff"]
        assert (disk.state.next_slot is None) is taken_back

    asyncio.run(asyncio.wait_for(live(), 20))
    os.close(reading)
    os.close(writing)
