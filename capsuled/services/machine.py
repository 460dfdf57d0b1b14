"""MachineService: batches, differences, and the watch over everything."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from capsule.v1 import machine_pb2 as pb
from capsule.v1 import workload_pb2
from capsule.v1.machine_pb2_grpc import MachineServiceServicer
from capsuled.declare import Declarations
from capsuled.engine import Engine
from capsuled.rpc import caller_of, refuse
from capsuled.services.volumes import DEFAULT_BYTES
from capsuled.shortening import cut_changes
from capsuled.wire import POLICIES, field_changes, plan_messages, workload_message
from capsuled.wire_volume import volume_changes
from journal.clock import Clock
from journal.events import VolumeApplied
from projections.dependencies import waits as waits_of
from projections.intents import DeclaredVolume
from projections.phases import RunPhase
from projections.secrets import outdated_text
from projections.state import Workload


class MachineService(MachineServiceServicer):
    """See proto/capsule/v1/machine.proto."""

    def __init__(self, engine: Engine, declarations: Declarations, clock: Clock) -> None:
        self._engine = engine
        self._declarations = declarations
        self._clock = clock

    async def ApplyAll(self, request: pb.ApplyAllRequest, context: Any) -> pb.ApplyAllResponse:
        """All or none, one entry."""
        result = await self._declarations.apply(
            list(request.workloads),
            caller_of(context, "MachineService.ApplyAll", request),
            _declared(request.volumes),
            expect_seq=request.expect_seq if request.HasField("expect_seq") else None,
            pull=request.pull,
            dry_run=request.dry_run,
        )
        names, machine = [message.name for message in request.workloads], result.machine
        return pb.ApplyAllResponse(
            items=[
                pb.AppliedItem(workload=workload_message(machine, machine.workloads[name]), outcome=outcome)
                for name, outcome in zip(names, result.outcomes, strict=True)
            ],
            seq=result.seq,
            plan=plan_messages(result.plan),
            volumes=[
                pb.AppliedVolume(name=one.name, outcome=_outcome(result.volumes, one.name)) for one in request.volumes
            ],
        )

    async def Diff(self, request: pb.DiffRequest, context: Any) -> pb.DiffResponse:
        """Field by field; a dry run, so nothing is written."""
        before, volumes = dict(self._engine.machine.workloads), dict(self._engine.machine.volumes)
        role = caller_of(context, "MachineService.Diff").actor.role
        outdated = ((message.name, before.get(message.name)) for message in request.workloads)
        notes = [(name, outdated_text(workload)) for name, workload in outdated if workload is not None]
        after = await self._declarations.preview(
            list(request.workloads), _declared(request.volumes), role=role, pull=request.pull
        )
        return pb.DiffResponse(
            changes=cut_changes(
                [
                    pb.FieldChange(name=message.name, op=op, path=path, old=old, new=new)
                    for message in request.workloads
                    for op, path, old, new in field_changes(before.get(message.name), after.workloads.get(message.name))
                ]
                + [
                    pb.FieldChange(name=f"volume/{one.name}", op=op, path=path, old=old, new=new)
                    for one in request.volumes
                    for op, path, old, new in volume_changes(volumes.get(one.name), after.volumes.get(one.name))
                ]
            ),
            notes=[pb.DiffNote(name=name, message=text) for name, text in notes if text],
        )

    async def Watch(self, request: pb.WatchRequest, context: Any) -> AsyncIterator[pb.WatchItem]:
        """Records are frozen, so what changed is what is not the same record any more, or waits for something else."""
        wanted = frozenset(request.names)
        shown: dict[str, tuple[Workload, str]] = {}
        synced = False
        async for machine in self._engine.changes():
            now = {
                name: (one, waits_of(machine, one))
                for name, one in machine.workloads.items()
                if not wanted or name in wanted
            }
            seq = machine.seq
            items = [
                pb.WatchItem(workload=workload_message(machine, one), seq=seq, lived_ms=self._lived_ms(one))
                for name, (one, waits) in sorted(now.items())
                if (before := shown.get(name)) is None or before[0] is not one or before[1] != waits
            ]
            items += [
                pb.WatchItem(workload=workload_pb2.Workload(name=name, uid=shown[name][0].uid), removed=True, seq=seq)
                for name in sorted(shown.keys() - now.keys())
            ]
            shown = now
            # An await lies between here and the next look: what is sent must be on the disk first.
            await self._engine.durable(seq)
            for item in items:
                yield item
            if not synced:
                synced = True
                yield pb.WatchItem(synced=True, seq=seq)

    def _lived_ms(self, workload: Workload) -> int:
        run = workload.run
        if run is None or run.phase is not RunPhase.RUNNING or run.boot != self._clock.boot_id:
            return 0
        return (self._clock.mono_ns() - run.started_mono) // 1_000_000


def _declared(volumes: Sequence[pb.DeclaredVolume]) -> tuple[DeclaredVolume, ...]:
    for one in volumes:
        if one.drift not in POLICIES:
            refuse("INVALID_ARGUMENT", "BAD_DRIFT", f"volume {one.name}: drift is repair or report", "volumes.drift")
    return tuple(DeclaredVolume(one.name, one.size_bytes or DEFAULT_BYTES, POLICIES[one.drift]) for one in volumes)


def _outcome(applied: tuple[VolumeApplied, ...], name: str) -> str:
    found = next((event for event in applied if event.name == name), None)
    if found is None:
        return "unchanged"
    return "created" if found.created else "configured" if found.same_size else "resized"
