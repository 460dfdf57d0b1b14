"""Who lets the machine forget: history is cut behind a checkpoint, and what an entry said is removed. And the judge of
what is left: its state, what a rollback may still reach, and the head that a client has seen.

The daemon's own service is asked, by its own messages. What was forgotten the disk still knows, for whoever judges.
"""

import asyncio
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING, cast

from capsule.v1 import retention_pb2 as pb
from capsule.v1.history_pb2 import Moment
from capsulectl.heads import NONE, Seen, fits, told_in
from capsuled.heads import HEAD
from capsuled.memory import replay_journal
from capsuled.rpc import Refused
from capsuled.session import CURRENT, Session
from journal.entry import LOCAL, Header, unpack
from journal.errors import JournalFull, JournalReadOnly
from journal.events import Event, JournalCheckpointed, JournalExcised
from journal.reader import Reader
from projections.state import Machine
from projections.views import state_hash
from tests.simulation.disk import SimulatedReader
from tests.simulation.life import Crash, Life

if TYPE_CHECKING:
    from tests.simulation.machine import Simulation

EVERY = 3
"""So many seeds share one whose machine forgets."""
PAUSE_S = 8.0
RECENT = 60
_REFUSED = {"CONTENT_GONE", "BEGINS_LATER", "HISTORY_BEGINS_LATER"}


class Archivist:
    """Of one simulation. `cut_to` and `gone`: what was acknowledged."""

    def __init__(self, simulation: "Simulation") -> None:
        self._simulation = simulation
        self._random = Random(f"forgetting {simulation.seed}")
        self._seen = NONE
        self.cut_to = 0
        self.gone: set[int] = set()

    async def run(self) -> None:
        """As long as there are faults, and once more without."""
        while self._simulation.faults:
            await asyncio.sleep(self._random.expovariate(1 / PAUSE_S))
            await self._forget()
        await self._forget()

    async def _forget(self) -> None:
        await self._simulation.alive.wait()
        life = self._simulation.life
        assert life is not None
        self._look_at_head(life)
        if life.frozen:
            return
        verb = self._random.choice(("truncate", "excise"))
        try:
            told = await life.unended(self._truncate(life) if verb == "truncate" else self._excise(life))
        except (Crash, JournalFull, JournalReadOnly) as error:
            told = type(error).__name__
        self._simulation.trace.note(f"operator: {verb} -> {told}")

    async def _truncate(self, life: Life) -> str:
        """Up to any entry; rather a late one, since each cuts off what is before it."""
        now = life.engine.machine.seq
        upto = self._random.choice((self._random.randint(1, now), max(1, now - self._random.randint(1, RECENT))))
        await life.engine.durable(now)
        stored = self._reader().get(upto)
        head = "" if stored is None else stored.hash.hex()
        request = pb.TruncateRequest(upto=Moment(seq=upto), exported_to="archive", head_hash=head)
        CURRENT.set(Session(LOCAL))
        try:
            answer = await life.forgetting.Truncate(request, None)
        except Refused as refused:
            reason, known = refused.refusal.reason, life.engine.machine.checkpoint
            may = _REFUSED if upto <= known else {"NOTHING_TO_CUT"} if upto >= now else set()
            assert reason in may, f"entry {upto} of {now}, behind {known}, cannot be cut to: {reason}"
            return reason
        assert answer.first_seq == self._simulation.disk.first == upto + 1, f"{answer}: {self._simulation.disk.first}"
        self.cut_to = upto
        return f"history begins behind {upto}"

    async def _excise(self, life: Life) -> str:
        """What any entry said. Of what the state still says the daemon lets nothing go."""
        first, now = self._simulation.disk.first, life.engine.machine.seq
        seq = self._random.randint(first, now)
        CURRENT.set(Session(LOCAL))
        try:
            await life.forgetting.Excise(pb.ExciseRequest(seqs=[seq], reason="it was mistyped"), None)
        except Refused as refused:
            reason = refused.refusal.reason
            gone = seq in self.gone | self._simulation.disk.excised
            may = {"GONE_ALREADY"} if gone else {"STILL_SO", "MARK"}
            assert reason in may, f"what entry {seq} of {first} to {now} says cannot go: {reason}"
            return f"{seq}: {reason}"
        self.gone.add(seq)
        return f"{seq}: its content is gone"

    def reaches(self, seq: int) -> set[str]:
        """For what reasons the state after entry `seq` cannot be gone back to; none when it can."""
        disk = self._simulation.disk
        if seq < disk.begins and disk.begins > 1:
            return {"HISTORY_BEGINS_LATER"}
        begin = max((base.seq for base in disk.bases if base.seq <= seq), default=0)
        known = begin > 0 or disk.begins == 1
        whole = known and not any(begin < one <= seq for one in disk.excised)
        return set() if whole else {"CONTENT_GONE"}

    def _look_at_head(self, life: Life) -> None:
        """A client remembers the newest entry that it was told of; what was forgotten since does not alarm it."""
        told = told_in(life.heads.told({HEAD: str(self._seen.seq)}))
        assert told is not None, "no head is told of a journal that has entries"
        assert not self._seen.seq or fits(self._seen, told), f"{self._seen} was seen, and now {told} is told"
        self._seen = Seen(told.journal, told.seq, told.hash)

    def _reader(self) -> Reader:
        return cast(Reader, SimulatedReader(self._simulation.disk, self._simulation.release))

    def judge(self, machine: Machine, entries: list[tuple[Header, Event]]) -> list[str]:
        """In the end all that was said to be forgotten is, and nothing else; what is left folds to the same state."""
        disk, wrong = self._simulation.disk, []
        marks = [event for _, event in entries if isinstance(event, JournalCheckpointed | JournalExcised)]
        gone = {seq for event in marks if isinstance(event, JournalExcised) for seq in event.seqs}
        checkpoints = [event.upto for event in marks if isinstance(event, JournalCheckpointed)]
        behind_excision = [
            after.upto
            for event, after in pairwise(marks)
            if isinstance(event, JournalExcised) and isinstance(after, JournalCheckpointed)
        ]
        cut_to = max((upto for upto in checkpoints if upto not in behind_excision), default=0)
        if disk.first != cut_to + 1 or self.cut_to > cut_to:
            wrong.append(f"history begins at {disk.first}; told was {cut_to}, acknowledged {self.cut_to}")
        if self.gone - gone:
            wrong.append(f"what {sorted(self.gone - gone)} said was acknowledged to be gone, and nothing tells of it")
        for seq in sorted(gone):
            if seq >= disk.first and not unpack(disk.moved[seq - 1]).excised:
                wrong.append(f"entry {seq} still says what was to be removed")
        replayed, _ = replay_journal(self._reader())
        if replayed.problem or replayed.state_hash != state_hash(machine):
            wrong.append(f"what is left folds to another state: {replayed}")
        if machine.checkpoint != max(checkpoints, default=0) or machine.excised != len(gone):
            wrong.append(f"the state tells of checkpoint {machine.checkpoint} and {machine.excised} excised entries")
        return wrong
