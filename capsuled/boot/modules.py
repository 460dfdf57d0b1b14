"""Drivers for the hardware that is there, and those that nobody asks the kernel for by name.

Those of the root and the state the initramfs has loaded (image/initramfs.py). There is no udev: the kernel lists every
device with the names of drivers that would fit (modalias), and modprobe knows which of them exist. A driver may bring
further devices, and what is plugged in later the kernel tells (plugged.py). Links, file systems and netfilter's parts
the kernel loads by itself when they are used.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from capsuled.boot.errors import DriversFailed
from capsuled.boot.sysfs import text_of
from capsuled.processes import CommandFailed, run

log = logging.getLogger(__name__)

WITNESSES = ("i6300esb", "sp5100_tco")
"""The watchdogs that remember that they fired: before anybody asks why the boot before this one ended (what keeps the
kernel's last words the initramfs has loaded). Of several watchdogs PID 1 pets the first."""
ALWAYS = ("loop", "tun", "vhost_vsock", "evdev")
VIRTUALIZATION = {"vmx": "kvm_intel", "svm": "kvm_amd"}
"""By the processor's flag: the other one's would only complain."""

CHIPSET_WATCHDOG = "iTCO_wdt"
"""Intel's, whose device is there once the drivers of two others are: it must come before the kernel's own, which a
kernel that is locked up does not hear either. PID 1 pets the one that came first."""
SOFT_WATCHDOG = "softdog"
WATCHDOG = Path("/dev/watchdog")

ROUNDS = 4
"""Of looking for devices that drivers have brought: a card behind a controller behind a bridge, and one to spare."""

PATIENCE_S = 90.0
"""So long the drivers may take, while nobody asks for an address: on a slow machine it is a tenth of this. One that
hangs in the kernel takes for ever, and cannot be killed."""

_LACKING = "some of the hardware may lack its driver"

OF_ALIASES = "--use-blacklist"
"""What an operator does not want loaded is loaded by its name, and not for a device."""


def aliases(sys: Path) -> tuple[str, ...]:
    """What the devices in sysfs are called, each name once. Devices come and go under the walk, as each container's
    interface does: what has gone is passed over (`rglob` would raise)."""
    found = {text_of(Path(place, "modalias")) for place, _, files in os.walk(sys / "devices") if "modalias" in files}
    return tuple(sorted(found - {""}))


async def load(names: Iterable[str], *options: str) -> None:
    """Those of them that the kernel has. What does not load is missed where it is needed, by name."""
    try:
        await run("modprobe", "--all", "--quiet", *options, *names)
    except CommandFailed:
        pass  # some alias has no driver here, or a driver no hardware


async def load_or_log(beside: asyncio.TaskGroup, loaded: Callable[[], None]) -> None:
    """Load them where nobody is told of failures but the log. `loaded`: a watchdog may be there."""
    try:
        await load_hardware(beside, loaded)
    except DriversFailed as error:
        log.error("%s", error)
    loaded()


async def load_hardware(beside: asyncio.TaskGroup, late: Callable[[], None], sys: Path = Path("/sys")) -> None:
    """Load them. What takes too long goes on `beside`, and `late` is called if it comes to its end after all, and
    nothing is lacking. Raises DriversFailed."""
    loading = beside.create_task(_tried(sys))
    await asyncio.wait({loading}, timeout=PATIENCE_S)
    if not loading.done():
        loading.add_done_callback(lambda task: None if task.cancelled() or task.result() else late())
        raise DriversFailed(
            f"{_LACKING}: one has not come to its end within {PATIENCE_S:g} s, and those behind it wait. It may hang "
            "in the kernel, whose log has more: start the machine anew"
        )
    if why := loading.result():
        raise DriversFailed(f"{_LACKING}: {why}. Start the machine anew")


async def _tried(sys: Path) -> str:
    """Returns what went wrong, if anything: nobody may be left to whom it could be raised."""
    try:
        await _load_all(sys)
    except OSError as error:
        log.warning("the drivers of the hardware are not all loaded: %s", error)
        return str(error)
    return ""


async def _load_all(sys: Path) -> None:
    """What the devices ask for, what nobody asks for, and a watchdog: the kernel's own where the machine has none."""
    await load_asked_for(sys)
    flags = Path("/proc/cpuinfo").read_text().split()
    await load((*ALWAYS, *(name for flag, name in VIRTUALIZATION.items() if flag in flags)))
    if not WATCHDOG.exists():
        await load((CHIPSET_WATCHDOG,))
    if not WATCHDOG.exists():
        # One that panics, rather than resets, leaves the kernel's last words.
        with contextlib.suppress(CommandFailed):
            await run("modprobe", "--quiet", SOFT_WATCHDOG, "soft_panic=1")


async def load_asked_for(sys: Path = Path("/sys")) -> None:
    """What the devices ask for, and those that these bring."""
    known: set[str] = set()
    for _ in range(ROUNDS):
        new = [alias for alias in await asyncio.to_thread(aliases, sys) if alias not in known]
        if not new:
            return
        known.update(new)
        await load(new, OF_ALIASES)
