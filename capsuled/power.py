"""The machine's end on an operator's word: remembered, answered, and then PID 1 does it."""

import asyncio
import logging
from typing import Literal

from capsuled.boot.link import InitLink
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.rpc import Refused
from journal.errors import JournalError
from projections.intents import EndMachine
from projections.refusals import Refusal

log = logging.getLogger(__name__)

ANSWER_S = 0.5
"""For the answer to leave."""

Order = Literal["reboot", "poweroff"]
_WORDS = {"reboot": "started anew", "poweroff": "switched off"}


class Power:
    """Of the operating system; a hosted daemon has none."""

    def __init__(self, engine: Engine, link: InitLink) -> None:
        self._engine = engine
        self._link = link

    async def end(self, order: Order, caller: Caller) -> str:
        """Have it admitted, and done in a moment; returns what to tell. A call that is repeated with its id does it no
        second time. A machine whose journal takes nothing ends all the same. Raises Refused."""
        remembered = ""
        try:
            outcome = await self._engine.call(EndMachine(order), caller)
        except JournalError as error:
            log.warning("the machine is %s, which the journal cannot take: %s", _WORDS[order], error)
            remembered = f"; it is not remembered ({error})"
        else:
            if isinstance(outcome, Refusal):
                raise Refused(outcome)
            if outcome.repeated:
                return f"the machine was {_WORDS[order]}"
        asyncio.get_running_loop().call_later(ANSWER_S, self._link.say, order)
        return f"the machine is {_WORDS[order]}: workloads end in their order first{remembered}"
