"""UpdateService, and what UpdateOS is made of: where updates stand, the way back, and the keys that sign bundles."""

from collections.abc import AsyncIterator
from typing import Any

from capsule.v1 import capsule_pb2
from capsule.v1 import update_pb2 as pb
from capsule.v1.update_pb2_grpc import UpdateServiceServicer
from capsuled.answers import Answers, Past
from capsuled.engine import Engine
from capsuled.rpc import Refused, caller_of, refuse
from capsuled.streams import OpenStream
from capsuled.updates.receiving import Options
from capsuled.updates.updates import WINDOW_S, Back, Prospect, Updates
from capsuled.volume_waits import label_now
from effects.slots.signing import kid_of
from journal.clock import Clock
from projections.refusals import Refusal
from projections.state import Machine, Update, UpdateKey
from projections.update_admission import few
from projections.update_intents import AddUpdateKey, RemoveUpdateKey
from projections.update_phases import ENDS
from projections.update_words import system_text
from projections.updates import current, fallback, on_trial

SOAK_S = 60
NO_SLOTS = (
    "this capsuled runs hosted, without slots: a later release is a later checkout of its repository, and there "
    "`make down` and `make up`, or `make install` again"
)


class UpdateService(UpdateServiceServicer):
    """See proto/capsule/v1/update.proto. `updates` is None where there are no slots; else its engine is the one that
    knows of them."""

    def __init__(self, engine: Engine, past: Past, clock: Clock, updates: Updates | None) -> None:
        self._engine = engine if updates is None else updates.engine
        self._answers = Answers(self._engine, past)
        self._clock = clock
        self._updates = updates

    async def Status(self, request: pb.UpdateStatusRequest, context: Any) -> pb.UpdateStatus:
        """As of now."""
        updates = self._slots()
        running = updates.running
        answer = status_of(self._engine.machine, self._clock.mono_ns(), running.version, running.commit)
        answer.note = updates.noted
        return answer

    async def List(self, request: pb.UpdateListRequest, context: Any) -> pb.UpdateListResponse:
        """Those that are remembered."""
        self._slots()
        return pb.UpdateListResponse(updates=map(message_of, self._engine.machine.updates.values()))

    async def Rollback(self, request: pb.UpdateRollbackRequest, context: Any) -> pb.UpdateRollbackResponse:
        """Answers, and then it happens."""
        updates, how = self._slots(), Back(request.allow_freeze, request.with_data)
        caller = caller_of(context, "UpdateService.Rollback", request)
        if request.dry_run:
            prospect = updates.would_roll_back(how, caller.actor.role)
            return pb.UpdateRollbackResponse(
                message=prospect_text(prospect, how.with_data),
                update=message_of(prospect.update),
                unread=prospect.unread,
            )
        update, said = await updates.roll_back(how, caller)
        return pb.UpdateRollbackResponse(message=said, update=message_of(update))

    async def KeyAdd(self, request: pb.UpdateKeyAddRequest, context: Any) -> pb.UpdateKey:
        """From now on bundles are signed."""
        self._slots()
        kid = kid_of(request.public_key)
        intent = AddUpdateKey(kid, request.public_key.hex(), request.name)
        answer = await self._answers.call(intent, caller_of(context, "UpdateService.KeyAdd", request))
        return _key(answer.machine.update_keys[kid])

    async def KeyList(self, request: pb.UpdateKeyListRequest, context: Any) -> pb.UpdateKeyListResponse:
        """All of them."""
        self._slots()
        return pb.UpdateKeyListResponse(keys=map(_key, self._engine.machine.update_keys.values()))

    async def KeyRemove(self, request: pb.UpdateKeyRemoveRequest, context: Any) -> pb.UpdateKeyRemoveResponse:
        """Its signatures are worth nothing any more."""
        self._slots()
        caller = caller_of(context, "UpdateService.KeyRemove", request)
        outcome = await self._engine.call(RemoveUpdateKey(request.kid), caller)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        return pb.UpdateKeyRemoveResponse()

    def _slots(self) -> Updates:
        if self._updates is None:
            refuse("UNIMPLEMENTED", "HOSTED", NO_SLOTS)
        return self._updates


