"""Updates fitted to the machine: which partitions the slots are, what runs, and what is told and done at a start."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from capsuled.boot.disks import partition_of
from capsuled.boot.ground import Booted
from capsuled.boot.loader import loader_of
from capsuled.boot.partitions import NUMBERS
from capsuled.boot.system import MODE, System
from capsuled.engine import Engine
from capsuled.evidence.finding import find_out
from capsuled.evidence.forgetting import forget as forget_evidence
from capsuled.lan import on_lan
from capsuled.layout import Layout
from capsuled.services.capsule import About
from capsuled.updates import level
from capsuled.updates.at_boot import Standing, look, settle
from capsuled.updates.beside import NOTED
from capsuled.updates.kept_volumes import forget
from capsuled.updates.runtime_files import Settled, before_the_runtime
from capsuled.updates.runtime_files import forget as forget_records
from capsuled.updates.switching import Switch
from capsuled.updates.trial import Trial
from capsuled.updates.updates import Updates
from effects.slots.manifest import MEMBERS
from effects.slots.one_shot import take_back
from effects.slots.partitions import Partitions, Places
from effects.slots.protocol import SLOTS, BootLoader, LoaderFailed
from init.recorder import AREA_BYTES
from journal.clock import Clock
from journal.entry import SYSTEM
from journal.errors import JournalError
from journal.events import DaemonStarted
from journal.evidence import FailedCheck
from journal.reader import Reader
from journal.sidelog import SideLog
from projections.refusals import Refusal
from projections.update_health import Facts
from projections.update_intents import Level
from projections.update_intents import System as Build
from projections.update_reconcile import Booted as Told
from projections.update_reconcile import Reconciled, boots_by_itself, reconcile
from projections.updates import unconfirmed

ANSWERED_S = 30.0
"""The API is asked every ten seconds."""
KERNEL_VERSION = Path("/proc/sys/kernel/osrelease")

log = logging.getLogger(__name__)


class Fitted(msgspec.Struct, frozen=True):
    """What the wiring function keeps of it. `beside`: the engine is that of updates alone (beside.py)."""

    engine: Engine
    updates: Updates
    switch: Switch
    loader: BootLoader
    build: Build
    root: str
    beside: bool = False


def running(release: str, built_s: float) -> Build:
    """The system that runs, by the words of its release file."""
    version, _, commit = release.partition(" ")
    return Build(version, commit, int(built_s) if built_s < 1 << 40 else 0)


async def tried(booted: Booted, loader: BootLoader) -> int:
    """The update whose system runs on trial; 0 where it is here to stay: also in the boot that was its trial, in which
    a daemon is started again once it was confirmed. The boot loader's word, for the journal is not open yet."""
    if not booted.update:
        return 0
    variables, _ = await look(loader)
    return 0 if boots_by_itself(_told(booted), variables) else booted.update


async def runtime_settled(system: System, root: Path, kept: Path) -> Settled:
    """What containerd is started on, see before_the_runtime. Raises OSError where that begins no trial: it would do so
    in each life of the daemon, and PID 1 sends the machine back at once."""
    loader = loader_of(system.root)
    update = await tried(system.booted, loader)
    try:
        settled = before_the_runtime(root, kept, system.slot, update)
    except OSError as error:
        if system.keeper is not None:
            why = f"what containerd knows cannot be copied aside: {error.strerror or error}"
            system.keeper.keep("state-lost", (FailedCheck("state", why),))
        if update:
            with contextlib.suppress(LoaderFailed):
                await take_back(loader)  # firmware that noted nothing would boot it again, and again
        system.link.say("lost")
        raise
    system.notes += filter(None, (settled.said,))
    return settled


def fit(
    system: System,
    engine: Engine,
    clock: Clock,
    reader: Reader | None,
    about: About,
    crowded: Callable[[], str],
    *,
    beside: bool = False,
    keys_known: bool = True,
) -> Fitted:
    """For a machine that booted from its own disk. `crowded` as in Updates, and blocking."""
    root = system.root
    loader = loader_of(root)
    slots = Partitions(_places(root), AREA_BYTES)
    build = running(system.release, system.built_s)
    switch = Switch(engine, loader)

    def stands() -> Level:
        return level.forms() if reader is None else level.standing(reader)

    def reboot() -> None:
        system.link.say("reboot")

    updates = Updates(
        engine,
        slots,
        switch,
        clock,
        build,
        stands,
        lambda: bool(on_lan(about.bridge)),
        reboot,
        noted=NOTED if beside else "",
        keys_known=keys_known,
        crowded=lambda: asyncio.to_thread(crowded),
    )
    return Fitted(engine, updates, switch, loader, build, root, beside)


