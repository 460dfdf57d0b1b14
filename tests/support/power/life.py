"""A life of the core on a disk: operators who call, observations, sealed values, reads, snapshots. And its ledger.

    python -m tests.support.power.life DIRECTORY LEDGER ACKS --seed N --calls N [--plant barrier|sync|metasync]

The ledger stands on another disk, one JSON object a line: `{"end", "hash", "link"}` for every batch when it was handed
to the journal (its last entry, the state's hash there and the entry's own), and `{"ack", "seq", "id"}` for every call
that was answered, before the counter in ACKS tells the disk so. The front log is a small one, so that it is written
over many times. `--plant` makes it, or LMDB, skip a barrier: a harness that does not find that out proves nothing.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from random import Random

import lmdb
from msgspec.structs import replace

from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.memory import Snapshots
from capsuled.sealing import Vault
from capsuled.startup import opening_events
from journal.clock import SystemClock
from journal.entry import LOCAL, SYSTEM, Header
from journal.environment import Environment
from journal.events import CallRead, EffectDone, EffectStarted, Event, WorkloadRemoved, WorkloadStarted
from journal.frontlog import open_front_log
from journal.sequencer import Draft
from journal.specs import SealedEnv
from journal.writer import Journal
from projections.intents import Apply, Delete, Intent, Restart, Start, Stop
from projections.observations import ObservedRun, observe_run
from projections.refusals import Refusal
from projections.state import Machine
from projections.views import state_hash
from tests.support.power.ledger import Ledger
from tests.support.story import declared

KEY = b"k" * 32
NAMES = ("web", "db", "job", "cache", "queue", "mail")
SNAPSHOT_CALLS = 150
LOG_BYTES = 128 << 10


class Operators:
    """Several who call at once, so that groups of all sizes are committed."""

    def __init__(self, engine: "NotedEngine", journal: Journal, vault: Vault, ledger: Ledger, random: Random) -> None:
        self._engine, self._journal, self._vault = engine, journal, vault
        self._ledger, self._random = ledger, random
        self._snapshots = Snapshots(journal, 0)
        self.left = 0

    async def work(self, number: int) -> None:
        """Calls, one after another, until there are none left."""
        while self.left > 0:
            self.left -= 1
            await self._one(f"{number}-{self.left}")
            if self.left % SNAPSHOT_CALLS == 0:
                self._snapshots.take(self._engine.machine)
            if self._random.random() < 0.2:
                await asyncio.sleep(self._random.random() * 0.01)

    async def _one(self, call_id: str) -> None:
        random, name = self._random, self._random.choice(NAMES)
        intent: Intent
        match random.choice(("apply", "apply", "apply", "stop", "start", "restart", "delete")):
            case "apply":
                intent = self._apply(name)
            case "stop":
                intent = Stop(name)
            case "start":
                intent = Start(name)
            case "restart":
                intent = Restart(name)
            case _:
                intent = Delete(name)
        self._journal.note(Draft(CallRead("WorkloadService.Get", name), LOCAL))
        outcome = await self._engine.call(intent, Caller(LOCAL, type(intent).__name__, call_id, call_id))
        if isinstance(outcome, Refusal):
            return
        self._ledger.answered(seq=outcome.seq, id=call_id)
        self._happen(name, outcome.seq)

    def _apply(self, name: str) -> Apply:
        random = self._random
        value = f"secret {random.randrange(1_000)}"
        one = declared(name, "serve", str(random.randrange(5)), "x" * random.choice((10, 100, 9_000)))
        env = (SealedEnv("TOKEN", self._vault.seal([value])[0], len(value)),) if random.random() < 0.3 else ()
        return Apply((replace(one, spec=replace(one.spec, env=env)),))

    def _happen(self, name: str, cause: int) -> None:
        """What the world would have answered: runs that start and end, and workloads that are gone."""
        engine, workload = self._engine, self._engine.machine.workloads.get(name)
        if workload is None:
            return
        uid, run = workload.uid, 1 if workload.run is None else workload.run.number + 1
        if workload.desired == "deleting":
            engine.record((WorkloadRemoved(name, uid),), cause=cause)
            return
        begun = engine.record((EffectStarted("StartRun", name, uid, run=run, revision=workload.revision),), cause=cause)
        alive = WorkloadStarted(name, uid, run, workload.revision, self._random.randrange(1 << 20))
        engine.record((alive, EffectDone("StartRun", name, uid, run=run)), cause=begun)
        ended = ObservedRun(name, uid, workload.revision, run, "stopped", exit_code=self._random.randrange(256))
        engine.record(observe_run(engine.machine, ended, "boot", 1), cause=begun)


class NotedEngine(Engine):
    """The engine, with a line in the ledger for every batch that it commits."""

    def __init__(self, journal: Journal, machine: Machine, ledger: Ledger) -> None:
        super().__init__(journal, machine, SystemClock(), frozenset())
        self._journal, self._ledger = journal, ledger

    def commit(
        self, drafts: Sequence[Draft], reserved: bool = False, vital: bool = False
    ) -> Sequence[tuple[Header, Event]]:
        """See Engine."""
        entries = super().commit(drafts, reserved, vital)
        head = self._journal.head
        # A batch that ends here is on its way: on the disk there is all of it, or nothing.
        self._ledger.note(end=head.seq, hash=state_hash(self.machine), link=head.hash.hex())
        return entries


async def live(directory: Path, ledger: Ledger, seed: int, calls: int) -> None:
    """A first life, until `calls` were made."""
    random = Random(seed)
    environment = Environment(directory / "journal")
    journal = Journal(environment, SystemClock(), front=open_front_log(environment, LOG_BYTES))
    engine = NotedEngine(journal, Machine(), ledger)
    engine.record(opening_events(engine.machine, SystemClock(), 1), reserved=True, actor=SYSTEM)
    operators = Operators(engine, journal, Vault(directory / "sealed", KEY), ledger, random)
    operators.left = calls
    await asyncio.gather(*(operators.work(number) for number in range(random.choice((1, 3, 8)))))
    await engine.durable()


def plant(what: str) -> None:
    """From here on the front log is written, or LMDB opened, with a barrier left out."""
    if what == "barrier":
        setattr(os, "RWF_DSYNC", 0)  # noqa: B010
    else:
        opened = lmdb.open
        setattr(lmdb, "open", lambda *places, **options: opened(*places, **{**options, what: False}))  # noqa: B010


def _main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("directory", "ledger", "acks"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--plant", choices=("barrier", "sync", "metasync"))
    arguments = parser.parse_args()
    if arguments.plant:
        plant(arguments.plant)
    ledger = Ledger(arguments.ledger, arguments.acks)
    asyncio.run(live(arguments.directory, ledger, arguments.seed, arguments.calls))


if __name__ == "__main__":
    _main()
