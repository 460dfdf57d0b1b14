"""VolumeService and SnapshotService: calls are journaled first, then waited for until the storage has done them."""

from typing import Any, NoReturn

from msgspec.structs import replace

from capsule.v1 import volume_pb2 as pb
from capsule.v1.volume_pb2_grpc import SnapshotServiceServicer, VolumeServiceServicer
from capsuled.answers import Answer
from capsuled.caller import Caller
from capsuled.rpc import Refused, caller_of, refuse
from capsuled.volume_waits import (
    GOES_ON,
    LONG_WAIT_S,
    NOT_MADE,
    UNCHANGED,
    WAIT_S,
    VolumeWaits,
    as_made,
    asked_snapshot,
    holds_up,
    is_of,
    label_now,
    not_yet,
    refuse_for,
    refuse_gone,
    snapshot_of,
)
from capsuled.wire_volume import snapshot_message
from journal.entry import SYSTEM
from journal.events import EffectFailed, Event, SnapshotTaken, VolumeApplied, VolumeMade, VolumeRemoved
from projections import intents
from projections.state import Trouble, Volume
from projections.volume_ends import Making, Taking
from projections.volumes import running_users_of, users_of

DEFAULT_BYTES = 1 << 30
NOTHING_LEFT = "Nothing is left of it"


class VolumeService(VolumeWaits, VolumeServiceServicer):
    """See proto/capsule/v1/volume.proto."""

    async def Create(self, request: pb.VolumeCreateRequest, context: Any) -> pb.Volume:
        """Answers when it has its file system. An existing one is refused, and never formatted."""
        size_bytes = request.size_mib << 20 or DEFAULT_BYTES
        caller = caller_of(context, "VolumeService.Create", request)
        answer = await self._answers.call(intents.CreateVolume(request.name, size_bytes), caller)
        try:
            return await self._made(answer, request, NOTHING_LEFT, NOTHING_LEFT)
        except Refused:
            if not answer.repeated:
                await self._withdraw(answer.machine.volumes[request.name], answer.seq)
            raise

    async def _withdraw(self, volume: Volume, cause: int) -> None:
        """What could not be made is not made behind the caller's back later; what is only slow goes on. The deletion is
        a call of the machine's own, for the one that `cause` is the entry of."""
        machine = self._engine.machine
        now = machine.volumes.get(volume.name)
        if now is None or now.uid != volume.uid or now.trouble is None or now.made_bytes:
            return
        if not users_of(machine, volume.name):
            own = Caller(SYSTEM, "VolumeService.Delete", cause=cause)
            await self._engine.call(intents.DeleteVolume(volume.name), own)

    async def _made(self, answer: Answer, request: Any, what_next: str = GOES_ON, unmade: str = NOT_MADE) -> pb.Volume:
        asked = answer.machine.volumes[request.name]
        if answer.repeated and _is_made(asked):
            return await self._message(answer.machine, asked)

        def given_up(now: Volume, trouble: Trouble) -> str:
            mine = (trouble.effect, trouble.size_bytes) == ("EnsureVolume", asked.size_bytes)
            if not mine or now.desired_seq != asked.desired_seq:
                return ""
            return UNCHANGED if now.made_bytes else unmade

        def is_over(now: Volume) -> bool:
            return _is_made(now) or now.size_bytes < asked.size_bytes

        making = Making(asked)
        end = await self._ended_before(answer, request.name, making.ends)
        if end is None:
            growing = f"does not have its {asked.size_bytes >> 20} MiB" if asked.made_bytes else "is not there"
            now = await self._until(
                request.name,
                asked.uid,
                is_over,
                WAIT_S,
                not_yet(f"volume {request.name} {growing}", f"get {request.name}"),
                heeds=lambda trouble: trouble.effect == "EnsureVolume",
                given_up=given_up,
                what_next=what_next,
            )
            if now is not None and now.size_bytes >= asked.size_bytes:
                return await self._message(answer.machine, now)
            making = Making(asked)
            end = await self._answers.end(answer, request.name, making.ends)
        if not isinstance(end, VolumeMade):
            _refuse_unmade(asked, end, making.failure, unmade)
        return await self._message(answer.machine, as_made(asked))

    async def Get(self, request: pb.VolumeGetRequest, context: Any) -> pb.Volume:
        """As it is now."""
        volume = self._existing(request.name)
        return await self._message(self._engine.machine, volume)

    async def List(self, request: pb.VolumeListRequest, context: Any) -> pb.VolumeListResponse:
        """All, by name, and how full the storage is."""
        machine, pool = self._engine.machine, await self._driver.pool()
        return pb.VolumeListResponse(
            volumes=await self._messages(machine),
            pool_total_bytes=pool.total_bytes,
            pool_used_bytes=pool.used_bytes,
        )

    async def Delete(self, request: pb.VolumeDeleteRequest, context: Any) -> pb.VolumeDeleteResponse:
        """Answers when nothing is left. What does not exist is deleted."""
        caller = caller_of(context, "VolumeService.Delete", request)
        answer = await self._answers.call(intents.DeleteVolume(request.name, request.force), caller)
        # A repeated call may meet a later volume of the same name, which nobody asked to delete.
        leaving = answer.machine.volumes.get(request.name)
        if leaving is None:
            return pb.VolumeDeleteResponse(absent=True)
        await self._until(
            request.name,
            leaving.uid,
            lambda _: False,
            WAIT_S,
            not_yet(f"volume {request.name} is not gone", f"get {request.name}"),
            heeds=lambda trouble: trouble.effect == "RemoveVolume",
        )
        return pb.VolumeDeleteResponse(detached_from=users_of(answer.machine, request.name))

    async def Resize(self, request: pb.VolumeResizeRequest, context: Any) -> pb.Volume:
        """Answers when its file system has grown."""
        caller = caller_of(context, "VolumeService.Resize", request)
        intent = intents.ResizeVolume(request.name, request.new_size_mib << 20)
        return await self._made(await self._answers.call(intent, caller), request)


