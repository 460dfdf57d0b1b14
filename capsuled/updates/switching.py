"""The boot loader told what to boot, and the journal before and after: intent → act → fact.

Each intent is durable before the act, and each fact tells of what was read back. A crash anywhere in between is
reconciled by the next start (at_boot.py); so nothing here is tried twice. One switch at a time: what an operator says
while another is under way is done behind it.
"""

import asyncio
from contextlib import suppress

from msgspec.structs import replace

from capsuled.engine import Engine
from effects.slots.one_shot import take_back
from effects.slots.protocol import BootLoader, LoaderFailed, LoaderState, Slot
from journal.entry import SYSTEM
from journal.errors import JournalError
from journal.events import UpdateArmed, UpdateArming, UpdateConfirmed, UpdateDisarmed
from projections.state import Update
from projections.update_health import well
from projections.update_phases import UpdatePhase

_WAITS = frozenset({UpdatePhase.STAGED, UpdatePhase.ARMING, UpdatePhase.ARMED})
"""For its boot, or to be armed for it."""


class Switch:
    """On one machine. `problem`: why the last confirmation was not carried out, in words."""

    def __init__(self, engine: Engine, loader: BootLoader) -> None:
        self.problem = ""
        self._engine = engine
        self._loader = loader
        self._one_at_a_time = asyncio.Lock()

    async def arm(self, update: Update, uplink: bool, cause: int) -> None:
        """The next boot, and only that, is the new system's. Raises LoaderFailed and JournalError: then it is not, as
        far as anybody can know."""
        async with self._one_at_a_time:
            await self._arm(update, uplink, cause)

    async def _arm(self, update: Update, uplink: bool, cause: int) -> None:
        engine = self._engine
        try:
            seq = engine.record((UpdateArming(update.uid, uplink, well(engine.machine)),), cause=cause, actor=SYSTEM)
            await engine.durable(seq)
            await self._loader.write(
                LoaderState(
                    default_slot=_slot(update.from_slot),
                    next_slot=_slot(update.slot),
                    update=update.uid,
                    window_s=update.window_s,
                )
            )
        except (LoaderFailed, JournalError) as error:
            with suppress(LoaderFailed):
                await take_back(self._loader)  # it may stand on the disk all the same
            disarmed = UpdateDisarmed(update.uid, "write-failed", str(error))
            engine.record((disarmed,), cause=cause, vital=True, actor=SYSTEM)
            await engine.durable()
            raise
        engine.record((UpdateArmed(update.uid),), cause=cause, vital=True, actor=SYSTEM)
        await engine.durable()

    async def hold(self, slot: str) -> bool:
        """What runs is what boots by itself, before the slot beside it is written: also where the boot loader booted it
        only because its default could not be loaded. Nor is anything booted once any more: an arming that was told to
        have failed may stand on the disk. Whether the default had to be changed. Raises LoaderFailed."""
        async with self._one_at_a_time:
            state = await self._loader.read()
            changed = state.default_slot != slot
            if changed or state.next_slot is not None:
                await self._loader.write(replace(state, default_slot=_slot(slot), next_slot=None))
            return changed

    async def take_back(self) -> None:
        """Nothing is booted once any more. Raises LoaderFailed."""
        async with self._one_at_a_time:
            await take_back(self._loader)

    async def drop(self, update: Update, cause: int) -> None:
        """An update that waits for its boot is not booted. Raises LoaderFailed."""
        async with self._one_at_a_time:
            if self._engine.machine.updates[update.uid].phase not in _WAITS:
                return  # its arming failed meanwhile
            await take_back(self._loader)
            self._engine.record((UpdateDisarmed(update.uid, "operator"),), cause=cause, vital=True, actor=SYSTEM)
            await self._engine.durable()

    async def confirm(self, update: Update) -> None:
        """The slot of an update whose `update.confirming` stands in the journal is what boots. Raises LoaderFailed and
        JournalError."""
        try:
            async with self._one_at_a_time:
                await self._confirm(update)
        except LoaderFailed as error:
            self.problem = f"the boot loader's variables cannot be written: {error.message}"
            raise
        except JournalError as error:
            self.problem = str(error)
            raise
        self.problem = ""

    async def _confirm(self, update: Update) -> None:
        await self._engine.durable(update.seq)
        state = await self._loader.read()
        await self._loader.write(replace(state, default_slot=_slot(update.slot), next_slot=None))
        self._engine.record((UpdateConfirmed(update.uid, update.slot),), cause=update.seq, vital=True, actor=SYSTEM)
        await self._engine.durable()

    async def leave(self, update: Update) -> None:
        """The system before boots, also where a confirmation that failed has reached the disk. Raises LoaderFailed."""
        async with self._one_at_a_time:
            state = await self._loader.read()
            if state.default_slot == update.slot:
                await self._loader.write(replace(state, default_slot=_slot(update.from_slot), next_slot=None))


def _slot(name: str) -> Slot:
    return "slot_b" if name == "slot_b" else "slot_a"
