"""A machine with two slots, simulated: pushes, boots, trials and power cuts at every step, judged from outside.

The daemon's own code runs (receiving, switching, reconciling, the trial) on the twins of slots and boot loader and on a
journal that forgets what was not made durable. What stands in a slot decides how its boot goes. slot_judge.py says
what has to be so.
"""

import asyncio
import os
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.evidence.finding import Found
from capsuled.rpc import Refused
from capsuled.updates import level
from capsuled.updates.at_boot import Standing, look, settle
from capsuled.updates.beside import NOTED, engine_beside
from capsuled.updates.kept_volumes import forget
from capsuled.updates.reading_in import ReadIn, read_in
from capsuled.updates.receiving import Options
from capsuled.updates.switching import Switch
from capsuled.updates.trial import Trial
from capsuled.updates.updates import Back, Updates
from effects.slots.bundle import BundleStream
from effects.slots.manifest import FORMATS, Levels
from effects.slots.protocol import LoaderFailed, LoaderState, Room, Slot
from effects.slots.twin import NothingLoads, SlotDisk, TwinSlots
from journal.codec import encode, reader_level
from journal.entry import LOCAL, SYSTEM, Header, genesis
from journal.errors import JournalFull, JournalReadOnly
from journal.events import (
    DaemonStarted,
    Event,
    MachineHalted,
    SnapshotRemoved,
    SnapshotTaken,
    VolumeApplied,
    VolumeRestored,
)
from journal.evidence import Evidence, Loader, Verdict
from journal.sequencer import Chain, Draft, Stamp, bodies_of
from journal.sidelog import SECTORS, Emergency, SideLog
from projections.fold import replay
from projections.refusals import Refusal
from projections.state import Machine, Update, Volume
from projections.update_health import Facts
from projections.update_intents import Level, System
from projections.update_phases import UpdatePhase
from projections.update_reconcile import Booted, reconcile
from projections.update_words import UpdateEvent
from projections.updates import unconfirmed
from projections.volumes import due_snapshot
from tests.simulation.slot_judge import is_whole, judge_choice, judge_guessed, judge_told, judge_writing
from tests.simulation.unsure import Unsure, UnsureLoader, arms, confirms
from tests.support.bundles import Bundle, arriving
from tests.support.clock import HandClock

BEHAVIOURS = ("good", "ill", "panics", "cannot be loaded", "crashes on trial")
NEWER = "good and newer"
"""Once it is here to stay it writes what the first system cannot read, which is frozen from then on."""
STRANGE = "weather.noticed"
VOLUME = "db"
_ABLE = frozenset({"volume"})
FIRST = b"the first system "
WINDOW_S = 120


class Cut(BaseException):
    """The power is gone."""


class Ticking(HandClock):
    """Whoever else is at work comes to his turn meanwhile."""

    async def sleep(self, seconds: float) -> None:
        self.pass_time(seconds)
        for _ in range(8):
            await asyncio.sleep(0)


