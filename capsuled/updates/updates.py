"""Updates as the servicers meet them: one object on a machine with slots, none where there are none."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from msgspec.structs import replace

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.rpc import Refused
from capsuled.updates import level
from capsuled.updates.receiving import Options, Receiver, uncrowded
from capsuled.updates.switching import Switch
from effects.slots.bundle import BundleStream
from effects.slots.manifest import MEMBERS
from effects.slots.protocol import Slot, SlotFailed, SlotStore, other
from effects.unbroken import to_its_end
from journal.clock import Clock
from journal.entry import SYSTEM
from journal.errors import JournalError
from journal.events import MachineEndRequested
from projections.admission import Admitted
from projections.refusals import Refusal
from projections.state import Update
from projections.update_admission import unread
from projections.update_intents import ConfirmUpdate, Level, RollBackUpdate, System
from projections.update_phases import UpdatePhase
from projections.updates import current, fallback

log = logging.getLogger(__name__)

ANSWER_S = 0.5
"""For the answer to leave before the machine ends."""
CONFIRM_WAIT_S = 25.0
"""For the boot loader to have it. Clients in the field give up after 30 s: they must hear why it takes longer."""
WINDOW_S = 900
_HEAD_BYTES = 1 << 20


class Back(msgspec.Struct, frozen=True):
    """What the operator said with a rollback."""

    allow_freeze: bool = False
    with_data: bool = False


class Prospect(msgspec.Struct, frozen=True):
    """What a rollback would do with `update`: drop it, end its trial, or try the system before it, which cannot read
    `unread` and would freeze. `keeps` are the volumes that can be as they were before it."""

    does: Literal["dropped", "ended", "tried"]
    update: Update
    unread: tuple[str, ...] = ()
    keeps: tuple[str, ...] = ()


class Updates:
    """`reboot` starts the machine anew. `noted`: where the journal takes nothing, what is to be said of that;
    `keys_known`: all of the journal could be read that tells of them; `crowded`: why no trial could begin for want of
    room, empty where there is enough."""

    def __init__(
        self,
        engine: Engine,
        slots: SlotStore,
        switch: Switch,
        clock: Clock,
        running: System,
        written: Callable[[], Level],
        uplink: Callable[[], bool],
        reboot: Callable[[], None],
        noted: str = "",
        keys_known: bool = True,
        crowded: Callable[[], Awaitable[str]] = uncrowded,
    ) -> None:
        self.running = running
        self.engine = self._engine = engine
        self.noted = noted
        self._slots = slots
        self._switch = switch
        self._clock = clock
        self._written = written
        self._uplink = uplink
        self._reboot = reboot
        self._receiver = Receiver(engine, slots, switch, running, written, uplink, keys_known, crowded)

    async def receive(self, bundle: BundleStream, options: Options, caller: Caller, stay: bool) -> Update:
        """The update, armed; the machine starts anew in a moment, unless it is to `stay`. Raises Refused."""
        if self.noted and options.keeps:
            words = "while the journal takes no entry no snapshot is taken: push without `--snapshot`"
            raise Refused(Refusal("FAILED_PRECONDITION", "NOTHING_KEPT", words, ("metadata.snapshots",)))
        update = await self._receiver.receive(bundle, options, caller, self._clock.wall_ns() / 1e9)
        if not stay:
            self._end(update)
        return update

    async def confirm(self, caller: Caller) -> Update:
        """What runs stays; returns once the boot loader has it so. Raises Refused. A call that is repeated tells of the
        update that it was about, whatever has become of that and whichever came after it."""
        outcome = await self._engine.call(ConfirmUpdate(), caller)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        update = self._newest(outcome.seq)
        if update is None:
            words = (
                "the update that this call confirmed is not remembered: `capsulectl history` tells what became of it"
            )
            raise Refused(Refusal("FAILED_PRECONDITION", "NOT_REMEMBERED", words))
        try:
            async with asyncio.timeout(CONFIRM_WAIT_S):
                found = await self._decided(update.uid)
        except TimeoutError:
            words = (
                f"not confirmed yet, and tried again until the time is over: {self._switch.problem or 'it takes long'}"
            )
            raise Refused(Refusal("DEADLINE_EXCEEDED", "NOT_CONFIRMED", words)) from None
        if found.phase is not UpdatePhase.CONFIRMED:
            words = f"update {update.uid} goes back: it was not confirmed before its time was over"
            if found.phase is not UpdatePhase.RETURNING:
                words = f"update {update.uid} was over before it was confirmed: `capsulectl update history` says why"
            raise Refused(Refusal("FAILED_PRECONDITION", "RETURNS", words))
        return found

    async def _decided(self, uid: int) -> Update:
        """The update once it is neither tentative nor being confirmed, durably."""
        async for machine in self._engine.changes():
            found = machine.updates[uid]
            if found.phase not in (UpdatePhase.TENTATIVE, UpdatePhase.CONFIRMING):
                break
        await self._engine.durable()
        return found

    async def would_roll_back(self, how: Back, role: str) -> Prospect:
        """What `roll_back` would do now. Raises Refused."""
        intent = self._intent(replace(how, allow_freeze=True))
        _, verdict = self._engine.preview(intent, role)
        if isinstance(verdict, Refusal):
            raise Refused(verdict)
        machine = self._engine.machine
        update = current(machine)
        if update is not None:
            waits = update.phase in (UpdatePhase.ARMING, UpdatePhase.ARMED)
            return Prospect("dropped" if waits else "ended", update, keeps=() if waits else update.keeps)
        before = fallback(machine)
        assert before is not None, "what cannot be gone back to was refused"
        await self._receiver.check_room()
        return Prospect("tried", before, unread(intent.written, before.from_level), before.keeps)

    def _intent(self, how: Back) -> RollBackUpdate:
        return RollBackUpdate(
            self.running,
            level.own(),
            self._written(),
            WINDOW_S,
            allow_freeze=how.allow_freeze,
            with_data=how.with_data,
        )

    async def roll_back(self, how: Back, caller: Caller) -> tuple[Update, str]:
        """The system before runs again, or what waits for its boot is dropped; in words what happens. What was admitted
        is carried out, whether or not anybody waits for the answer. Raises Refused, LoaderFailed, SlotFailed."""
        return await to_its_end(self._roll_back(how, caller))

    async def _roll_back(self, how: Back, caller: Caller) -> tuple[Update, str]:
        intent = self._intent(how)
        await self._check_begin(intent, caller)
        outcome = await self._engine.call(intent, caller)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        update = current(self._engine.machine)
        if update is None:
            return self._last(), "nothing is under way any more"
        again = f"{update.slot} boots again, to be confirmed" + (f" ({self.noted})" if self.noted else "")
        match update.phase:
            case UpdatePhase.RETURNING:
                return update, f"update {update.uid} goes back: the machine starts anew with {update.from_slot}"
            case _ if outcome.repeated and update.uid == outcome.seq + 1:
                return update, again
            case _ if outcome.repeated:
                return update, "this call was made before: `capsulectl update history` shows what became of it"
            case UpdatePhase.STAGED:
                await self._arm_what_is_there(update, outcome.seq)
                return update, again
            case _:
                await self._switch.drop(update, outcome.seq)
                return self._engine.machine.updates[update.uid], f"update {update.uid} is dropped: it is not booted"

    async def _check_begin(self, intent: RollBackUpdate, caller: Caller) -> None:
        """Whether a trial that the call would begin has room, before anything is told of it. Raises Refused, which
        nobody remembers: the same call begins it once there is room."""
        if current(self._engine.machine) is not None or await self._engine.answered(caller) is not None:
            return
        _, verdict = self._engine.preview(intent, caller.actor.role)
        if isinstance(verdict, Admitted):
            await self._receiver.check_room()

    async def _arm_what_is_there(self, update: Update, cause: int) -> None:
        """The slot was not written since it ran. That it can be read, and where that is known, what stands in it, is
        looked at before anybody counts on it, and so is the room for a trial, which may have gone meanwhile."""
        try:
            await self._receiver.check_room()
            await self._check_slot(other(update.from_slot))
        except (Refused, SlotFailed):
            await self._switch.drop(update, cause)
            raise
        await self._switch.arm(update, self._uplink(), cause)
        self._end(update)

    async def _check_slot(self, slot: Slot) -> None:
        """Raises SlotFailed."""
        updates = self._engine.machine.updates.values()
        staged = next((one for one in reversed(updates) if one.slot == slot and one.root_sha256), None)
        if staged is None:  # it came with the installation: nobody knows how much of the partition it takes
            room = await self._slots.room(slot)
            for member in MEMBERS:
                await self._slots.read_back(slot, member, min(room.of(member), _HEAD_BYTES))
            return
        for member, size, digest in (
            ("boot.img", staged.boot_bytes, staged.boot_sha256),
            ("root.img", staged.root_bytes, staged.root_sha256),
        ):
            if await self._slots.read_back(slot, member, size) != digest:
                raise SlotFailed(f"{member} in {slot} is not what was written there: the disk is failing")

    def _newest(self, seq: int) -> Update | None:
        """The newest that had begun by entry `seq`: no other begins while one is on trial."""
        return next((one for one in reversed(self._engine.machine.updates.values()) if one.uid <= seq), None)

    def _last(self) -> Update:
        return next(reversed(self._engine.machine.updates.values()))

    def _end(self, update: Update) -> None:
        asyncio.get_running_loop().call_later(ANSWER_S, self._start_anew, update.uid)

    def _start_anew(self, uid: int) -> None:
        """Unless it was dropped in its last moment."""
        if self._engine.machine.updates[uid].phase is not UpdatePhase.ARMED:
            return
        try:
            ends = MachineEndRequested("reboot", by=f"update {uid}")
            self._engine.record((ends,), vital=True, actor=SYSTEM)
        except JournalError as error:
            log.error("that the machine starts anew is not in the journal: %s", error)
        self._reboot()
