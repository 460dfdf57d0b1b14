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
from capsuled.wire_update import update_key_message, update_message, update_status
from effects.slots.signing import kid_of
from journal.clock import Clock
from projections.refusals import Refusal
from projections.update_admission import few
from projections.update_intents import AddUpdateKey, RemoveUpdateKey
from projections.update_words import system_text

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
        answer = update_status(self._engine.machine, self._clock.mono_ns(), running.version, running.commit)
        answer.note = updates.noted
        return answer

    async def List(self, request: pb.UpdateListRequest, context: Any) -> pb.UpdateListResponse:
        """Those that are remembered."""
        self._slots()
        return pb.UpdateListResponse(updates=map(update_message, self._engine.machine.updates.values()))

    async def Rollback(self, request: pb.UpdateRollbackRequest, context: Any) -> pb.UpdateRollbackResponse:
        """Answers, and then it happens."""
        updates, how = self._slots(), Back(request.allow_freeze, request.with_data)
        caller = caller_of(context, "UpdateService.Rollback", request)
        if request.dry_run:
            prospect = await updates.would_roll_back(how, caller.actor.role)
            return pb.UpdateRollbackResponse(
                message=prospect_text(prospect, how.with_data),
                update=update_message(prospect.update),
                unread=prospect.unread,
            )
        update, said = await updates.roll_back(how, caller)
        return pb.UpdateRollbackResponse(message=said, update=update_message(update))

    async def KeyAdd(self, request: pb.UpdateKeyAddRequest, context: Any) -> pb.UpdateKey:
        """From now on bundles are signed."""
        self._slots()
        kid = kid_of(request.public_key)
        intent = AddUpdateKey(kid, request.public_key.hex(), request.name)
        answer = await self._answers.call(intent, caller_of(context, "UpdateService.KeyAdd", request))
        return update_key_message(answer.machine.update_keys[kid])

    async def KeyList(self, request: pb.UpdateKeyListRequest, context: Any) -> pb.UpdateKeyListResponse:
        """All of them."""
        self._slots()
        return pb.UpdateKeyListResponse(keys=map(update_key_message, self._engine.machine.update_keys.values()))

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
