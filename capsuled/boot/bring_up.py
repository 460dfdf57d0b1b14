"""From PID 1's start of the daemon to the point where an ordinary daemon begins: the storage under the state.

It is done once a boot; a daemon that is started again finds it done. Where there is no state to start on, the
console says why, and that is all there is.
"""

import asyncio
import contextlib
import logging
import math
import os
from functools import partial
from pathlib import Path

from capsuled.boot import modules
from capsuled.boot.console import Console
from capsuled.boot.errors import StorageFailed
from capsuled.boot.ground import RELEASE_FILE, Booted, Ground
from capsuled.boot.link import ALIVE_S, InitLink
from capsuled.boot.loader import loader_of
from capsuled.boot.mode import is_installer
from capsuled.boot.power import watch_button
from capsuled.boot.stages import BEGAN, Stages, before_us, since_boot_ns
from capsuled.boot.storage import Mounted, Storage, booted_from
from capsuled.evidence.keeping import Keeper
from capsuled.evidence.last_words import take
from capsuled.layout import Layout, hosted
from effects.slots.one_shot import take_back
from effects.slots.protocol import LoaderFailed
from init.life import START_S
from init.trial import DEFAULT_WINDOW_S
from journal.release import RELEASE

log = logging.getLogger(__name__)

LEAST_RESERVE_KIB = 16 << 10

LONGEST_S = 3600
"""A file system check of a large, slow disk takes its time, and PID 1 is told so for as long as one may be under way:
a daemon that hangs elsewhere in its start is not left alone for so long."""

COMMAND_LINE = Path("/proc/cmdline")
PROC_SYS = Path("/proc/sys")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

KERNEL_SETTINGS = {
    # Workloads on the bridge reach the LAN and are reached from it.
    "net/ipv4/ip_forward": "1",
    # Of a user, and root is that of this daemon, of containerd's shims and of most containers' programs alike. The
    # kernel's 128 are gone with half of the workloads that a bridge has room for: a shim needs one a container, to hear
    # of kills for want of memory. So many is what hosts of containers commonly give.
    "fs/inotify/max_user_instances": "8192",
    # The most that the kernel gives a large machine by itself; a small one gets a few thousand, which one container
    # that watches its sources takes. Each costs a KiB, which counts as memory of the container that watches.
    "fs/inotify/max_user_watches": "1048576",
}
"""A hosted daemon leaves these to its machine's owner."""


class InstallerBooted(Exception):
    """Raised where there is no state to be brought up, because the machine is to be installed first."""


async def bring_up(state: Path, link: InitLink) -> Ground:
    """Raises StorageFailed where there is no state, and InstallerBooted."""
    stages = Stages()
    if not stages.complete:
        before_us(stages, BEGAN, since_boot_ns())
    for setting, value in KERNEL_SETTINGS.items():
        (PROC_SYS / setting).write_text(value)
    (PROC_SYS / "vm/min_free_kbytes").write_text(
        str(reserve_kib(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")))
    )
    root, words = booted_from(), COMMAND_LINE.read_text()
    if not state.is_mount() and await is_installer(root, words):
        raise InstallerBooted
    mounted, _ = await asyncio.gather(storage_up(state, stages, link), _witnesses(stages))
    booted = booted_of(words)
    keeper = _keeping(hosted(state), booted, stages)
    return Ground(link, stages, booted, root, mounted, release_text(), keeper)


async def storage_up(state: Path, stages: Stages, link: InitLink) -> Mounted:
    """Checked, and in the first boot grown: what is mounted already needs neither."""
    storage = Storage(state, stages)
    if state.is_mount():
        return await storage.bring_up()
    link.say("wait", LONGEST_S)
    try:
        return await storage.bring_up()
    finally:
        link.say("wait", int(START_S))


async def _witnesses(stages: Stages) -> None:
    """Beside the storage, which waits for LVM and the disk more than for a processor."""
    with stages.stage("drivers of the witnesses"):
        await modules.load(modules.WITNESSES)


def reserve_kib(memory_bytes: int) -> int:
    """What the kernel keeps free of so much memory for what cannot wait: as it does without huge pages (the square root
    of sixteen times the KiB), and 16 MiB at least. With them it keeps 44 MiB of 2 GiB, and counts 120 as not available.
    Pure."""
    return max(LEAST_RESERVE_KIB, math.isqrt(memory_bytes // 1024 * 16))


def booted_of(command_line: str) -> Booted:
    """A slot that is not the default one is tentative, where it is an update's. Pure."""
    words = dict(word.partition("=")[::2] for word in command_line.split())
    slot, update, window = (words.get(f"capsule.{name}", "") for name in ("slot", "update", "window"))
    default = words.get("capsule.default", slot)
    tentative = update.isdecimal() and slot != default
    window_s = int(window) if window.isdecimal() else DEFAULT_WINDOW_S
    return Booted(slot, default, int(update), window_s) if tentative else Booted(slot, default)


def _keeping(layout: Layout, booted: Booted, stages: Stages) -> Keeper | None:
    """What the kernel kept over the reset is taken before this boot may add to it; then a tentative one begins to keep
    what it leaves. A disk that takes none of it is no reason not to boot."""
    boot = BOOT_ID.read_text().strip()
    emptied = False
    try:
        emptied = take(layout.last_words, boot)
    except OSError as error:
        log.warning("what the kernel kept over the reset is not taken: %s", error.strerror)
    if not booted.update:
        return None
    keeper = Keeper(booted.update, layout.evidence_of(booted.update))
    keeper.begin(boot, booted.slot, release_text(), emptied)
    stages.tell = keeper.mark
    return keeper


def release_text() -> str:
    """Release and commit, as they were built."""
    try:
        return RELEASE_FILE.read_text().strip()
    except OSError:
        return RELEASE


async def console_only(link: InitLink, why: str, stopping: asyncio.Event) -> None:
    """Say on the console why nothing can be started, until told to stop. PID 1 hears that somebody is there: a reset
    would change nothing, but for a new system on trial, which PID 1 ends."""
    log.error("%s", why)
    await _take_back()
    link.say("lost")
    async with asyncio.TaskGroup() as group:
        rescue = group.create_task(_rescue(link, why))
        while not stopping.is_set():
            link.say("alive")
            try:
                async with asyncio.timeout(ALIVE_S):
                    await stopping.wait()
            except TimeoutError:
                continue
        rescue.cancel()


async def _take_back() -> None:
    """PID 1 sends a system on trial back at once: firmware that did not note that its boot was taken would boot it
    again, and again."""
    if booted_of(COMMAND_LINE.read_text()).update:
        with contextlib.suppress(StorageFailed, LoaderFailed):
            await take_back(loader_of(booted_from()))


async def _rescue(link: InitLink, why: str) -> None:
    """Drivers, the words on the console, and the power button, until cancelled."""
    async with asyncio.TaskGroup() as group:
        await modules.load_or_log(group, partial(link.say, "watchdog"))
        _say_lost(why)
        await watch_button(partial(link.say, "poweroff"))


def _say_lost(why: str) -> None:
    Console.found().show(
        "\n".join(
            (
                "RESCUE: this capsule has no state to start on, so nothing runs and no API is served.",
                why,
                "Mend the disk, or boot another system to look at it. Ctrl-Alt-Del or the power button end this one.",
            )
        )
    )
