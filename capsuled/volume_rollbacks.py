"""A volume's data goes back to a snapshot: which one is found, what that means is told first, then it is asked for."""

import asyncio

from capsule.v1 import rollback_pb2 as pb
from capsuled.answers import Answer, Answers
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.moments import Moments
from capsuled.rpc import Refused, refuse
from capsuled.utc import utc_text
from capsuled.volume_waits import VolumeWaits, label_now
from capsuled.wire import plan_messages
from effects.planner import plan
from effects.volumes.protocol import VolumeDriver
from journal.errors import JournalError
from journal.events import RollbackRequested
from journal.reader import Reader
from projections import intents
from projections.refusals import Refusal
from projections.state import Machine, Snapshot, Volume
from projections.volumes import running_users_of

PREFIX = "volume/"
RESTORED = "restored"
RESTARTED = "restarted"


class VolumeRollbacks(VolumeWaits):
    """Takes data back, of one volume at a time."""

    def __init__(
        self, engine: Engine, answers: Answers, driver: VolumeDriver, reader: Reader | None, why: JournalError
    ) -> None:
        """`why`: the reason where there is no reader, and with it no past."""
        super().__init__(engine, answers, driver)
        self._reader = reader
        self._why = why

    async def roll_back(self, request: pb.RollbackRequest, caller: Caller) -> pb.RollbackResponse:
        """Answers when it is done, or with `dry_run` what would come of it. Raises Refused."""
        name = request.name.removeprefix(PREFIX)
        if not request.dry_run and (given := await self._answers.given(caller)) is not None:
            told = next(event for event in given.events if isinstance(event, RollbackRequested))
            return await self._done(given, name, told.to_seq, told.snapshot)
        volume = self._existing(name)
        snapshot = await self._chosen(volume, request)
        intent = intents.RestoreVolume(
            name,
            snapshot.label,
            label_now("before-restore"),
            rollback=True,
            reason=request.reason,
            expect_seq=request.expect_seq if request.HasField("expect_seq") else None,
        )
        if request.dry_run:
            return self._plan(intent, volume, snapshot, caller)
        return await self._done(await self._answers.call(intent, caller), name, snapshot.uid, snapshot.label)

    async def _done(self, answer: Answer, name: str, to_seq: int, label: str) -> pb.RollbackResponse:
        """A repeated call waits like the first: that it was admitted does not say that it is done. Raises Refused."""
        kept = await self._until_restored(answer, name)
        return pb.RollbackResponse(
            to_seq=to_seq,
            seq=answer.seq,
            snapshot=label,
            items=_items(answer.machine, name, "" if kept is None else _kept(kept.label)),
        )

    def _plan(
        self, intent: intents.RestoreVolume, volume: Volume, snapshot: Snapshot, caller: Caller
    ) -> pb.RollbackResponse:
        fork, verdict = self._engine.preview(intent, caller.actor.role)
        if isinstance(verdict, Refusal):
            raise Refused(verdict)
        touched = (volume.name, *running_users_of(fork, volume.name))
        return pb.RollbackResponse(
            to_seq=snapshot.uid,
            snapshot=snapshot.label,
            items=_items(fork, volume.name, f"{_as_in(snapshot)}; {_kept(intent.safety_label)}"),
            plan=plan_messages(goal for goal in plan(fork) if goal.name in touched),
        )

    async def _chosen(self, volume: Volume, request: pb.RollbackRequest) -> Snapshot:
        """By its name; else the newest that was taken up to the moment."""
        there = [one for one in volume.snapshots if one.taken and not one.leaving]
        named = next((one for one in there if one.label == request.snapshot), None)
        if named is not None:
            return named
        known = ", ".join(one.label for one in there) or "none"
        if request.WhichOneof("to") != "moment":
            message = f"volume {volume.name} has no snapshot {request.snapshot}; it has {known}"
            refuse("NOT_FOUND", "SNAPSHOT_NOT_FOUND", message, "to")
        upto = await self._seq_of(request)
        before = [one for one in there if one.uid <= upto]
        if not before:
            message = f"volume {volume.name} has no snapshot from before entry {upto}; it has {known}"
            refuse("NOT_FOUND", "SNAPSHOT_NOT_FOUND", message, "to")
        return before[-1]

    async def _seq_of(self, request: pb.RollbackRequest) -> int:
        now, reader = self._engine.machine.seq, self._reader
        await self._engine.durable(now)
        if reader is None:
            raise self._why
        return await asyncio.to_thread(lambda: Moments(reader, self._engine.wall_ns).seq_of(request.moment, now, "to"))


def _as_in(snapshot: Snapshot) -> str:
    safety = " as a restore's safety snapshot" if snapshot.safety else ""
    return f"as in snapshot {snapshot.label}, taken {utc_text(snapshot.requested_at)}{safety}"


def _kept(label: str) -> str:
    return f"what it has is kept as snapshot {label}"


def _items(machine: Machine, name: str, why: str) -> list[pb.RollbackItem]:
    volume = f"{PREFIX}{name}"
    users = running_users_of(machine, name)
    return [
        pb.RollbackItem(name=volume, outcome=RESTORED, reason=why),
        *(pb.RollbackItem(name=user, outcome=RESTARTED, restarts=True) for user in users),
    ]
