"""RetentionService: history begins later, and what an entry said is said no more."""

import asyncio
from typing import Any

from capsule.v1 import retention_pb2 as pb
from capsule.v1.retention_pb2_grpc import RetentionServiceServicer
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.moments import Moments
from capsuled.retention import Retention, kept
from capsuled.rollbacks import check_reason
from capsuled.rpc import Refused, caller_of, refuse
from effects.unbroken import to_its_end
from journal.codec import decode
from journal.errors import JournalError
from journal.events import Event, JournalCheckpointed
from journal.reader import Reader
from projections.intents import Checkpoint
from projections.refusals import Refusal
from projections.state import Machine
from projections.updates import unconfirmed
from projections.views import VIEW, state_hash

PATH_CHARS = 512


class RetentionService(RetentionServiceServicer):
    """See proto/capsule/v1/retention.proto. One change at a time: each begins the fold anew."""

    def __init__(self, engine: Engine, reader: Reader | None, retention: Retention, why: JournalError) -> None:
        """`why`: the reason where there is nothing to read."""
        self._engine = engine
        self._reader = reader
        self._retention = retention
        self._why = why
        self._one_at_a_time = asyncio.Lock()

    async def Truncate(self, request: pb.TruncateRequest, context: Any) -> pb.RetentionResponse:
        """Answers once it is gone. A dry run may be asked before there is an archive."""
        caller, reader = caller_of(context, "RetentionService.Truncate", request), self._readable()
        if not request.exported_to or len(request.exported_to) > PATH_CHARS or not request.exported_to.isprintable():
            refuse("INVALID_ARGUMENT", "NOT_EXPORTED", "say where what is cut was exported to", "exported_to")
        async with self._one_at_a_time:
            if (before := await self._before(caller, reader)) is not None:
                return before
            now = await self._now()
            moments = Moments(reader, self._engine.wall_ns)
            upto, machine, head = await asyncio.to_thread(lambda: _as_of(reader, moments, request, now))
            if head != request.head_hash.lower() and (request.head_hash or not request.dry_run):
                message = f"the archive does not end with entry {upto} of this journal: export it again, up to there"
                refuse("FAILED_PRECONDITION", "NOT_EXPORTED", message, "head_hash")
            first = reader.first_seq()
            intent = Checkpoint(upto, VIEW, state_hash(machine), head, request.exported_to)
            seq = await self._forgotten(intent, caller, request.dry_run, machine, reader)
            return pb.RetentionResponse(upto=upto, entries=upto - first + 1, seq=seq, first_seq=upto + 1)

    async def Excise(self, request: pb.ExciseRequest, context: Any) -> pb.RetentionResponse:
        """Answers once it is gone."""
        caller, reader = caller_of(context, "RetentionService.Excise", request), self._readable()
        check_reason(request.reason)
        async with self._one_at_a_time:
            if (before := await self._before(caller, reader)) is not None:
                return before
            machine = self._engine.machine.fork()
            await self._engine.durable(machine.seq)
            seqs = tuple(sorted(set(request.seqs)))
            head, said = await asyncio.to_thread(lambda: _looked_up(reader, machine, seqs))
            intent = Checkpoint(machine.seq, VIEW, state_hash(machine), head, excised=said, reason=request.reason)
            seq = await self._forgotten(intent, caller, request.dry_run, machine, reader)
            return pb.RetentionResponse(
                upto=machine.seq, entries=len(seqs), seq=seq, first_seq=reader.first_seq()
            )  # fmt: skip

    def _readable(self) -> Reader:
        self._engine.check_writable()
        if self._reader is None:
            raise self._why
        return self._reader

    async def _before(self, caller: Caller, reader: Reader) -> pb.RetentionResponse | None:
        """The answer for a call that was made before; None for a new one. Raises Refused, NoRoom."""
        outcome = await self._engine.answered(caller)
        if outcome is None:
            return None
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        await to_its_end(self._catch_up())
        entries = await asyncio.to_thread(lambda: [*reader.of_call(outcome.seq)])
        marks = [event for event in map(decode, entries) if isinstance(event, JournalCheckpointed)]
        upto = marks[0].upto if marks else self._engine.machine.checkpoint  # it was cut itself since
        return pb.RetentionResponse(upto=upto, seq=outcome.seq, first_seq=reader.first_seq())

    async def _catch_up(self) -> None:
        """What was said and is not done yet; while what runs is on trial a later start comes to it, for the system
        before may have to read what the fold begins with. Raises NoRoom."""
        if not unconfirmed(self._engine.machine):
            await self._retention.resume()

    async def _now(self) -> int:
        seq = self._engine.machine.seq
        await self._engine.durable(seq)
        return seq

    async def _forgotten(
        self, intent: Checkpoint, caller: Caller, dry_run: bool, machine: Machine, reader: Reader
    ) -> int:
        """The call's own entry; 0 for a dry run. `machine`: what the fold begins with then. Raises Refused, NoRoom."""
        if dry_run:
            _, verdict = self._engine.preview(intent, caller.actor.role)
            if isinstance(verdict, Refusal):
                raise Refused(verdict)
            return 0
        return await to_its_end(self._said_and_done(intent, caller, machine, reader))

    async def _said_and_done(self, intent: Checkpoint, caller: Caller, machine: Machine, reader: Reader) -> int:
        """What was said before and is not done yet comes first: only the newest that was said is looked for later."""
        await self._catch_up()
        outcome = await self._engine.call(intent, caller)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        base = await asyncio.to_thread(kept, machine, intent.head_hash, reader)
        await self._retention.retain(base, tuple(seq for seq, _ in intent.excised))
        return outcome.seq


def _as_of(reader: Reader, moments: Moments, request: pb.TruncateRequest, now: int) -> tuple[int, Machine, str]:
    """The entry that is meant, the state after it, and its hash. Raises Refused."""
    upto = moments.seq_of(request.upto, now, "upto")
    stored = reader.get(upto) if upto else None
    if stored is None or upto >= now:
        begins = f"nothing is older than that: history begins at entry {reader.first_seq()}"
        words = begins if stored is None else f"the newest entry, {now}, stays: name an entry before it"
        refuse("INVALID_ARGUMENT", "NOTHING_TO_CUT", words, "upto")
    return upto, moments.machine(upto), stored.hash.hex()


def _looked_up(
    reader: Reader, machine: Machine, seqs: tuple[int, ...]
) -> tuple[str, tuple[tuple[int, Event | None], ...]]:
    """The hash of the newest entry that the state knows, and what these entries say. Raises Refused for entries that
    have no content to remove."""
    if not seqs:
        refuse("INVALID_ARGUMENT", "NO_ENTRIES", "name the entries whose content is to go", "seqs")
    said = []
    for seq in seqs:
        stored = reader.get(seq) if seq <= machine.seq else None
        if stored is None:
            refuse("NOT_FOUND", "NO_SUCH_ENTRY", f"there is no entry {seq}", "seqs")
        if stored.excised:
            refuse("FAILED_PRECONDITION", "GONE_ALREADY", f"the content of entry {seq} is gone already", "seqs")
        if stored.header.type in ("journal.excised", "journal.checkpointed"):
            refuse("FAILED_PRECONDITION", "MARK", f"entry {seq} says what was forgotten: that stays", "seqs")
        said.append((seq, decode(stored)))
    last = reader.get(machine.seq)
    assert last is not None, "it is durable"
    return last.hash.hex(), tuple(said)
