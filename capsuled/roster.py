"""Who may come in now: the operators of the state, or, where the journal cannot be trusted, of the last copy of them.

The copy in `identity/` is derived from the journal after every change and decides nothing while the journal can be
written. Without it, rescue would have to let nobody in, or a state that ends early would let in a key that was removed.
"""

import asyncio
import contextlib
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

FIRST_PAUSE_S, CAP_PAUSE_S = 1.0, 60.0
"""Before a copy that could not be written is tried again."""


class Copy(msgspec.Struct, frozen=True):
    """The operators as of entry `seq`."""

    seq: int
    operators: tuple[Operator, ...]


class Roster:
    """`trusted`: the journal is open for writing, so the head state is the truth. `lacks` says why the copy is not as
    that; empty while it is."""

    def __init__(self, path: Path, engine: Engine, live: LiveStreams, *, trusted: bool) -> None:
        self._path = path
        self._engine = engine
        self._live = live
        self._trusted = trusted
        self._rescued = {} if trusted else self._rescue()
        self._due = asyncio.Event()
        self._wanted = Copy(0, ())
        self._tried: dict[str, Operator] = {}
        self.lacks = ""
        self._copying = asyncio.Condition()

    def operators(self) -> Mapping[str, Operator]:
        """By key id."""
        return self._engine.machine.operators if self._trusted else self._rescued

    def _rescue(self) -> dict[str, Operator]:
        machine = self._engine.machine
        try:
            copy = self._kept()
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
        async with asyncio.TaskGroup() as group:
            group.create_task(self._copy())
            await self._follow()

    async def _follow(self) -> None:
        known: dict[str, Operator] | None = None
        async for machine in self._engine.changes(*HANDLERS):
            now = dict(machine.operators)
            if now == known:
                continue
            seq = machine.seq
            await self._engine.durable(seq)
            self._cut(known or {}, now)
            known, self._wanted = now, Copy(seq, tuple(now.values()))
            self._due.set()

    async def _copy(self) -> None:
        """Write what is wanted; what cannot be written, again after a while, or with the next change."""
        await self._due.wait()
        pause_s = FIRST_PAUSE_S
        while True:
            self._due.clear()
            wanted = self._wanted
            lacks = await asyncio.to_thread(self._write, wanted)
            async with self._copying:
                self._tried, self.lacks = {one.kid: one for one in wanted.operators}, lacks
                self._copying.notify_all()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s if lacks else None):
                    await self._due.wait()
            pause_s = min(2 * pause_s, CAP_PAUSE_S) if lacks else FIRST_PAUSE_S

    async def copied(self) -> str:
        """Return once the copy is as the state is: a removal that was answered holds in rescue, too. Where it cannot be
        written, why that removal does not hold there yet."""
        async with self._copying:
            await self._copying.wait_for(lambda: self._tried == self._engine.machine.operators)
            return self.lacks

    async def warnings(self) -> tuple[str, ...]:
        """What an operator should know of now."""
        return (self.lacks,) if self.lacks else ()

    def _cut(self, known: Mapping[str, Operator], now: Mapping[str, Operator]) -> None:
        for kid in {*known, *self._live.keys()} - {"anonymous"}:
            operator, before = now.get(kid), known.get(kid)
            same = operator is not None and (before is None or operator.seq == before.seq)
            self._live.cut(kid, operator.role if operator is not None and same else "")

    def _kept(self) -> Copy:
        """Raises OSError and MsgspecError."""
        return msgspec.json.decode(self._path.read_bytes(), type=Copy)

    def _write(self, copy: Copy) -> str:
        """Why it cannot be; empty when it is, or the same operators stand there already: a start changes none."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            if self._kept().operators == copy.operators:
                return ""
        try:
            write_durably(self._path, msgspec.json.encode(copy))
        except OSError as error:
            log.warning("the copy of the operators for rescue cannot be written: %s", error)
            return (
                "in rescue the operators of before are let in, a key that was removed since too: their copy cannot be "
                f"written ({error.strerror}). Free space on the disk with the state, or mend it; it is tried again by "
                "itself"
            )
        return ""
