"""HistoryService: the memory, asked."""

import re
from collections.abc import AsyncIterator, Awaitable
from contextlib import aclosing
from typing import Any, TypeVar

from capsule.v1 import history_pb2 as pb
from capsule.v1.history_pb2_grpc import HistoryServiceServicer
from capsuled.aside import Aside
from capsuled.call_entries import OBJECT_CHARS
from capsuled.engine import Engine
from capsuled.examine import replay_apart, verify_apart
from capsuled.history import Filter, History, ReadAfter
from capsuled.memory import Leave, recall
from capsuled.moments import Moments
from capsuled.processes import CommandFailed
from capsuled.revisions import revisions
from capsuled.rpc import Refused, check_end, refuse
from capsuled.session import CURRENT
from capsuled.shortening import MESSAGE_BYTES
from capsuled.turns import Turns
from capsuled.why import explained, nothing_known
from capsuled.wire_past import CALLED, changes, has, machine_message, no_part
from journal import archive
from journal.environment import Environment
from journal.errors import JournalError
from journal.head import Head
from journal.reader import LAST, Reader
from projections.desired import desired_hash
from projections.refusals import no_workload
from projections.state import Machine
from projections.views import state_hash

EXPORT_BYTES = 256 << 10
APART_AT_ONCE = 2
"""Replays and proofs, for all readers together: each is a process that reads the whole journal."""
_HASH = re.compile(r"[0-9a-fA-F]{64}")

T = TypeVar("T")


