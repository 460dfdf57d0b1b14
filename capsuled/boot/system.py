"""What the operating system adds to the daemon, as one: the wiring function has it beside the rest or leaves it out."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Literal

from capsuled.believed import believed_ns, or_last
from capsuled.boot.answering import answering
from capsuled.boot.console import Console, Face, banner, keep_showing, merged
from capsuled.boot.disks import disk_of
from capsuled.boot.errors import DriversFailed
from capsuled.boot.ground import Ground, built_s
from capsuled.boot.hostname import set_hostname
from capsuled.boot.modules import load_hardware
from capsuled.boot.ntp import NetworkTime, bounds_of, servers_of
from capsuled.boot.plugged import load_plugged
from capsuled.boot.power import watch_button
from capsuled.boot.stages import HARDWARE
from capsuled.boot.uplink import Place, Uplink
from capsuled.engine import Engine
from capsuled.growing import disk_grown
from capsuled.hostname import own_hostname
from capsuled.info import counts
from capsuled.lan import reached
from capsuled.layout import Layout
from capsuled.services.capsule import About
from capsuled.state_disk import StateDisk
from effects.network.kernel_news import ADDRESSES, LINKS, kernel_news
from journal.entry import SYSTEM
from journal.errors import JournalError
from journal.events import BootCompleted, ClockStepped, Event, MachineEndRequested, UplinkChanged
from journal.reader import Reader
from projections.state import Machine
from projections.update_phases import UpdatePhase
from projections.updates import on_trial

log = logging.getLogger(__name__)

MODE: Literal["os"] = "os"

CLAIM_LOOK_S = 60.0
TRIAL_LOOK_S = 10.0


class System:
    """On what the boot left. `notes`: what else `introduce` is to tell an operator of this start."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self.link = ground.link
        self.stages = ground.stages
        self.booted = ground.booted
        self.slot = ground.booted.slot
        self.release = ground.release
        self.built_s = built_s()
        self.believed_ns = 0
        self.answered_s = float("-inf")
        self.keeper = ground.keeper
        self.root = ground.root
        self.notes: list[str] = []
        self._hostname = ""
        self._has_hardware = asyncio.Event()

    def knows_time(self, reader: Reader | None, last_ns: int) -> None:
        """From the journal: entries of a boot with a wrong clock are no proof that their time has passed. Where it
        cannot be read so far back, its last entry is, which is from `last_ns`."""
        self.believed_ns = or_last(believed_ns, reader, last_ns)

    def introduce(self, about: About) -> None:
        """What `info` tells of it."""
        about.mode, about.slot, about.absent, about.stages = MODE, self.slot, (), self.stages
        about.boot_disk = disk_of(self.root)
        for note in (*self._ground.mounted.notes, *self._ground.notes, *self.notes):
            about.warn(note)

    async def complete(self, engine: Engine) -> None:
        """Everything is up: the boot goes into the journal, once."""
        await self._has_hardware.wait()
        if self.stages.complete:
            self.link.say("ready")
            return
        self.stages.keep()
        for grown in disk_grown(disk_of(self.root), self._ground.mounted.grown):
            _record(engine, grown)
        _record(engine, BootCompleted(self.stages.all, self.stages.ready_ms))
        self.link.say("ready")

    async def keep(
        self,
        engine: Engine,
        slots: Engine,
        about: About,
        layout: Layout,
        adopted: Callable[[], bool],
        disk: StateDisk,
    ) -> None:
        """Liveness, uplink, time, console and button, until cancelled. `slots` knows of updates."""
        place = Place(layout.by_hand / "network", layout.state / "uplink", layout.daemon_logs / "uplink.log")

        def changed(interface: str, address: str, how: str) -> None:
            _record(engine, UplinkChanged(interface, address, how))

        def stepped(by_s: float, server: str) -> None:
            about.started_at_s += round(by_s)
            _record(engine, ClockStepped(round(by_s * 1000), server))

        uplink = Uplink(place, changed)
        about.ask(uplink.warnings)

        def servers() -> tuple[str, ...]:
            return servers_of(layout.by_hand / "ntp", uplink.time_servers(), uplink.own_time_servers())

        clock = NetworkTime(servers, bounds_of(self.built_s, self.believed_ns / 1e9), stepped)
        about.ask(clock.warnings)

        def pressed() -> None:
            _record(engine, MachineEndRequested("poweroff", by="power button"))
            self.link.say("poweroff")

        def face() -> str:
            problems = (disk.problem, clock.problem)
            return banner(self._face(engine, slots.machine, about, adopted(), uplink.unreached(), *problems))

        of_updates = () if slots is engine else (slots.changes(),)
        news = merged(kernel_news(ADDRESSES, LINKS), engine.changes(), *of_updates, _moments(slots, disk))

        async def hardware() -> None:
            await self._load_hardware(group, about)
            try:
                self._hostname = set_hostname(layout.by_hand / "hostname")
            except OSError as error:
                self._hostname = own_hostname()
                about.warn(f"the machine's name cannot be set: {error}")
            group.create_task(watch_button(pressed))
            try:
                await uplink.run(self._hostname)
            except OSError as error:  # the machine can still be looked at on its console, and at its socket
                about.warn(f"the machine has no uplink: {error}")

        async with answering(layout.served) as answers, asyncio.TaskGroup() as group:

            async def asked() -> None:
                await answers()
                self.answered_s = time.monotonic()

            group.create_task(self.link.keep_alive(asked))
            group.create_task(hardware())
            group.create_task(load_plugged(self._has_hardware))
            group.create_task(clock.run(uplink.ready))
            if self.keeper is not None:
                group.create_task(self.keeper.run(partial(_on_trial, slots, self.keeper.update)))
            group.create_task(keep_showing(Console.found(), face, news))

    async def _load_hardware(self, group: asyncio.TaskGroup, about: About) -> None:
        """What nothing has had to wait for until now: the API answers while the drivers of cards and watchdogs load."""

        def loaded() -> None:
            self.stages.stand(HARDWARE, ())
            self.link.say("watchdog")

        async def lacking() -> tuple[str, ...]:
            return self.stages.standing(HARDWARE)

        if not self.stages.complete:
            try:
                with self.stages.stage(HARDWARE):
                    await load_hardware(group, loaded)
                self.stages.stand(HARDWARE, ())
            except DriversFailed as error:
                log.error("%s", error)
                self.stages.stand(HARDWARE, (str(error),))
        about.ask(lacking)
        self.link.say("watchdog")
        self._has_hardware.set()

    def _face(
        self, engine: Engine, updates: Machine, about: About, adopted: bool, unreached: str, *problems: str
    ) -> Face:
        machine = engine.machine
        number = counts(machine)
        return Face(
            hostname=self._hostname or about.identity.short_id,
            short_id=about.identity.short_id,
            version=self._ground.release,
            slot=self.slot,
            addresses=reached(about.addresses, about.bridge),
            fingerprint=about.fingerprint,
            claimable=about.condition.acts and engine.claimable_s() > 0,
            adopted=adopted,
            condition=about.condition.condition.value,
            workloads=f"{number.running} of {number.workloads} run" if number.workloads else "none",
            trial=trial_text(updates, engine.mono_ns()),
            unreached=unreached,
            problems=tuple(filter(None, (about.condition.message, about.journal_room(), *problems))),
        )


