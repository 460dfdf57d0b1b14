"""WorkloadService: declarations in, states and plans out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from capsule.v1 import workload_pb2 as pb
from capsule.v1.workload_pb2_grpc import WorkloadServiceServicer
from capsuled.answers import Answers
from capsuled.caller import Outcome
from capsuled.copy_streams import CopyStreams, Requests
from capsuled.declare import Declarations
from capsuled.emergency import Emergencies
from capsuled.engine import Engine
from capsuled.exec_stream import ExecStreams
from capsuled.logs.keeping import Logs
from capsuled.progress import tell_progress
from capsuled.rpc import Refused, caller_of, check_end, own_kernel, refuse
from capsuled.shortening import cut_statuses
from capsuled.wire import plan_messages, workload_message
from effects.goals import Effect
from effects.images.actions import Pulls
from effects.planner import plan
from journal.errors import JournalError, JournalFull
from projections import intents
from projections.refusals import Refusal, no_workload
from projections.state import Machine, Workload

DELETE_WAIT_S = 25.0
"""The field CLI gives a delete 30 seconds; it must hear why before it gives up."""


class WorkloadService(WorkloadServiceServicer):
    """See proto/capsule/v1/workload.proto."""

    def __init__(
        self,
        engine: Engine,
        answers: Answers,
        declarations: Declarations,
        logs: Logs,
        execs: ExecStreams,
        copies: CopyStreams,
        emergencies: Emergencies,
        pulls: Pulls,
        making: Callable[[], str],
    ) -> None:
        self._engine = engine
        self._answers = answers
        self._declarations = declarations
        self._logs = logs
        self._execs = execs
        self._copies = copies
        self._emergencies = emergencies
        self._pulls = pulls
        self._making = making

    async def Apply(self, request: pb.WorkloadApplyRequest, context: Any) -> pb.WorkloadApplyResponse:
        """One declaration; a dry run answers with the plan and the workload as it would be."""
        result = await self._declarations.apply(
            [request.workload],
            caller_of(context, "WorkloadService.Apply", request),
            expect_seq=request.expect_seq if request.HasField("expect_seq") else None,
            pull=request.pull,
            dry_run=request.dry_run,
        )
        workload = result.machine.workloads[request.workload.name]
        return pb.WorkloadApplyResponse(
            workload=workload_message(result.machine, workload),
            seq=result.seq,
            changed=result.outcomes[0] != "unchanged",
            plan=plan_messages(result.plan),
        )

    async def Get(self, request: pb.WorkloadGetRequest, context: Any) -> pb.Workload:
        """The workload as it is now, durably."""
        return self._shown(self._engine.machine, self._existing(request.name))

    async def List(self, request: pb.WorkloadListRequest, context: Any) -> pb.WorkloadListResponse:
        """All workloads, by name."""
        machine = self._engine.machine
        answer = pb.WorkloadListResponse(
            workloads=[self._shown(machine, machine.workloads[name]) for name in sorted(machine.workloads)],
            desired_seq=machine.desired_seq,
            seq=machine.seq,
        )
        cut_statuses(answer, answer.workloads)
        return answer

    def _shown(self, machine: Machine, workload: Workload) -> pb.Workload:
        return tell_progress(workload_message(machine, workload), self._pulls, self._making)

    def _existing(self, name: str) -> Any:
        workload = self._engine.machine.workloads.get(name)
        if workload is None:
            raise Refused(no_workload(name, self._engine.machine.workloads))
        return workload

    async def Delete(self, request: pb.WorkloadDeleteRequest, context: Any) -> pb.WorkloadDeleteResponse:
        """Answers when nothing is left."""
        intent = intents.Delete(request.name, _expected(request))
        if request.dry_run:
            absent = request.name not in self._engine.machine.workloads
            return pb.WorkloadDeleteResponse(plan=plan_messages(self._planned(intent, context)), absent=absent)
        answer = await self._answers.call(intent, caller_of(context, "WorkloadService.Delete", request))
        # A repeated call may meet a later workload of the same name, which nobody asked to delete.
        leaving = answer.machine.workloads.get(request.name)
        if leaving is not None:
            try:
                async with asyncio.timeout(DELETE_WAIT_S):
                    await self._engine.gone(request.name, leaving.uid)
            except TimeoutError:
                refuse(
                    "DEADLINE_EXCEEDED",
                    "STILL_DELETING",
                    f"{request.name} is not gone yet; it will be, as soon as its process ends and the runtime lets go. "
                    f"`capsulectl workload get {request.name}` shows how far it is",
                )
        return pb.WorkloadDeleteResponse(seq=answer.seq, absent=leaving is None)

    async def Stop(self, request: pb.WorkloadStopRequest, context: Any) -> pb.WorkloadStopResponse:
        """Remembered over reboots; with a journal that cannot write, an emergency stop that is not."""
        intent = intents.Stop(request.name, _expected(request))
        if request.dry_run:
            return pb.WorkloadStopResponse(plan=plan_messages(self._planned(intent, context)))
        try:
            outcome = await self._call(intent, context, "Stop", request)
        except JournalError as error:
            workload = self._engine.workload(request.name)
            if isinstance(error, JournalFull) and workload is not None and workload.desired == "stopped":
                return pb.WorkloadStopResponse(seq=workload.desired_seq)
            await self._emergencies.stop(request.name, error)
            return pb.WorkloadStopResponse(not_remembered=True)
        return pb.WorkloadStopResponse(seq=outcome.seq)

    async def Start(self, request: pb.WorkloadStartRequest, context: Any) -> pb.WorkloadStartResponse:
        """The workload shall run."""
        intent = intents.Start(request.name, _expected(request))
        if request.dry_run:
            return pb.WorkloadStartResponse(plan=plan_messages(self._planned(intent, context)))
        return pb.WorkloadStartResponse(seq=(await self._call(intent, context, "Start", request)).seq)

    async def Restart(self, request: pb.WorkloadRestartRequest, context: Any) -> pb.WorkloadRestartResponse:
        """A new run; the desired state stays."""
        intent = intents.Restart(request.name, _expected(request))
        if request.dry_run:
            return pb.WorkloadRestartResponse(plan=plan_messages(self._planned(intent, context)))
        return pb.WorkloadRestartResponse(seq=(await self._call(intent, context, "Restart", request)).seq)

    async def _call(self, intent: intents.Intent, context: Any, method: str, request: Any) -> Outcome:
        outcome = await self._engine.call(intent, caller_of(context, f"WorkloadService.{method}", request))
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        return outcome

    def _planned(
        self, intent: intents.Delete | intents.Stop | intents.Start | intents.Restart, context: Any
    ) -> tuple[Effect, ...]:
        fork, verdict = self._engine.preview(intent, caller_of(context, "").actor.role)
        if isinstance(verdict, Refusal):
            raise Refused(verdict)
        return plan_of(fork, (intent.name,))

    async def Logs(self, request: pb.WorkloadLogsRequest, context: Any) -> AsyncIterator[pb.WorkloadLogChunk]:
        """What the workload wrote, or what its machine's console shows."""
        if request.source not in pb.LogSource.values():
            refuse("INVALID_ARGUMENT", "BAD_SOURCE", "the log's source is not one this release knows", "source")
        if request.stream not in pb.LogStream.values():
            refuse("INVALID_ARGUMENT", "BAD_STREAM", "the log's stream is not one this release knows", "stream")
        check_end(request, "until_unix_ns")
        await self._engine.durable()
        workload = self._existing(request.name)
        serial = request.source == pb.LOG_SOURCE_SERIAL or not workload.spec.has_image
        if serial and request.source == pb.LOG_SOURCE_PAYLOAD:
            refuse("FAILED_PRECONDITION", "OWN_KERNEL", own_kernel(workload.name, "its console is its log"), "source")
        logs = self._logs.serials if serial else self._logs.streams
        async with aclosing(logs.stream(workload, request)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def Exec(
        self, requests: AsyncIterator[pb.WorkloadExecClientMessage], context: Any
    ) -> AsyncIterator[pb.WorkloadExecServerMessage]:
        """A further process in a running container."""
        async with aclosing(self._execs.run(requests, caller_of(context, "WorkloadService.Exec"))) as answers:
            async for answer in answers:
                yield answer

    async def CopyTo(self, requests: Requests, context: Any) -> pb.WorkloadCopyToResponse:
        """Files into a workload."""
        return await self._copies.into(requests, caller_of(context, "WorkloadService.CopyTo"), context)

    async def CopyFrom(self, request: pb.WorkloadCopyFromRequest, context: Any) -> AsyncIterator[bytes]:
        """Files out of a workload, in pieces that the door makes messages of."""
        caller = caller_of(context, "WorkloadService.CopyFrom", request)
        async with aclosing(self._copies.out_of(request, caller, context)) as chunks:
            async for chunk in chunks:
                yield chunk


def plan_of(machine: Machine, names: tuple[str, ...]) -> tuple[Effect, ...]:
    """The part of the plan that concerns these workloads."""
    return tuple(goal for goal in plan(machine) if goal.name in names)


def _expected(request: Any) -> int | None:
    return request.expect_seq if request.HasField("expect_seq") else None
