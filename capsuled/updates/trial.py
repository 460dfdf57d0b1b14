"""A new system on trial: its health told as it changes, confirmed when somebody says so or it was well for long enough,
and left when its time is over.

The deadline is a moment of the monotonic clock of this boot: a clock that is set moves nothing. To go back is to start
the machine anew: the boot loader's default is the old system. PID 1 has the same deadline, a minute later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from capsuled.engine import Engine
from capsuled.updates.switching import Switch
from effects.slots.protocol import LoaderFailed
from journal.clock import Clock
from journal.entry import SYSTEM
from journal.errors import JournalError
from journal.events import Event, UpdateConfirming, UpdateHealthChanged, UpdateReturning
from journal.evidence import Cause, FailedCheck
from projections.causes import CHECKS
from projections.state import Update
from projections.update_health import Facts, failing, overdue, soaked
from projections.update_phases import UpdatePhase
from projections.updates import on_trial

log = logging.getLogger(__name__)

LOOK_S = 1.0


class Witness(Protocol):
    """Who keeps for the next boot why this one ends."""

    def keep(self, cause: Cause, failing: tuple[FailedCheck, ...] = ()) -> None:
        """On the disk when it returns."""
        ...


class Trial:
    """`facts` asks the world; `go_back` starts the machine anew, `stays` says that the trial is over, each once."""

    def __init__(
        self,
        engine: Engine,
        switch: Switch,
        clock: Clock,
        facts: Callable[[], Awaitable[Facts]],
        witness: Witness | None,
        go_back: Callable[[], None],
        stays: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._switch = switch
        self._clock = clock
        self._facts = facts
        self._witness = witness
        self._go_back = go_back
        self._stays = stays
        self._unsaid = ""

    async def run(self) -> None:
        """Until it is decided."""
        update = on_trial(self._engine.machine)
        if update is not None and update.judged and not update.failing:
            # Nobody knows how it was while no daemon was there to look.
            again = FailedCheck("api", "capsuled was started again")
            self._record((UpdateHealthChanged(update.uid, (again,)),))
        while (update := on_trial(self._engine.machine)) is not None:
            if await self._turn(update):
                return
            await self._clock.sleep(LOOK_S)
        self._stays()

    async def _turn(self, update: Update) -> bool:
        """One look; whether the machine goes back."""
        facts = await self._facts()
        update = on_trial(self._engine.machine) or update  # an operator may have spoken meanwhile
        checks = failing(self._engine.machine, update, facts)
        told = tuple((one.name, one.message) for one in checks)
        if not update.judged or told != update.failing:
            self._record((UpdateHealthChanged(update.uid, checks),), vital=not update.judged)
            update = on_trial(self._engine.machine) or update
        boot, now_ns = self._clock.boot_id, self._clock.mono_ns()
        if update.phase is UpdatePhase.CONFIRMING:
            try:
                await self._switch.confirm(update)
                return False
            except (LoaderFailed, JournalError):
                log.error("update %d cannot be confirmed: %s", update.uid, self._switch.problem)
        if update.phase is UpdatePhase.TENTATIVE and soaked(update, boot, now_ns):
            self._record((UpdateConfirming(update.uid, "healthy"),), vital=True)
            return False
        if update.phase is not UpdatePhase.RETURNING and not overdue(update, boot, now_ns):
            return False
        await self._return(update, checks)
        return True

    async def _return(self, update: Update, checks: tuple[FailedCheck, ...]) -> None:
        cause, message = update.cause, update.message
        if update.phase is not UpdatePhase.RETURNING or cause is None:
            cause, message = _cause(update, checks)
            if await self._is_left(update):
                self._record((UpdateReturning(update.uid, cause, message),), vital=True)
        log.warning("update %d goes back: %s %s", update.uid, cause, message)
        if self._witness is not None:
            await asyncio.to_thread(self._witness.keep, cause, checks)
        try:
            await self._engine.durable()
        except JournalError as error:
            log.error("why it goes back is not in the journal: %s", error)
        self._go_back()

    async def _is_left(self, update: Update) -> bool:
        """Whether the next boot is the old system's. Where nobody knows, after a confirmation that failed, nothing is
        told of it: the boot that comes will tell, from either system."""
        if update.phase is not UpdatePhase.CONFIRMING:
            return True
        try:
            await self._switch.leave(update)
        except LoaderFailed as error:
            log.error("update %d: what boots next is not known: %s", update.uid, error.message)
            return False
        return True

    def _record(self, events: Sequence[Event], vital: bool = False) -> None:
        """A journal that takes nothing is itself a reason to go back, and none not to."""
        try:
            self._engine.record(events, reserved=True, actor=SYSTEM, vital=vital)
        except JournalError as error:
            if str(error) != self._unsaid:
                log.error("not remembered: %s", error)
            self._unsaid = str(error)


def _cause(update: Update, checks: tuple[FailedCheck, ...]) -> tuple[Cause, str]:
    if update.phase is UpdatePhase.CONFIRMING:
        return "not-confirmed", "it was to be confirmed, and the boot loader's variables could not be written"
    kinds = {one.name.partition("/")[0]: one for one in reversed(checks)}
    for kind, cause in CHECKS:
        if kind in kinds:
            failed = kinds[kind]
            return cause, f"{failed.name}: {failed.message}"
    return "not-confirmed", "all was well, and nobody said so in time"