def options_of(said: capsule_pb2.UpdateOSMetadata) -> Options:
    """What a push asks for; what it does not say is as the field's clients expect it."""
    return Options(
        window_s=said.window_seconds or WINDOW_S,
        confirm_when="healthy" if said.confirm_when_healthy else "operator",
        soak_s=said.soak_seconds if said.HasField("soak_seconds") else SOAK_S,
        allow_downgrade=said.allow_downgrade,
        retry=said.retry,
        keeps=tuple(said.snapshots),
        snapshot=label_now("before-update") if said.snapshots else "",
    )


def prospect_text(prospect: Prospect, with_data: bool) -> str:
    """What a rollback would do, in a sentence or two. Pure."""
    update = prospect.update
    before = system_text(update.from_version, update.from_commit)
    happens = {
        "dropped": f"update {update.uid} is dropped before it was booted.",
        "ended": f"the trial of update {update.uid} ends: the machine is started anew with {before}.",
        "tried": f"the machine is started anew with {before}, on trial.",
    }[prospect.does]
    if prospect.unread:
        happens += (
            f" It cannot read what this machine has written since ({few(prospect.unread)}), and freezes: it starts no "
            "workload and changes nothing until it is updated, or left again."
        )
    if with_data:
        kept = ", ".join(prospect.keeps)
        happens += f" As they were before update {update.uid}: {kept}; what is there now is kept as a snapshot."
    return happens


async def chunks_of(requests: AsyncIterator[capsule_pb2.UpdateOSRequest], stream: OpenStream) -> AsyncIterator[bytes]:
    """The bundle's bytes, counted."""
    async for request in requests:
        stream.bytes_in += len(request.chunk)
        yield request.chunk


def status_of(machine: Machine, mono_ns: int, version: str, commit: str) -> pb.UpdateStatus:
    """Pure."""
    update, trial, before = current(machine), on_trial(machine), fallback(machine)
    last = next((one for one in reversed(machine.updates.values()) if one.phase in ENDS), None)
    left_ns = healthy_ns = 0
    if trial is not None:
        left_ns = 0 if trial.deadline is None else max(0, trial.deadline.mono_ns - mono_ns)
        healthy_ns = mono_ns - trial.well_since_mono if trial.well_since_mono else 0
    return pb.UpdateStatus(
        active_slot=machine.slots.active,
        default_slot=machine.slots.default,
        version=version,
        commit=commit,
        tentative=machine.slots.tentative,
        seconds_left=left_ns // 1_000_000_000,
        current=None if update is None else message_of(update),
        failing=[pb.UpdateCheck(name=name, message=message) for name, message in trial.failing] if trial else (),
        judged=trial is not None and trial.judged,
        healthy_seconds=healthy_ns // 1_000_000_000,
        last=None if last is None else message_of(last),
        other_version=_other(machine, before)[0],
        other_commit=_other(machine, before)[1],
    )


def _other(machine: Machine, before: Update | None) -> tuple[str, str]:
    trial = on_trial(machine)
    if trial is not None:
        return trial.from_version, trial.from_commit
    return ("", "") if before is None else (before.from_version, before.from_commit)


def message_of(update: Update) -> pb.OSUpdate:
    """Pure."""
    return pb.OSUpdate(
        uid=update.uid,
        phase=update.phase.value,
        kind=update.kind,
        slot=update.slot,
        version=update.version,
        commit=update.commit,
        from_version=update.from_version,
        from_commit=update.from_commit,
        begun_at_unix_ns=update.begun_at,
        ended_at_unix_ns=update.ended_at,
        size_bytes=update.size_bytes,
        signed_by=update.signed_by,
        confirm_when=update.confirm_when,
        window_seconds=update.window_s,
        soak_seconds=update.soak_s,
        cause=update.cause or "",
        confidence=update.confidence or "",
        message=update.message,
        boot_id=update.boot,
        snapshots=update.keeps,
        snapshot=update.snapshot,
    )


def _key(key: UpdateKey) -> pb.UpdateKey:
    return pb.UpdateKey(kid=key.kid, name=key.name, added_at_unix_ns=key.added_at)