class HistoryService(HistoryServiceServicer):
    """See proto/capsule/v1/history.proto."""

    def __init__(
        self,
        environment: Environment,
        reader: Reader,
        engine: Engine,
        leave: Leave | None = None,
        read_after: ReadAfter | None = None,
    ) -> None:
        """`leave` keeps snapshots, and `read_after` tells of reads, where any can be kept."""
        self._environment = environment
        self._reader = reader
        self._engine = engine
        self._aside = Aside()
        self._turns = Turns(APART_AT_ONCE)
        self._history = History(reader, engine, self._aside, read_after)
        self._moments = Moments(reader, engine.wall_ns, leave)
        self._finding = ""

    async def warnings(self) -> tuple[str, ...]:
        """What the newest proof found, if anything: somebody else may have asked for it than who looks now."""
        if not self._finding:
            return ()
        return (
            f"the journal is not whole: {self._finding}. What is shown and done goes by entries that were proven at "
            "the start, so all goes on; keep a copy of the journal's directory, and have an export from before at hand",
        )

    async def List(self, request: pb.HistoryListRequest, context: Any) -> AsyncIterator[pb.HistoryEntry]:
        """What happened."""
        check_end(request, "upto", "until_unix_ns")
        refusal = await self._history.lacks(request.type)
        if refusal is not None:
            raise Refused(refusal)
        boot = ""
        if request.HasField("boot"):
            if request.boot > 0:
                refuse("INVALID_ARGUMENT", "BAD_BOOT", "boots are counted back: 0 is the present one", "boot")
            now = await self._now()
            boot = await self._aside.run(lambda: self._moments.boot_id(-request.boot, now, "boot"))
        wanted = Filter(
            name=request.name,
            type=request.type,
            actor=request.actor,
            since_ns=request.since_unix_ns,
            types=tuple(request.types),
            until_ns=request.until_unix_ns,
            failed=request.failed,
            boot=boot,
        )
        reading = self._history.entries(wanted, request.limit, request.follow, request.audit, request.upto)
        async with aclosing(reading):
            async for message in reading:
                yield message

    async def Revisions(self, request: pb.RevisionsRequest, context: Any) -> AsyncIterator[pb.WorkloadRevision]:
        """What a workload was declared as."""
        now = await self._now()
        found = await self._aside.run(lambda: revisions(self._reader, request.name, now, request.limit))
        if not found:
            workloads = self._engine.machine.workloads
            if request.name in workloads:
                self._moments.remembered(workloads[request.name].revision, "name")
            raise Refused(no_workload(request.name, workloads))
        for one in found:
            yield one

    async def Show(self, request: pb.HistoryShowRequest, context: Any) -> pb.HistoryShowResponse:
        """One entry and its tree."""
        answer = await self._history.show(request.seq)
        if answer is None:
            if request.seq:
                self._moments.remembered(request.seq, "seq")
            refuse("NOT_FOUND", "NO_SUCH_ENTRY", f"there is no entry {request.seq}", "seq")
        return answer

    async def Why(self, request: pb.WhyRequest, context: Any) -> pb.WhyResponse:
        """Why an object is as it is, or was."""
        now = await self._now()

        def read() -> pb.WhyResponse:
            machine = self._moments.machine(self._moments.seq_of(request.at, now, "at"))
            answer = explained(self._reader, machine, request.name)
            if answer is None:
                raise Refused(nothing_known(self._reader, machine, request.name))
            return answer

        return await self._aside.run(read)

    async def AsOf(self, request: pb.AsOfRequest, context: Any) -> pb.AsOfResponse:
        """The machine as it was."""
        if nothing := no_part(request.only):
            refuse("INVALID_ARGUMENT", "NO_SUCH_PART", f"an answer has no {nothing[:OBJECT_CHARS]}", "only")
        now = await self._now()
        moments = self._moments

        def read() -> pb.AsOfResponse:
            answer = machine_message(moments.machine(moments.seq_of(request.at, now, "at")), request.only)
            if answer.ByteSize() > MESSAGE_BYTES:
                words = "all that the machine was then has no room in one answer: ask for its parts in turn, by `only`"
                refuse("RESOURCE_EXHAUSTED", "TOO_MUCH_TO_TELL", words, "only")
            return answer

        return await self._aside.run(read)

    async def Compare(self, request: pb.CompareRequest, context: Any) -> pb.CompareResponse:
        """What changed."""
        now = await self._now()

        def read() -> pb.CompareResponse:
            seqs = [
                self._moments.seq_of(moment, now, field)
                for moment, field in ((request.before, "before"), (request.after, "after"))
            ]
            before, after = (self._moments.machine(seq) for seq in seqs)
            if request.name and not any(has(machine, request.name) for machine in (before, after)):
                told = f"nothing was called {request.name[:OBJECT_CHARS]} then: it is {CALLED}"
                refuse("NOT_FOUND", "NO_SUCH_OBJECT", told, "name")
            found = changes(before, after, request.name)
            return pb.CompareResponse(before_seq=seqs[0], after_seq=seqs[1], changes=found)

        return await self._aside.run(read)

    async def _now(self) -> int:
        """The newest entry that the state knows, once it is on the disk."""
        seq = self._engine.machine.seq
        await self._engine.durable(seq)
        return seq

    async def Replay(self, request: pb.ReplayRequest, context: Any) -> pb.ReplayResponse:
        """Fold the journal again, and compare with the daemon's own state where it has one at that entry."""
        return await self._turns.ask(("replay", request.to), lambda: self._replay(request), _asker())

    async def _replay(self, request: pb.ReplayRequest) -> pb.ReplayResponse:
        live = self._engine.machine.fork()
        await self._engine.durable(live.seq)
        upto = request.to or live.seq
        if upto > live.seq:
            refuse("INVALID_ARGUMENT", "NO_SUCH_ENTRY", f"the journal ends at {live.seq}", "to")
        try:
            replayed, machine = await self._apart(replay_apart(self._environment.directory, upto))
        except CommandFailed as failure:
            refuse("DATA_LOSS", "JOURNAL_DAMAGED", f"the journal cannot be replayed: {failure}")
        if replayed.problem:
            refuse("DATA_LOSS", "JOURNAL_DAMAGED", f"the replay ended at {replayed.seq}: {replayed.problem}")
        kept_seq, kept_hash = await self._aside.run(lambda: self._kept(live, upto))
        return pb.ReplayResponse(
            seq=replayed.seq,
            view=replayed.view,
            state_hash=replayed.state_hash,
            entries=replayed.entries,
            live_hash=kept_hash,
            elapsed_us=replayed.elapsed_us,
            kept_seq=kept_seq,
            desired_hash=desired_hash(machine),
        )

    def _kept(self, live: Machine, upto: int) -> tuple[int, str]:
        """The daemon's own state at an entry: the head's, or the one it would go by after a start there."""
        if upto == live.seq:
            return upto, state_hash(live)
        recalled = recall(self._reader, upto)
        return (recalled.snapshot_seq, state_hash(recalled.machine)) if recalled.snapshot_seq else (0, "")

    async def Verify(self, request: pb.VerifyRequest, context: Any) -> pb.VerifyResponse:
        """The chain's proof, in a process apart."""
        await self._engine.durable()
        if request.head_seq and not _HASH.fullmatch(request.head_hash):
            refuse("INVALID_ARGUMENT", "BAD_HEAD", "the hash of a head has 64 hexadecimal digits", "head_hash")
        head = Head(request.head_seq, bytes.fromhex(request.head_hash)) if request.head_seq else None
        report = await self._turns.ask(
            ("verify", head), lambda: self._apart(verify_apart(self._environment.directory, head=head)), _asker()
        )
        # A head that the caller brought may be any: only what the journal itself shows is told to others.
        own = [one.problem for one in report.findings if head is None or one.seq != head.seq]
        if own or report.whole:
            self._finding = own[0] if own else ""
        return pb.VerifyResponse(
            checked=report.checked,
            first_seq=report.first_seq,
            head_seq=report.head_seq,
            head_hash=report.head_hash,
            findings=[finding.problem for finding in report.findings],
            excised=report.excised,
        )

    async def _apart(self, answer: Awaitable[T]) -> T:
        """What a process apart answers. One that was killed, as its asker had gone, leaves its place among the readers
        taken: the next ones would find none, and the journal could use no page again that it had seen."""
        try:
            return await answer
        finally:
            self._environment.forget_dead_readers()

    async def Stats(self, request: pb.StatsRequest, context: Any) -> pb.StatsResponse:
        """The journal's size and extent."""
        await self._engine.durable()
        live = self._engine.machine.fork()
        return await self._aside.run(lambda: self._stats(live))

    def _stats(self, live: Machine) -> pb.StatsResponse:
        reader, environment = self._reader, self._environment
        first, last = reader.get(reader.first_seq()), reader.last()
        snapshots = reader.snapshots()
        return pb.StatsResponse(
            journal_id=environment.journal_id.hex(),
            first_seq=reader.first_seq(),
            last_seq=0 if last is None else last.header.seq,
            audit_entries=reader.count("audit"),
            used_bytes=environment.used_bytes,
            file_bytes=(environment.directory / "data.mdb").stat().st_blocks * 512,
            map_bytes=environment.map_bytes,
            index_seq=reader.cursor(),
            snapshots=len(snapshots),
            newest_snapshot_seq=max(snapshots, default=0),
            first_at_unix_ns=0 if first is None else first.header.at,
            last_at_unix_ns=0 if last is None else last.header.at,
            head_hash="" if last is None else last.hash.hex(),
            by_type=reader.types(),
            desired_hash=desired_hash(live),
        )

    async def Export(self, request: pb.ExportRequest, context: Any) -> AsyncIterator[pb.ExportChunk]:
        """The archive, up to the entry that is the newest now."""
        await self._engine.durable()
        # Not the head state's place: a frozen daemon's ends before what it cannot read, which has to be taken along.
        last = self._reader.last()
        upto = 0 if last is None else min(last.header.seq, request.upto or LAST)
        if part := last is not None and upto < last.header.seq:
            await self._aside.run(lambda: self._moments.check_told(upto))
        blocks = archive.export(self._reader, self._environment.journal_id, upto or LAST, part=part)
        while (block := await self._aside.run(lambda: next(blocks, None))) is not None:
            for start in range(0, len(block), EXPORT_BYTES):
                yield pb.ExportChunk(data=block[start : start + EXPORT_BYTES])


