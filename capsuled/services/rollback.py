"""RollbackService: what is desired, as it was."""

from typing import Any

from capsule.v1 import rollback_pb2 as pb
from capsule.v1.rollback_pb2_grpc import RollbackServiceServicer
from capsuled.engine import Engine
from capsuled.rollbacks import Rollbacks, check_reason
from capsuled.rpc import caller_of
from capsuled.volume_rollbacks import PREFIX, VolumeRollbacks
from capsuled.wire import plan_messages
from capsuled.wire_past import changes


class RollbackService(RollbackServiceServicer):
    """See proto/capsule/v1/rollback.proto."""

    def __init__(self, engine: Engine, rollbacks: Rollbacks, volumes: VolumeRollbacks) -> None:
        self._engine = engine
        self._rollbacks = rollbacks
        self._volumes = volumes

    async def Rollback(self, request: pb.RollbackRequest, context: Any) -> pb.RollbackResponse:
        """Answers once it is durable, and the machine follows; of a volume, once it is done."""
        caller = caller_of(context, "RollbackService.Rollback", request)
        check_reason(request.reason)
        if request.name.startswith(PREFIX):
            return await self._volumes.roll_back(request, caller)
        done = await self._rollbacks.roll_back(request, caller)
        return pb.RollbackResponse(
            to_seq=done.to_seq,
            seq=done.seq,
            items=[
                pb.RollbackItem(
                    name=one.name,
                    outcome=one.outcome,
                    reason=one.reason,
                    restarts=one.restarts,
                    image_missing=one.image_missing,
                )
                for one in done.items
            ],
            changes=[] if done.machine is None else changes(self._engine.machine, done.machine),
            plan=plan_messages(done.plan),
            desired_seq=done.desired_seq,
        )
