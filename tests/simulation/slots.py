"""A machine with two slots, simulated: pushes, boots, trials and power cuts at every step, judged from outside.

The daemon's own code runs (receiving, switching, reconciling, the trial) on the twins of slots and boot loader and on a
journal that forgets what was not made durable. What stands in a slot decides how its boot goes. The judge knows bundles
and slots, and none of the house's rules.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.evidence.finding import Found
from capsuled.rpc import Refused
from capsuled.updates import level
from capsuled.updates.at_boot import look, settle
from capsuled.updates.receiving import Options
from capsuled.updates.switching import Switch
from capsuled.updates.trial import Trial
from capsuled.updates.updates import Updates
from effects.slots.bundle import BundleStream
from effects.slots.protocol import LoaderFailed, Room, Slot
from effects.slots.twin import SlotDisk, TwinLoader, TwinSlots
from journal.entry import LOCAL, SYSTEM, Header, genesis
from journal.errors import JournalFull
from journal.events import DaemonStarted, Event, UpdateConfirming
from journal.evidence import Evidence, Loader, Verdict
from journal.sequencer import Chain, Draft, Stamp, bodies_of
from projections.fold import replay
from projections.state import Machine, Update
from projections.update_health import Facts
from projections.update_intents import System
from projections.update_reconcile import Booted, reconcile
from tests.support.bundles import Bundle, arriving
from tests.support.clock import HandClock

BEHAVIOURS = ("good", "ill", "panics", "cannot be loaded", "crashes on trial")
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

    def append(self, drafts: Sequence[Draft], *, reserved: bool = False) -> Sequence[tuple[Header, Event]]:
        """Numbered, and not yet on the disk."""
        if self._box.full and not reserved:
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


class Life(msgspec.Struct):
    """What the operator does in each boot, by turns: push one of these systems, confirm, go back, or nothing.
    `hesitates`: so many turns of the others lie between a confirmation and the word to go back."""

    push: str = ""
    confirms: bool = True
    goes_back: bool = False
    hesitates: int = 0
    options: Options = Options(window_s=WINDOW_S)


class Box:
    """The machine. `cut_at`: the power goes at that step of its whole life; `steps` counts them."""

    def __init__(self, cut_at: int = 0) -> None:
        self.disk = SlotDisk(Room(1 << 16, 1 << 16))
        self.disk.content = {("slot_a", "boot.img"): b"boot", ("slot_a", "root.img"): FIRST}
        self.disk.loads = lambda slot: "cannot be loaded" not in self.system(slot)
        self.whole: set[bytes] = {FIRST}
        self.stored: list[tuple[Header, Event]] = []
        self.steps = 0
        self.cut_at = cut_at
        self.boots: list[tuple[str, str]] = []
        self.trail: list[str] = []
        self.full = False

    def system(self, slot: Slot) -> str:
        """What stands there, as its own content says."""
        return self.disk.content.get((slot, "root.img"), b"").decode()

    async def step(self, point: str) -> None:
        """One more; the power may go before what it is of."""
        self.steps += 1
        self.trail.append(point)
        if self.steps == self.cut_at:
            raise Cut(point)
        await asyncio.sleep(0)

    @property
    def machine(self) -> Machine:
        """As the journal has it."""
        return replay(self.stored)

    async def boot(self, life: Life) -> None:
        """One boot, from the loader's choice to its end, whatever that is."""
        slot, default, update, window_s = self.disk.boot()
        number = len(self.boots) + 1
        self.boots.append((slot, default))
        self._judge(slot, default)
        behaviour = self.system(slot)
        on_trial = update != 0
        if "panics" in behaviour and on_trial:
            return
        clock = Ticking(f"boot-{number}")
        clock.wall += number * 10**13
        try:
            await self._live(life, clock, Booted(slot, default, update, window_s), behaviour)
        except Cut:
            pass

    async def _live(self, life: Life, clock: HandClock, booted: Booted, behaviour: str) -> None:
        log = Log(self, clock, booted.slot)
        engine = Engine(log, self.machine, clock, frozenset())
        loader = TwinLoader(self.disk, self.step)
        switch = Switch(engine, loader)
        ended = asyncio.Event()
        running = System("0.0.1", "aaa", 1) if behaviour.encode() == FIRST else System("0.0.2", "bbb", 2)
        updates = Updates(
            engine, TwinSlots(self.disk, self.step), switch, clock, running, lambda: level.written(()), lambda: True,
            ended.set,
        )  # fmt: skip
        variables, _ = await look(loader)
        found = reconcile(engine.machine, clock.boot_id, booted, variables, behaviour)
        engine.record((DaemonStarted("os", "power-lost"),), reserved=True, actor=SYSTEM)
        standing = await settle(engine, found, switch, _nothing_found)
        await engine.durable()
        if standing.stray or ("crashes on trial" in behaviour and booted.update):
            return
        try:
            await self._operate(life, engine, updates, booted, clock, switch, behaviour, ended)
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
    ) -> None:
        if not booted.update:
            if life.push:
                await self._push(life, updates)
            elif life.goes_back:
                for _ in range(2):  # its answer was lost
                    await _asked(lambda: updates.roll_back(Caller(LOCAL, "Rollback", call_id=f"{len(self.boots)}")))
            await engine.durable()
            return

        async def facts() -> Facts:
            return Facts(answers=True, state="" if "ill" not in behaviour else "it is ill", uplink=True)

        trial = asyncio.ensure_future(Trial(engine, switch, clock, facts, None, ended.set, lambda: None).run())
        tasks = [trial]
        if life.confirms and "ill" not in behaviour:
            tasks.append(asyncio.ensure_future(_asked(lambda: updates.confirm(Caller(LOCAL, "UpdateConfirm")))))
        if life.goes_back:
            tasks.append(asyncio.ensure_future(self._changes_his_mind(life, updates)))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _changes_his_mind(self, life: Life, updates: Updates) -> None:
        for _ in range(life.hesitates):
            await asyncio.sleep(0)
        await _asked(lambda: updates.roll_back(Caller(LOCAL, "Rollback")))

    async def _push(self, life: Life, updates: Updates) -> None:
        root = f"{life.push} {len(self.boots)} ".encode() * 40
        bundle = Bundle(boot=b"boot", root=root, version="0.0.2", commit="bbb", built=2)
        self.whole.add(root)
        stream = BundleStream(arriving(bundle.data(), 4_096))
        await _asked(lambda: updates.receive(stream, life.options, Caller(LOCAL, "UpdateOS"), stay=True))

    def _judge(self, slot: Slot, default: Slot) -> None:
        """Whatever happened: the machine boots something whole, and its default changed only where that was announced."""
        root = self.disk.content.get((slot, "root.img"), b"")
        assert root in self.whole and self.disk.content.get((slot, "boot.img")) == b"boot", (slot, root[:40])
        announced = {
            self.machine.updates[event.uid].slot for _, event in self.stored if isinstance(event, UpdateConfirming)
        }
        assert default == "slot_a" or default in announced, "the default was changed without a durable announcement"


def _nothing_found(update: Update, loader: Loader) -> Found:
    cause = update.cause or ("never-booted" if loader == "waiting" else "unknown")
    confidence = "none" if cause == "unknown" else "certain"
    return Found(Verdict(cause, confidence, looked_for=("everywhere",)), Evidence(update.slot, boot=update.boot))  # type: ignore[arg-type]


async def _asked(call: Callable[[], object]) -> None:
    """A refusal is an answer, and so is that nothing can be remembered."""
    try:
        await call()  # type: ignore[misc]
    except (Refused, JournalFull):
        pass
