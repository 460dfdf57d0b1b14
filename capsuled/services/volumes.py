"""VolumeService and SnapshotService: calls are journaled first, then waited for until the storage has done them."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from capsule.v1 import volume_pb2 as pb
from capsule.v1.volume_pb2_grpc import SnapshotServiceServicer, VolumeServiceServicer
from capsuled.engine import Engine
from capsuled.rpc import Refused, caller_of, refuse
from capsuled.wire_volume import snapshot_message, volume_message
from effects.volumes.protocol import SeenVolume, VolumeDriver
from projections import intents
from projections.refusals import Refusal
from projections.state import Machine, Snapshot, Volume
from projections.volumes import users_of

DEFAULT_BYTES = 1 << 30
WAIT_S = 25.0
"""The field CLI gives a call 30 seconds; it must hear why before it gives up."""
LONG_WAIT_S = 900.0
"""Copies of large volumes take their time where the storage cannot share blocks."""

_TROUBLE_CODES = {"NO_SPACE": "RESOURCE_EXHAUSTED", "VOLUME_DAMAGED": "DATA_LOSS", "VOLUME_BUSY": "FAILED_PRECONDITION"}


class _Volumes:
    """What both services do: call, and wait."""

    def __init__(self, engine: Engine, driver: VolumeDriver) -> None:
        self._engine = engine
        self._driver = driver

    async def _call(self, intent: intents.VolumeIntent, context: Any, method: str, request: Any) -> int:
        """The entry of its first event, which is the same when the call is repeated with its id."""
        outcome = await self._engine.call(intent, caller_of(context, method, request))
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        return outcome.seq + 1

    async def _until(self, name: str, uid: int, done: Callable[[Volume | None], bool], seconds: float) -> Machine:
        """The state in which the incarnation is `done`. What stands in its way ends the call; the wish stays."""
        try:
            async with asyncio.timeout(seconds):
                async for machine in self._engine.changes():
                    volume = machine.volumes.get(name)
                    mine = volume if volume is not None and volume.uid == uid else None
                    if done(mine):
                        return machine
                    if mine is not None and mine.trouble is not None:
                        code = _TROUBLE_CODES.get(mine.trouble.reason, "INTERNAL")
                        why = mine.trouble.message.rstrip(".")
                        refuse(code, mine.trouble.reason, f"{why}. It is tried again by itself")
        except TimeoutError:
            refuse(
                "DEADLINE_EXCEEDED",
                "STILL_WORKING",
                f"volume {name} is not there yet; it will be: `capsulectl volume get {name}` shows how far it is",
            )
        raise AssertionError("the state goes on changing for ever")

    def _existing(self, name: str) -> Volume:
        volume = self._engine.machine.volumes.get(name)
        if volume is None:
            refuse("NOT_FOUND", "VOLUME_NOT_FOUND", f"there is no volume {name}", "name")
        return volume

    async def _seen(self) -> dict[tuple[str, int], SeenVolume]:
        return {(one.name, one.uid): one for one in await self._driver.observe()}

    async def _message(self, machine: Machine, name: str) -> pb.Volume:
        volume = machine.volumes[name]
        seen = (await self._seen()).get((name, volume.uid))
        fill = await self._driver.usage(name, volume.uid) if volume.holder else None
        return volume_message(machine, volume, self._driver.path(name, volume.uid), seen, fill)


class VolumeService(_Volumes, VolumeServiceServicer):
    """See proto/capsule/v1/volume.proto."""

    async def Create(self, request: pb.VolumeCreateRequest, context: Any) -> pb.Volume:
        """Answers when it has its file system. An existing one is refused, and never formatted."""
        size_bytes = request.size_mib << 20 or DEFAULT_BYTES
        await self._call(intents.CreateVolume(request.name, size_bytes), context, "VolumeService.Create", request)
        volume = self._existing(request.name)
        machine = await self._until(request.name, volume.uid, _is_made, WAIT_S)
        return await self._message(machine, request.name)

    async def Get(self, request: pb.VolumeGetRequest, context: Any) -> pb.Volume:
        """As it is now."""
        await self._engine.durable()
        self._existing(request.name)
        return await self._message(self._engine.machine, request.name)

    async def List(self, request: pb.VolumeListRequest, context: Any) -> pb.VolumeListResponse:
        """All, by name, and how full the storage is."""
        await self._engine.durable()
        pool = await self._driver.pool()
        return pb.VolumeListResponse(
            volumes=[await self._message(self._engine.machine, name) for name in sorted(self._engine.machine.volumes)],
            pool_total_bytes=pool.total_bytes,
            pool_used_bytes=pool.used_bytes,
        )

    async def Delete(self, request: pb.VolumeDeleteRequest, context: Any) -> pb.VolumeDeleteResponse:
        """Answers when nothing is left. What does not exist is deleted."""
        before = self._engine.machine.volumes.get(request.name)
        intent = intents.DeleteVolume(request.name, request.force)
        first = await self._call(intent, context, "VolumeService.Delete", request)
        # A repeated call may meet a later volume of the same name, which nobody asked to delete.
        if before is not None and before.uid < first:
            await self._until(request.name, before.uid, lambda volume: volume is None, WAIT_S)
        return pb.VolumeDeleteResponse()

    async def Resize(self, request: pb.VolumeResizeRequest, context: Any) -> pb.Volume:
        """Answers when its file system has grown."""
        volume = self._existing(request.name)
        intent = intents.ResizeVolume(request.name, request.new_size_mib << 20)
        await self._call(intent, context, "VolumeService.Resize", request)
        machine = await self._until(request.name, volume.uid, _is_made, WAIT_S)
        return await self._message(machine, request.name)


class SnapshotService(_Volumes, SnapshotServiceServicer):
    """See proto/capsule/v1/volume.proto."""

    async def Take(self, request: pb.SnapshotTakeRequest, context: Any) -> pb.Snapshot:
        """Answers when it is taken."""
        volume = self._existing(request.volume)
        intent = intents.TakeSnapshot(request.volume, request.name or _label("snap"))
        uid = await self._call(intent, context, "SnapshotService.Take", request)
        machine = await self._until(request.volume, volume.uid, lambda one: _has_taken(one, uid), LONG_WAIT_S)
        taken = _snapshot_of(machine.volumes.get(request.volume), uid)
        if taken is None:
            refuse("NOT_FOUND", "SNAPSHOT_NOT_FOUND", "the snapshot was taken, and has been deleted since", "name")
        return await self._snapshot(machine.volumes[request.volume], taken)

    async def _snapshot(self, volume: Volume, snapshot: Snapshot) -> pb.Snapshot:
        seen = (await self._seen()).get((volume.name, volume.uid))
        return snapshot_message(volume, snapshot, seen)

    async def List(self, request: pb.SnapshotListRequest, context: Any) -> pb.SnapshotListResponse:
        """Of one volume, or of all."""
        await self._engine.durable()
        volumes = self._engine.machine.volumes
        chosen = [self._existing(request.volume)] if request.volume else [volumes[name] for name in sorted(volumes)]
        seen = await self._seen()
        return pb.SnapshotListResponse(
            snapshots=[
                snapshot_message(volume, snapshot, seen.get((volume.name, volume.uid)))
                for volume in chosen
                for snapshot in volume.snapshots
            ]
        )

    async def Restore(self, request: pb.SnapshotRestoreRequest, context: Any) -> pb.SnapshotRestoreResponse:
        """Answers when the content is the snapshot's; what was stopped for it is starting again."""
        volume = self._existing(request.volume)
        intent = intents.RestoreVolume(request.volume, request.name, _label("before-restore"))
        machine = self._engine.machine
        users = [name for name in users_of(machine, volume.name) if machine.workloads[name].desired == "running"]
        uid = await self._call(intent, context, "SnapshotService.Restore", request)
        safety = _snapshot_of(self._engine.machine.volumes.get(request.volume), uid)
        await self._until(request.volume, volume.uid, lambda one: one is None or not one.restoring, LONG_WAIT_S)
        return pb.SnapshotRestoreResponse(safety="" if safety is None else safety.label, restarted=users)

    async def Delete(self, request: pb.SnapshotDeleteRequest, context: Any) -> pb.SnapshotDeleteResponse:
        """Answers when it is gone."""
        volume = self._existing(request.volume)
        intent = intents.DeleteSnapshot(request.volume, request.name)
        await self._call(intent, context, "SnapshotService.Delete", request)
        await self._until(request.volume, volume.uid, lambda one: not _has(one, request.name), WAIT_S)
        return pb.SnapshotDeleteResponse()


def _is_made(volume: Volume | None) -> bool:
    return volume is None or (volume.made_bytes >= volume.size_bytes)


def _has(volume: Volume | None, label: str) -> bool:
    return volume is not None and any(one.label == label for one in volume.snapshots)


def _snapshot_of(volume: Volume | None, uid: int) -> Snapshot | None:
    return None if volume is None else next((one for one in volume.snapshots if one.uid == uid), None)


def _has_taken(volume: Volume | None, uid: int) -> bool:
    """Taken, or not to be had any more."""
    snapshot = _snapshot_of(volume, uid)
    return snapshot is None or snapshot.taken


def _label(what: str) -> str:
    """A name from the wall clock, for people: order is the snapshot's uid."""
    return f"{what}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
