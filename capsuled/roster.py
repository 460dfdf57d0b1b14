"""Who may come in now: the operators of the state, or, where the journal cannot be trusted, of the last copy of them.

The copy in `identity/` is derived from the journal after every change and decides nothing while the journal can be
written. Without it, rescue would have to let nobody in, or a state that ends early would let in a key that was removed.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

import msgspec

from capsuled.engine import Engine
from capsuled.live import LiveStreams
from journal.durable import write_durably
from projections.operators import HANDLERS
from projections.state import Operator

log = logging.getLogger(__name__)


class Copy(msgspec.Struct, frozen=True):
    """The operators as of entry `seq`."""

    seq: int
    operators: tuple[Operator, ...]


class Roster:
    """`trusted`: the journal is open for writing, so the head state is the truth."""

    def __init__(self, path: Path, engine: Engine, live: LiveStreams, *, trusted: bool) -> None:
        self._path = path
        self._engine = engine
        self._live = live
        self._trusted = trusted
        self._rescued = {} if trusted else self._rescue()
        self._copied: dict[str, Operator] = {}
        self._copying = asyncio.Condition()

    def operators(self) -> Mapping[str, Operator]:
        """By key id."""
        return self._engine.machine.operators if self._trusted else self._rescued

    def _rescue(self) -> dict[str, Operator]:
        machine = self._engine.machine
        try:
            copy = msgspec.json.decode(self._path.read_bytes(), type=Copy)
        except (OSError, msgspec.MsgspecError) as error:
            log.warning("there is no copy of the operators to go by (%s): the journal's part that can be read", error)
            return dict(machine.operators)
        if copy.seq < machine.seq and machine.operators:
            return dict(machine.operators)
        return {one.kid: one for one in copy.operators}

    async def keep(self) -> None:
        """Follow the state until cancelled: keep the copy, and cut the streams of keys that lost their right."""
        if not self._trusted:
            return
        written = False
        async for machine in self._engine.changes(*HANDLERS):
            now = dict(machine.operators)
            if written and now == self._copied:
                continue
            seq = machine.seq
            await self._engine.durable(seq)
            self._cut(self._copied, now)
            await asyncio.to_thread(self._write, Copy(seq, tuple(now.values())))
            written = True
            async with self._copying:
                self._copied = now
                self._copying.notify_all()

    async def copied(self) -> None:
        """Return once the copy is as the state is: a removal that was answered holds in rescue, too."""
        async with self._copying:
            await self._copying.wait_for(lambda: self._copied == self._engine.machine.operators)

    def _cut(self, known: Mapping[str, Operator], now: Mapping[str, Operator]) -> None:
        for kid in {*known, *self._live.keys()} - {"anonymous"}:
            operator, before = now.get(kid), known.get(kid)
            same = operator is not None and (before is None or operator.seq == before.seq)
            self._live.cut(kid, operator.role if operator is not None and same else "")

    def _write(self, copy: Copy) -> None:
        try:
            write_durably(self._path, msgspec.json.encode(copy))
        except OSError as error:
            log.warning("the copy of the operators for rescue cannot be written: %s", error)