def stage_of(system: System | None, name: str) -> contextlib.AbstractContextManager[None]:
    """A stage of a boot, where there was one."""
    return contextlib.nullcontext() if system is None else system.stages.stage(name)


def _on_trial(engine: Engine, uid: int) -> bool:
    """Whether the system of this update is not here to stay yet. Where the journal does not know of it, it is not."""
    update = engine.machine.updates.get(uid)
    return update is None or update.phase is not UpdatePhase.CONFIRMED


def _record(engine: Engine, event: Event) -> None:
    """A fact of the machine's, if the journal takes any."""
    try:
        engine.record((event,), reserved=True, actor=SYSTEM)
    except JournalError as error:
        log.warning("%s is not remembered: %s", type(event).__name__, error)


async def _moments(engine: Engine, disk: StateDisk) -> AsyncIterator[None]:
    """The claim window closes without any news of it, a trial's time runs, and a disk that fails says nothing."""
    while True:
        await disk.look()
        yield
        await asyncio.sleep(CLAIM_LOOK_S if on_trial(engine.machine) is None else TRIAL_LOOK_S)


def trial_text(machine: Machine, mono_ns: int) -> str:
    """What is to be confirmed and for how long that can still be done; empty for nothing. Pure."""
    update = on_trial(machine)
    if update is None:
        return ""
    left_s = 0 if update.deadline is None else max(0, update.deadline.mono_ns - mono_ns) // 1_000_000_000
    ill = f"; {len(update.failing)} checks fail" if len(update.failing) > 1 else ""
    ill = f"; {update.failing[0][0]} fails" if len(update.failing) == 1 else ill
    return f"on trial: goes back in {left_s // 60} min {left_s % 60:02} s unless it is confirmed{ill}"
