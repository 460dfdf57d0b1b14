"""Somebody who takes back everything at once: what was declared at a moment is so again where it can be, what was not there
then goes, and what cannot go back is named and stays as it is.

Nobody else declares anything meanwhile, but daemons die over it. What can go back is written down here once more.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from capsule.v1 import history_pb2, rollback_pb2
from capsuled.caller import Caller
from capsuled.rollbacks import RolledBack
from capsuled.rpc import Refused
from journal.errors import HistoryCut
from projections.state import Machine
from tests.simulation.asking import answered
from tests.simulation.asks import NAMES, QUIET, Ask
from tests.simulation.collisions import STRANGERS
from tests.simulation.keyholders import actor_of
from tests.simulation.life import Life
from tests.simulation.oracle import Wish

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

STRANGER = STRANGERS[0]
"""Is there at times, and was not there then."""
EVERYBODY = (*NAMES, QUIET, STRANGER)
SERVE = ("serve", "1")
LIVED_S = 0.2
"""As long as a rollback may take; a daemon that is to die over it does so by then."""
GONE_S = 1.0
"""By then a volume is gone whose deletion was asked for, without faults."""

Asking = Callable[[str, Ask], Awaitable[None]]
Choosing = Callable[[str, tuple[str, ...]], Ask]


class Whole:
    """Of one simulation, at a moment at which all is known. `ask` has an operator say a word of a workload, `choose`
    chooses one."""

    def __init__(self, simulation: "Simulation", ask: Asking, choose: Choosing) -> None:
        self._simulation = simulation
        self._oracle = simulation.oracle
        self._random = Random(f"whole {simulation.seed}")
        self._ask, self._choose = ask, choose
        self._calls = 0

    async def run(self) -> None:
        """There, and some then want it as it was before."""
        seq, then = self._machine.seq, self._wishes()
        await self._disturb()
        back_seq, back = self._machine.seq, self._wishes()
        await self._roll_back(seq, then)
        if self._random.random() < 0.5:
            await self._roll_back(back_seq, back)
        if STRANGER in self._oracle.wishes:
            await self._ask(STRANGER, Ask("delete", ()))

    async def _disturb(self) -> None:
        """Some are declared otherwise, or are not what they were any more, and somebody takes what they had."""
        random = self._random
        for name in NAMES:
            verb = random.choice(("apply", "apply", "stop", "start", "delete", "other kind", "other volume", "nothing"))
            match verb:
                case "nothing":
                    continue
                case "other kind":
                    vm = self._oracle.wishes[name].vm if name in self._oracle.wishes else False
                    await self._ask(name, Ask("delete", ()))
                    await self._ask(name, Ask("apply", SERVE, vm=not vm))
                case "other volume":
                    await self._ask(name, Ask("delete", ()))
                    await self._ask(name, Ask("v-delete", ()))
                    await asyncio.sleep(GONE_S)
                    if random.random() < 0.5:
                        await self._ask(name, Ask("v-create", ()))
                case _:
                    await self._ask(name, self._choose(name, (verb,)))
        held = {wish.port for name, wish in self._oracle.wishes.items() if name != STRANGER}
        free = [port for name in NAMES for port in self._ports(name) if port not in held]
        if random.random() < 0.7:
            await self._ask(STRANGER, Ask("apply", SERVE, port=random.choice((0, *free)), vm=random.random() < 0.5))

    def _ports(self, name: str) -> tuple[int, int]:
        return 8_000 + NAMES.index(name), 9_000 + NAMES.index(name)

    async def _roll_back(self, seq: int, then: dict[str, Wish]) -> None:
        """Looked at first by some, who say then at what they looked."""
        request = rollback_pb2.RollbackRequest()
        if self._random.random() < 0.5:
            planned = await self._call(rollback_pb2.RollbackRequest(dry_run=True), seq)
            if planned is None:
                return
            await self._refused(seq, planned.desired_seq - 1)
            request.expect_seq = planned.desired_seq
        left, gone = self._left(then), self._oracle.wishes.keys() - then.keys()
        uids = {name: self._machine.workloads[name].uid for name in gone}
        if self._random.random() < 0.5:
            simulation = self._simulation
            simulation.loop.call_later(self._random.uniform(0.0, LIVED_S), simulation.kill, "over a rollback")
        for name in EVERYBODY:
            self._oracle.asked(name)
        before = self._machine.seq
        try:
            result = await self._call(request, seq)
        except Refused as refused:
            assert refused.refusal.reason == "NOTHING_GOES_BACK" and not gone, refused.refusal
            left = set(then)
        except HistoryCut as forgotten:  # it was carried out, by a daemon that died over it
            assert self._simulation.archivist.reaches(before), f"what came behind {before} was not cut: {forgotten}"
        else:
            if result is None:
                left, gone = set(then), set()
            else:
                told = [{one.name for one in result.items if one.outcome == word} for word in ("left", "deleted")]
                assert told == [left, gone], f"back to {seq}: {result.items}, not {left} and {gone}"
        for name, wish in then.items():
            if name not in left:
                self._oracle.rolled_back(name, wish)
                self._simulation.safekeeper.told(name, wish.secret)
        for name in gone:
            self._oracle.deleted(name)
            self._simulation.safekeeper.told(name, uses=False)
        for name in EVERYBODY:
            self._oracle.answered(name)
        wrong = self._oracle.judge_memory(self._machine)
        assert not wrong, "\n".join(wrong)
        for name in gone:
            await self._gone(name, uids[name])

    async def _gone(self, name: str, uid: int) -> None:
        await answered(self._simulation, lambda life: life.engine.gone(name, uid))

    def _left(self, then: dict[str, Wish]) -> set[str]:
        """Who cannot be as he was: he is something else now, his data is gone, somebody has his port who is only about to
        go, or one that he needs cannot be there."""
        now = self._oracle.wishes
        taken = {wish.port for name, wish in now.items() if name not in then and wish.port}
        left = set()
        for name, was in then.items():
            disk = self._oracle.disks.get(name)
            other_kind = name in now and now[name].vm != was.vm
            other_disk = was.disk and (disk is None or disk.incarnation != was.disk)
            if other_kind or other_disk or was.port in taken:
                left.add(name)
        while more := {
            name
            for name, was in then.items()
            if name not in left and any(other in left and other not in now for other in was.needs)
        }:
            left |= more
        return left

    async def _refused(self, seq: int, expect_seq: int) -> None:
        """Who looked at another state than there is has to look again."""
        before = self._machine.desired_seq
        try:
            await self._call(rollback_pb2.RollbackRequest(expect_seq=expect_seq), seq)
        except Refused as refused:
            assert refused.refusal.reason in ("SEQUENCE_MISMATCH", "NOTHING_GOES_BACK"), refused.refusal
        else:
            assert self._machine.desired_seq == before, f"rolled back at {before}, as read at {expect_seq}"

    async def _call(self, request: rollback_pb2.RollbackRequest, seq: int) -> RolledBack | None:
        """None where nobody remembers that moment any more, and it says so."""
        request.moment.CopyFrom(history_pb2.Moment(seq=seq))
        self._calls += 1
        caller = Caller(actor_of("everybody"), "rollback", f"call-{self._calls}", f"{request}")

        async def call(life: Life) -> RolledBack:
            return await life.rollbacks.roll_back(request, caller)

        reaches = self._simulation.archivist.reaches
        when_asked = reaches(seq)
        try:
            result = await answered(self._simulation, call)
        except Refused as refused:
            if refused.refusal.reason in when_asked | reaches(seq):
                return None
            raise
        items = ", ".join(f"{one.name} {one.outcome}" for one in result.items)
        self._simulation.trace.note(f"operator: rollback of everything to {seq} -> {items}")
        return result

    def _wishes(self) -> dict[str, Wish]:
        return {name: replace(wish) for name, wish in self._oracle.wishes.items() if name in EVERYBODY}

    @property
    def _machine(self) -> Machine:
        assert self._simulation.life is not None
        return self._simulation.life.engine.machine