class SnapshotService(VolumeWaits, SnapshotServiceServicer):
    """See proto/capsule/v1/volume.proto."""

    async def Take(self, request: pb.SnapshotTakeRequest, context: Any) -> pb.Snapshot:
        """Answers when it is taken."""
        caller = caller_of(context, "SnapshotService.Take", request)
        answer = await self._answers.call(
            intents.TakeSnapshot(request.volume, request.name or label_now("snap")), caller
        )
        volume, uid = answer.machine.volumes[request.volume], asked_snapshot(answer)
        asked, taking = snapshot_of(volume, uid), Taking(volume.uid, uid)
        assert asked is not None, "it is of this call"
        end = await self._ended_before(answer, request.volume, taking.ends)
        if end is None:
            await self._until(
                request.volume,
                volume.uid,
                lambda one: _has_taken(one, uid),
                LONG_WAIT_S,
                not_yet(
                    f"snapshot {asked.label} of volume {request.volume} is not taken", f"snapshots {request.volume}"
                ),
                heeds=lambda trouble: holds_up(trouble, uid),
                given_up=lambda _, trouble: UNCHANGED if is_of(trouble, "TakeSnapshot", uid) else "",
            )
            end = await self._answers.end(answer, request.volume, taking.ends)
        match end:
            case SnapshotTaken():
                taken = replace(asked, taken=True, size_bytes=end.size_bytes, method=end.method)
            case EffectFailed():
                refuse_for(end, UNCHANGED)
            case _:
                message = f"the snapshot was deleted from volume {request.volume} before it was taken"
                refuse("ABORTED", "DELETED", message, "name")
        return snapshot_message(volume, taken, (await self._seen()).get((volume.name, volume.uid)))

    async def List(self, request: pb.SnapshotListRequest, context: Any) -> pb.SnapshotListResponse:
        """Of one volume, or of all."""
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
        caller = caller_of(context, "SnapshotService.Restore", request)
        intent = intents.RestoreVolume(request.volume, request.name, label_now("before-restore"))
        answer = await self._answers.call(intent, caller)
        safety = await self._until_restored(answer, request.volume)
        return pb.SnapshotRestoreResponse(
            safety="" if safety is None else safety.label,
            restarted=running_users_of(answer.machine, request.volume),
        )

    async def Delete(self, request: pb.SnapshotDeleteRequest, context: Any) -> pb.SnapshotDeleteResponse:
        """Answers when it is gone."""
        caller = caller_of(context, "SnapshotService.Delete", request)
        answer = await self._answers.call(intents.DeleteSnapshot(request.volume, request.name), caller)
        volume = answer.machine.volumes[request.volume]
        leaving = {one.uid for one in volume.snapshots if one.label == request.name and one.leaving}

        def heeds(trouble: Trouble) -> bool:
            # They are removed in the order of their uids.
            before = trouble.effect == "RemoveSnapshot" and trouble.snapshot <= max(leaving, default=0)
            return before or trouble.effect == "EnsureVolume"

        late = not_yet(f"snapshot {request.name} of volume {request.volume} is not gone", f"snapshots {request.volume}")
        await self._until(request.volume, volume.uid, lambda one: not _has(one, leaving), WAIT_S, late, heeds=heeds)
        return pb.SnapshotDeleteResponse(absent=not leaving)


def _is_made(volume: Volume) -> bool:
    return volume.made_bytes >= volume.size_bytes


def _refuse_unmade(asked: Volume, end: Event | None, failure: EffectFailed | None, unmade: str) -> NoReturn:
    """What was asked for is not there, and will not be: it ended with `end`, and `failure` stood in its way last."""
    match end:
        case EffectFailed():
            refuse_for(end, UNCHANGED if asked.made_bytes else unmade)
        case VolumeApplied():
            message = (
                f"volume {asked.name} was not made with {asked.size_bytes >> 20} MiB: a smaller size was asked for "
                f"before it was there. `capsulectl volume get {asked.name}` shows what it has; resize it again"
            )
            refuse("ABORTED", "NOT_MADE", message, "size")
        case VolumeRemoved() if failure is not None and not asked.made_bytes:
            refuse_for(failure, NOTHING_LEFT)
        case _:
            refuse_gone(asked.name)


def _has(volume: Volume, uids: set[int]) -> bool:
    return any(one.uid in uids for one in volume.snapshots)


def _has_taken(volume: Volume, uid: int) -> bool:
    """Taken, or not to be had any more."""
    snapshot = snapshot_of(volume, uid)
    return snapshot is None or snapshot.taken