def _places(root: str) -> Places:
    return {
        (slot, member): Path(partition_of(root, number))
        for slot in SLOTS
        for member, number in zip(MEMBERS, NUMBERS[slot], strict=True)
    }


async def begin_beside(fitted: Fitted, system: System, clock: Clock, layout: Layout, about: About) -> bool:
    """The start of a life whose journal takes nothing, as far as it concerns slots; whether the system that runs is on
    trial and nobody knows of it."""
    boot = clock.boot_id
    found = await opening(fitted, system, boot, about)
    try:
        fitted.engine.record((DaemonStarted(MODE, "crash", os.getpid()),), actor=SYSTEM)
        return (await settled(fitted, found, layout, boot, about)).stray
    except JournalError as error:
        words = f"what this boot means for updates is not remembered, and none is begun or ended in it: {error}"
        about.warn(words)
        # What is known of slots is as of another boot.
        fitted.engine.closed = Refusal("RESOURCE_EXHAUSTED", "NOT_REMEMBERED", f"{words}, and start the machine anew")
        return found.trial  # nobody could confirm it, and nobody would know that it is to go back


async def opening(fitted: Fitted, system: System, boot: str, about: About) -> Reconciled:
    """What this start makes of journal and boot loader, before anything of it is told."""
    variables, wrong = await look(fitted.loader)
    if wrong:
        about.warn(wrong)
    booted = system.booted
    if booted.slot != booted.default_slot and not booted.update:
        about.warn(
            f"the boot loader could not load {booted.default_slot}, its default: {booted.slot} runs in its place"
        )
    kernel = KERNEL_VERSION.read_text().strip()
    found = reconcile(fitted.engine.machine, boot, _told(booted), variables, system.release, kernel)
    if found.back is not None and found.take_back:
        about.warn(
            f"update {found.back.uid} was not booted: the boot loader boots a new system only once it has written down "
            "that it does, and this machine's firmware could not write that to the disk"
        )
    return found


def _told(booted: Booted) -> Told:
    return Told(booted.slot, booted.default_slot, booted.update, booted.window_s)


async def settled(fitted: Fitted, found: Reconciled, layout: Layout, boot: str, about: About) -> Standing:
    """Told and done."""
    standing = await settle(
        fitted.engine,
        found,
        fitted.switch,
        lambda update, loader: find_out(update, loader, layout, boot, fitted.root),
        restores=not fitted.beside,
    )
    for warning in standing.warnings:
        about.warn(warning)
    return standing


async def try_out(
    fitted: Fitted,
    system: System,
    engine: Engine,
    clock: Clock,
    layout: Layout,
    about: About,
    stray: bool,
    side_log: SideLog | None,
) -> None:
    """Where the system that runs is on trial: until that is decided. `engine` is the machine's, which may not be able
    to do more than look at it."""
    if not system.booted.update:
        await _forget(fitted, engine, layout, side_log)
        return
    if stray:
        about.warn("this system is on trial, and the journal knows of no such update: the machine goes back")
        system.link.say("reboot")
        return

    async def facts() -> Facts:
        answers = time.monotonic() - system.answered_s < ANSWERED_S
        return Facts(answers, await asyncio.to_thread(_state, layout, engine), bool(on_lan(about.bridge)))

    def go_back() -> None:
        system.link.say("reboot")

    stayed = False

    def stays() -> None:
        nonlocal stayed
        stayed = True
        system.link.say("confirmed")

    await Trial(fitted.engine, fitted.switch, clock, facts, system.keeper, go_back, stays).run()
    if stayed:
        await asyncio.to_thread(forget_records, layout.updates, system.booted.update)
    await _forget(fitted, engine, layout, side_log)


async def _forget(fitted: Fitted, engine: Engine, layout: Layout, side_log: SideLog | None) -> None:
    """What is kept of updates that have had their day."""
    if fitted.engine is engine and not unconfirmed(engine.machine):
        await forget(engine)
        await asyncio.to_thread(_forget_evidence, layout.evidence, side_log, frozenset(engine.machine.updates))


def _forget_evidence(evidence: Path, side_log: SideLog | None, known: frozenset[int]) -> None:
    """What this release cannot read of the side log may be of updates that another one is to know again."""
    try:
        if side_log is None or not side_log.count():
            forget_evidence(evidence, known)
    except OSError as error:
        log.warning("what is left of updates that nobody remembers is kept: %s", error.strerror)


def _state(layout: Layout, engine: Engine) -> str:
    if not layout.state.is_mount():
        return f"{layout.state} is not mounted"
    try:
        engine.check_writable()
    except JournalError as error:
        return str(error)
    return ""