class UnreadableHistory(HistoryServiceServicer):
    """Where not one entry of the journal can be read: every call says why."""

    def __init__(self, why: JournalError) -> None:
        self._why = why

    async def List(self, request: pb.HistoryListRequest, context: Any) -> AsyncIterator[pb.HistoryEntry]:
        """Raises the reason."""
        raise self._why
        yield pb.HistoryEntry()

    async def Revisions(self, request: pb.RevisionsRequest, context: Any) -> AsyncIterator[pb.WorkloadRevision]:
        """Raises the reason."""
        raise self._why
        yield pb.WorkloadRevision()

    async def Show(self, request: pb.HistoryShowRequest, context: Any) -> pb.HistoryShowResponse:
        """Raises the reason."""
        raise self._why

    async def Why(self, request: pb.WhyRequest, context: Any) -> pb.WhyResponse:
        """Raises the reason."""
        raise self._why

    async def AsOf(self, request: pb.AsOfRequest, context: Any) -> pb.AsOfResponse:
        """Raises the reason."""
        raise self._why

    async def Compare(self, request: pb.CompareRequest, context: Any) -> pb.CompareResponse:
        """Raises the reason."""
        raise self._why

    async def Replay(self, request: pb.ReplayRequest, context: Any) -> pb.ReplayResponse:
        """Raises the reason."""
        raise self._why

    async def Verify(self, request: pb.VerifyRequest, context: Any) -> pb.VerifyResponse:
        """Raises the reason."""
        raise self._why

    async def Stats(self, request: pb.StatsRequest, context: Any) -> pb.StatsResponse:
        """Raises the reason."""
        raise self._why

    async def Export(self, request: pb.ExportRequest, context: Any) -> AsyncIterator[pb.ExportChunk]:
        """Raises the reason."""
        raise self._why
        yield pb.ExportChunk()


def _asker() -> str:
    session = CURRENT.get(None)
    return "" if session is None else session.actor.id