class Log:
    """A journal: what was not made durable is gone with the power."""

    def __init__(self, box: "Box", clock: HandClock, slot: str) -> None:
        self._box = box
        self._clock = clock
        self._slot = slot
        self._pending: list[tuple[Header, Event]] = []
        self._chain = Chain(len(box.stored), genesis(b"in memory"))

    def check(self) -> None:
        """It takes everything."""

    def append(
        self, drafts: Sequence[Draft], *, reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        """Numbered, and not yet on the disk."""
        if self._box.full and not (reserved or vital):
            raise JournalFull("the journal has no more space")
        stamp = Stamp(self._clock.wall, self._clock.boot_id, self._clock.mono, "0.0.1", self._slot)
        batch = self._chain.link(drafts, bodies_of(drafts), stamp)
        self._pending += batch.entries
        return batch.entries

    async def durable(self, seq: int) -> None:
        """On the disk, unless the power goes first."""
        if any(header.seq <= seq for header, _ in self._pending):
            await self._box.step("journal")
            self._box.stored += self._pending
            self._pending.clear()


class CutSideLog(SideLog):
    """The power may go before a record, and behind it."""

    def __init__(self, box: "Box") -> None:
        file = os.memfd_create("side.log")
        super().__init__(Path(f"/proc/self/fd/{file}"), most=SECTORS)
        os.close(file)
        self._box = weakref.proxy(box)
        weakref.finalize(box, self.close)

    def append(self, record: Emergency) -> None:
        """See SideLog."""
        self._box.pass_by("side log")
        super().append(record)
        self._box.pass_by("side log written")


class Life(msgspec.Struct):
    """What the operator does in each boot, by turns: push one of these systems, confirm, go back, or nothing.
    `hesitates`: so many turns of the others lie between a confirmation and the word to go back; `freezes`: that is said
    although the system before would be frozen, `with_data` that the volume is to be as it was before; `closed`: the
    journal takes nothing in that boot. `mute`: its firmware cannot write; `unread`: its default cannot be loaded;
    `damaged`: the boot loader's variables are before it. `unsure`: see UnsureLoader."""

    push: str = ""
    confirms: bool = True
    goes_back: bool = False
    hesitates: int = 0
    freezes: bool = False
    with_data: bool = False
    closed: bool = False
    mute: bool = False
    unread: bool = False
    damaged: bool = False
    unsure: Unsure = ""
    options: Options = Options(window_s=WINDOW_S)


class Box:
    """The machine. `cut_at`: the power goes at that step of its whole life; `steps` counts them. `strange_at`: the
    entry that its first system cannot read; 0: none. `data` is what its volume has, which each boot writes, and `found`
    what each boot found there. `closed` are the boots whose journal took nothing; `settled` the systems that ran without being on
    trial, and `ill` the updates whose trial was of one that is. `lies`: what its firmware says to have written never is."""

    def __init__(self, cut_at: int = 0, lies: bool = False) -> None:
        self.side_log = CutSideLog(self)
        self.data = "empty"
        self.snapshots: dict[int, str] = {}
        self.found: list[str] = []
        self.strange_at = 0
        self.disk = SlotDisk(Room(1 << 16, 1 << 16))
        self.disk.firmware_lies = lies
        self.disk.content = {("slot_a", "boot.img"): b"boot", ("slot_a", "root.img"): FIRST}
        self.whole: set[bytes] = {FIRST}
        self.settled = {FIRST.decode()}
        self.ill: set[int] = set()
        self.stored: list[tuple[Header, Event]] = []
        self.steps = 0
        self.cut_at = cut_at
        self.boots: list[tuple[str, str]] = []
        self.closed: set[str] = set()
        self.trail: list[str] = []
        self.full = False
        self.damaged = False

    def system(self, slot: Slot) -> str:
        """What stands there, as its own content says."""
        return self.disk.content.get((slot, "root.img"), b"").decode()

    async def step(self, point: str) -> None:
        """One more; the power may go before what it is of."""
        self.pass_by(point)
        await asyncio.sleep(0)

    def pass_by(self, point: str) -> None:
        """The same where nobody waits."""
        self.steps += 1
        self.trail.append(point)
        if self.steps == self.cut_at:
            raise Cut(point)
        if point == "slot.write":
            judge_writing(self)

    @property
    def machine(self) -> Machine:
        """As the journal has it."""
        return replay(self.stored)

    async def boot(self, life: Life) -> None:
        """One boot, from the loader's choice to its end, whatever that is."""
        if life.damaged and is_whole(self, "slot_a"):
            self.disk.state = LoaderState(damaged=True)
            self.damaged = True
        unread = self.disk.state.default_slot if life.unread else None
        self.disk.firmware_writes = not life.mute
        self.disk.loads = lambda slot: slot != unread and "cannot be loaded" not in self.system(slot)
        try:
            slot, default, update, window_s = self.disk.boot()
        except NothingLoads:
            assert unread, "nothing was wrong with the default, and it is not booted"
            return
        number = len(self.boots) + 1
        self.boots.append((slot, default))
        if unread == default and not update and not is_whole(self, slot):
            return  # nothing else was there to be booted, and that ends at once
        judge_choice(self, slot, default, update)
        behaviour = self.system(slot)
        if not update:
            self.settled.add(behaviour)
        elif "ill" in behaviour:
            self.ill.add(update)
        if "panics" in behaviour:
            return
        clock = Ticking(f"boot-{number}")
        clock.wall += number * 10**13
        if life.closed:
            self.closed.add(clock.boot_id)
        try:
            await self._live(life, clock, Booted(slot, default, update, window_s), behaviour)
        except Cut:
            pass

    def _engine(self, clock: HandClock, slot: str, frozen: bool, closed: bool) -> Engine:
        if not frozen and not closed:
            return Engine(Log(self, clock, slot), self.machine, clock, _ABLE)
        known_to = self.strange_at - 1 if frozen else len(self.stored)
        known, behind = self.stored[:known_to], self.stored[known_to:]
        told = ((header, event if isinstance(event, UpdateEvent) else None) for header, event in behind)
        why = JournalReadOnly("only a newer release may act on this state")
        return engine_beside(replay(known), told, self.side_log, self._stands, why, clock, slot, frozenset())

    def _stands(self, one: Emergency) -> bool:
        return any((header.seq, encode(event)) == (one.seq, one.event) for header, event in self.stored)

    async def _live(self, life: Life, clock: HandClock, booted: Booted, behaviour: str) -> None:
        frozen = bool(self.strange_at) and behaviour.encode() == FIRST
        beside = frozen or life.closed
        engine = self._engine(clock, booted.slot, frozen, life.closed)
        recovered = ReadIn() if beside else await read_in(engine, self.side_log, self._stands)
        loader = UnsureLoader(self.disk, self.step, confirms(booted.slot) if booted.update else arms, life.unsure)
        switch = Switch(engine, loader)
        ended = asyncio.Event()
        running = System("0.0.1", "aaa", 1) if behaviour.encode() == FIRST else System("0.0.2", "bbb", 2)
        updates = Updates(
            engine, TwinSlots(self.disk, self.step), switch, clock, running, self._written, lambda: True, ended.set,
            noted=NOTED if beside else "",
        )  # fmt: skip
        variables, _ = await look(loader)
        intended = {update.uid for update in engine.machine.updates.values() if update.phase is UpdatePhase.CONFIRMING}
        found = reconcile(engine.machine, clock.boot_id, booted, variables, behaviour)
        engine.record((DaemonStarted("os", "power-lost"),), reserved=True, actor=SYSTEM)
        try:
            standing = await settle(engine, found, switch, _nothing_found, restores=not beside)
        except JournalFull as full:  # as capsuled/updates/fitting.py has it
            assert beside
            engine.closed = Refusal("RESOURCE_EXHAUSTED", "NOT_REMEMBERED", str(full))
            standing = Standing(stray=found.trial)
        await engine.durable()
        judge_told(self, engine, not beside, booted, found)
        if variables.damaged:
            judge_guessed(found, intended)
        self.side_log.forget(recovered.told)
        if NEWER in behaviour and not booted.update and not self.strange_at and not beside:
            self.strange_at = engine.record((MachineHalted(),), actor=SYSTEM)  # stands for what nobody knew before
            await engine.durable()
        if not beside:
            if not unconfirmed(engine.machine):
                await forget(engine)
            await self._store(engine)
            self.found.append(self.data)
            self.data = f"written in boot {len(self.boots)}"
        if (standing.stray and booted.update) or ("crashes on trial" in behaviour and booted.update):
            return
        try:
            await self._operate(life, engine, updates, booted, clock, switch, behaviour, ended, beside)
        except LoaderFailed:
            return

    async def _operate(
        self,
        life: Life,
        engine: Engine,
        updates: Updates,
        booted: Booted,
        clock: HandClock,
        switch: Switch,
        behaviour: str,
        ended: asyncio.Event,
        beside: bool,
    ) -> None:
        if not booted.update:
            if life.push:
                own = () if beside else (self._keep_storing(engine),)
                await _first_of([asyncio.ensure_future(one) for one in (self._push(life, updates), *own)])
            elif life.goes_back:
                for _ in range(2):  # its answer was lost
                    await _asked(
                        lambda: updates.roll_back(
                            Back(life.freezes, life.with_data), Caller(LOCAL, "Rollback", call_id=f"{len(self.boots)}")
                        )
                    )
            await engine.durable()
            return

        async def facts() -> Facts:
            return Facts(answers=True, state="it is ill" if "ill" in behaviour or beside else "", uplink=True)

        trial = asyncio.ensure_future(Trial(engine, switch, clock, facts, None, ended.set, lambda: None).run())
        tasks = [trial]
        if life.confirms and "ill" not in behaviour:
            tasks.append(asyncio.ensure_future(_asked(lambda: updates.confirm(Caller(LOCAL, "UpdateConfirm")))))
        if life.goes_back:
            tasks.append(asyncio.ensure_future(self._changes_his_mind(life, updates)))
        await _first_of(tasks, asyncio.FIRST_EXCEPTION)

    async def _changes_his_mind(self, life: Life, updates: Updates) -> None:
        for _ in range(life.hesitates):
            await asyncio.sleep(0)
        await _asked(lambda: updates.roll_back(Back(with_data=life.with_data), Caller(LOCAL, "Rollback")))

    async def _keep_storing(self, engine: Engine) -> None:
        async for _ in engine.changes():
            await self._store(engine)

    async def _store(self, engine: Engine) -> None:
        """What the storage has to do is done."""
        if VOLUME not in engine.machine.volumes:
            engine.record((VolumeApplied(VOLUME, 1 << 30, created=True),))
        while (fact := self._stored(engine.machine.volumes[VOLUME])) is not None:
            engine.record((fact,))
            await engine.durable()

    def _stored(self, volume: Volume) -> Event | None:
        if (due := due_snapshot(volume)) is not None:
            self.snapshots[due.uid] = self.data
            return SnapshotTaken(VOLUME, volume.uid, due.uid, volume.size_bytes, "thin")
        if volume.restoring:
            self.data = self.snapshots[volume.restoring]
            return VolumeRestored(VOLUME, volume.uid, volume.restoring)
        leaving = next((one.uid for one in volume.snapshots if one.leaving), None)
        return None if leaving is None else SnapshotRemoved(VOLUME, volume.uid, leaving)

    async def _push(self, life: Life, updates: Updates) -> None:
        root = f"{life.push} {len(self.boots)} ".encode() * 40
        reads = Levels({**reader_level(), **({STRANGE: 1} if "newer" in life.push else {})}, (1, 2), dict(FORMATS))
        bundle = Bundle(boot=b"boot", root=root, version="0.0.2", commit="bbb", built=2, levels=reads)
        self.whole.add(root)
        stream = BundleStream(arriving(bundle.data(), 4_096))
        await _asked(lambda: updates.receive(stream, life.options, Caller(LOCAL, "UpdateOS"), stay=True))

    def _written(self) -> Level:
        return (*level.forms(), *(((STRANGE, 1),) if self.strange_at else ()))


def _nothing_found(update: Update, loader: Loader) -> Found:
    cause = update.cause or ("never-booted" if loader == "waiting" else "unknown")
    confidence = "none" if cause == "unknown" else "certain"
    return Found(Verdict(cause, confidence, looked_for=("everywhere",)), Evidence(update.slot, boot=update.boot))  # type: ignore[arg-type]


async def _first_of(tasks: Sequence["asyncio.Future[None]"], until: str = asyncio.FIRST_COMPLETED) -> None:
    """And no other is left behind; a power cut in one of them is everybody's."""
    try:
        done, _ = await asyncio.wait(tasks, return_when=until)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _asked(call: Callable[[], object]) -> None:
    """A refusal is an answer, and so is that nothing can be remembered, or told to the boot loader."""
    try:
        await call()  # type: ignore[misc]
    except (Refused, JournalFull, LoaderFailed):
        pass
