"""What a call led to, told from the state right after it: the same answer whenever the call is repeated with its id."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from capsuled.caller import Caller, Keep, Outcome
from capsuled.engine import Engine
from capsuled.rpc import Refused
from journal.entry import Header
from journal.events import Event
from projections.intents import Intent
from projections.refusals import Refusal
from projections.state import Machine

Ends = Callable[[Header, Event], bool]
"""Whether what a call asked for ended with this entry, well or not."""


class Past(Protocol):
    """What the machine was."""

    async def after(self, call: int) -> tuple[Machine, tuple[Event, ...]]:
        """The state right after the call whose own entry is `call`, and the events that the call led to."""
        ...

    async def first(self, call: int, about: str | type[Event], ends: Ends) -> Event | None:
        """With what the call ended whose own entry is `call`: the first entry behind it of which `ends` says so, among
        those of the object `about`, or of that type. None while there is none. Raises JournalDamaged."""
        ...


class Answer(msgspec.Struct, frozen=True):
    """`seq` is the call's own entry, `machine` the state right after it. It may be told a second time."""

    seq: int
    machine: Machine
    events: tuple[Event, ...]
    repeated: bool


class Answers:
    """Calls whose answers tell of the state that they led to."""

    def __init__(self, engine: Engine, past: Past) -> None:
        self._engine = engine
        self._past = past

    async def call(self, intent: Intent, caller: Caller, keep: Keep | None = None) -> Answer:
        """Have it admitted, or tell the answer that it had; `keep` as in Engine.call. Raises Refused."""
        return await self._told(await self._engine.call(intent, caller, keep))

    async def given(self, caller: Caller) -> Answer | None:
        """The answer that a call with this id had; None for a new one. Raises Refused."""
        outcome = await self._engine.answered(caller)
        return None if outcome is None else await self._told(outcome)

    async def end(self, answer: Answer, name: str, ends: Ends) -> Event | None:
        """With what that ended which the call asked for of the object; None while it goes on."""
        return await self._past.first(answer.seq, name, ends)

    async def _told(self, outcome: Outcome | Refusal) -> Answer:
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        if outcome.machine is not None:
            return Answer(outcome.seq, outcome.machine, outcome.events, outcome.repeated)
        machine, events = await self._past.after(outcome.seq)
        return Answer(outcome.seq, machine, events, outcome.repeated)
