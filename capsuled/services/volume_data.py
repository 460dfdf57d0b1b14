"""VolumeDataService: what volumes hold leaves as one file, and comes as one.

A volume is exported from a snapshot, which is taken for it and removed again, so that its workload goes on meanwhile.
What comes is staged, and there is no volume of it before all has come, its checksum is right and its file system sound.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, NoReturn

from capsule.v1 import volume_pb2 as pb
from capsule.v1.volume_pb2_grpc import VolumeDataServiceServicer
from capsuled.answers import Answer, Answers
from capsuled.aside import Aside
from capsuled.caller import Caller
from capsuled.engine import Engine
from capsuled.rpc import Refused, caller_of, refuse
from capsuled.streams import OpenStream, opened
from capsuled.volume_streams import EXPORT_METHOD, IMPORT_METHOD, label_of, staged_of
from capsuled.volume_waits import (
    LONG_WAIT_S,
    NOT_MADE,
    WAIT_S,
    VolumeWaits,
    as_made,
    holds_up,
    not_yet,
    refuse_for,
    refuse_gone,
    snapshot_of,
)
from copies.volume_file import BadVolumeFile, Title, Unpacking, packed
from effects.errors import DriverError
from effects.unbroken import to_its_end
from effects.volumes.conditions import translated
from effects.volumes.protocol import Staging, VolumeDriver, VolumePorter
from journal.entry import SYSTEM
from journal.errors import JournalError
from journal.events import EffectFailed, SnapshotDeleteRequested, VolumeApplied, VolumeMade, VolumeRemoved
from journal.release import RELEASE
from projections import intents
from projections.refusals import Refusal
from projections.state import Snapshot, Volume
from projections.storage import found_again
from projections.volume_ends import Making

CHUNK_BYTES = 256 << 10
CANCELLED_S = 0.1
log = logging.getLogger(__name__)


class VolumeDataService(VolumeWaits, VolumeDataServiceServicer):
    """See proto/capsule/v1/volume.proto."""

    def __init__(self, engine: Engine, answers: Answers, driver: VolumeDriver, porter: VolumePorter) -> None:
        super().__init__(engine, answers, driver)
        self._porter = porter
        self._aside = Aside()

    # --- out -----------------------------------------------------------------------------------------------------

    async def Export(self, request: pb.VolumeExportRequest, context: Any) -> AsyncIterator[pb.VolumeExportChunk]:
        """The file, in pieces."""
        caller = caller_of(context, EXPORT_METHOD, request)
        volume = self._existing(request.name)
        if request.snapshot:
            chosen = _taken(volume, request.snapshot)
            async with opened(self._engine, caller, volume.name) as stream:
                async for chunk in self._chunks(volume, chosen, stream):
                    yield chunk
            return
        async with opened(self._engine, caller, volume.name) as stream:
            try:
                async for chunk in self._chunks(volume, await self._snapshot_for(volume, stream), stream):
                    yield chunk
            finally:
                await asyncio.shield(self._drop(volume, stream))

    async def _snapshot_for(self, volume: Volume, stream: OpenStream) -> Snapshot:
        """Taken by the machine itself, for the call that `stream` is of."""
        label = label_of(stream.seq)
        own = Caller(SYSTEM, "SnapshotService.Take", cause=stream.seq)
        outcome = await self._engine.call(intents.TakeSnapshot(volume.name, label), own)
        if isinstance(outcome, Refusal):
            raise Refused(outcome)
        uid = outcome.seq + 1  # its own entry stands behind the call's

        def ended(one: Volume) -> bool:
            found = snapshot_of(one, uid)
            return found is None or found.taken

        now = await self._until(
            volume.name,
            volume.uid,
            ended,
            LONG_WAIT_S,
            f"volume {volume.name} was not exported: no snapshot of it was taken in {LONG_WAIT_S / 60:.0f} minutes",
            heeds=lambda trouble: holds_up(trouble, uid),
            given_up=lambda _, trouble: "Nothing was exported" if trouble.snapshot == uid else "",
        )
        taken = snapshot_of(now, uid)
        if taken is None:
            refuse_gone(volume.name)
        return taken

    async def _drop(self, volume: Volume, stream: OpenStream) -> None:
        """The snapshot that was taken for this; where that cannot be written, the next start asks for it."""
        own = Caller(SYSTEM, "SnapshotService.Delete", cause=stream.seq)
        now = self._engine.machine.volumes.get(volume.name)
        found = () if now is None else (one for one in now.snapshots if one.label == label_of(stream.seq))
        for one in found:
            with suppress(JournalError):
                if now is not None and now.lost:
                    # No call on a lost volume is admitted; should it come back, this must not have been forgotten.
                    leaving = SnapshotDeleteRequested(now.name, now.uid, one.uid)
                    self._engine.record((leaving,), cause=stream.seq, vital=True, actor=SYSTEM)
                else:
                    await self._engine.call(intents.DeleteSnapshot(volume.name, label_of(stream.seq)), own)

    async def _chunks(
        self, volume: Volume, snapshot: Snapshot, stream: OpenStream
    ) -> AsyncIterator[pb.VolumeExportChunk]:
        reading = await self._porter.read(volume.name, volume.uid, snapshot.uid)
        try:
            title = Title(volume.name, reading.size_bytes, reading.data_bytes, snapshot.requested_at, RELEASE)
            counted = _Counted(reading.pieces())
            blocks = packed(title, counted)
            while block := await self._aside.to_its_end(lambda: _gathered(blocks)):
                stream.bytes_out += len(block)
                yield pb.VolumeExportChunk(data=block, done_bytes=counted.done_bytes, total_bytes=reading.data_bytes)
        except OSError as error:
            raise translated(error) from error
        finally:
            reading.close()

    # --- in ------------------------------------------------------------------------------------------------------

    async def Import(self, requests: AsyncIterator[pb.VolumeImportRequest], context: Any) -> pb.Volume:
        """Answers when the volume is there. Of a call that is repeated nothing is received a second time."""
        first = await anext(aiter(requests), None)
        if first is None or first.WhichOneof("msg") != "metadata":
            refuse("INVALID_ARGUMENT", "NO_METADATA", "the first message of an import must be its metadata", "metadata")
        metadata = first.metadata
        caller = caller_of(context, IMPORT_METHOD, metadata)
        if (given := await self._answers.given(caller)) is not None:
            return await self._appears(given)
        async with opened(self._engine, caller, metadata.name) as stream:
            coming = _Coming(staged_of(stream.seq), metadata.name)
            try:
                try:
                    await self._comes(requests, coming, metadata.total_bytes, caller, stream)
                finally:
                    if coming.staging is not None:
                        await self._aside.to_its_end(coming.staging.close)
                # From the entry on it is the machine's to make, also if the client has gone by then.
                intent = intents.ImportVolume(coming.name, coming.size_bytes, coming.staged)
                answer = await self._answers.call(intent, caller)
            finally:
                await to_its_end(self._put_away(coming))
            return await self._appears(answer, coming)

    async def _comes(
        self,
        requests: AsyncIterator[pb.VolumeImportRequest],
        coming: "_Coming",
        total_bytes: int,
        caller: Caller,
        stream: OpenStream,
    ) -> None:
        """All of it has come, and is staged."""
        async for request in requests:
            stream.bytes_in += len(request.chunk)
            await self._take(coming, request.chunk, caller)
        # A client that died ends its messages, too; that it is gone is told a moment later.
        await asyncio.sleep(CANCELLED_S)
        if total_bytes and stream.bytes_in != total_bytes:
            refuse(
                "DATA_LOSS",
                "CUT",
                f"the file was announced with {total_bytes} bytes and {stream.bytes_in} came: there "
                "is no volume of it. Import it again",
            )
        await self._proven(coming).settle()

    async def _put_away(self, coming: "_Coming") -> None:
        """What was staged and no entry names is nobody's: it would take its room until the next start."""
        if not coming.begun or any(one.staged == coming.staged for one in self._engine.machine.volumes.values()):
            return
        try:
            await self._porter.unstage(coming.staged)
        except DriverError as error:
            log.warning("what came for volume %s stays until the next start: %s", coming.name, error.message)

    async def _take(self, coming: "_Coming", block: bytes, caller: Caller) -> None:
        """The next bytes. Once they say what it is, whether it can be is judged before the rest has come."""
        unpacking = coming.unpacking
        try:
            await self._aside.to_its_end(lambda: unpacking.feed(block))
            if coming.staging is None and unpacking.title is not None:
                coming.staging = staging = await self._begun(coming, unpacking.title, caller)
                await self._aside.to_its_end(lambda: unpacking.into(staging))
        except BadVolumeFile as error:
            _refuse_file(error)
        except OSError as error:
            raise translated(error) from error

    async def _begun(self, coming: "_Coming", title: Title, caller: Caller) -> Staging:
        coming.name = name = coming.name or title.name
        coming.size_bytes = title.size_bytes
        await self._look_for(name)
        intent = intents.ImportVolume(name, title.size_bytes, coming.staged)
        _, verdict = self._engine.preview(intent, caller.actor.role)
        if isinstance(verdict, Refusal):
            raise Refused(verdict)
        pool = await self._driver.pool()
        if title.data_bytes > pool.total_bytes - pool.used_bytes:
            refuse(
                "RESOURCE_EXHAUSTED",
                "NO_SPACE",
                f"volume {name} has {title.data_bytes >> 20} MiB of data, and the storage has "
                f"{(pool.total_bytes - pool.used_bytes) >> 20} MiB left: free space there first",
            )
        coming.begun = True
        return await self._porter.stage(coming.staged, title.size_bytes)

    async def _look_for(self, name: str) -> None:
        """One that is lost may be back, and have its own content again: then nothing takes its place."""
        before = self._engine.machine.volumes.get(name)
        if before is not None and before.lost:
            seen = await self._driver.observe()
            self._engine.record(found_again(self._engine.machine, seen), reserved=True)

    def _proven(self, coming: "_Coming") -> Staging:
        try:
            coming.unpacking.finish()
        except BadVolumeFile as error:
            _refuse_file(error)
        assert coming.staging is not None
        return coming.staging

    async def _appears(self, answer: Answer, coming: "_Coming | None" = None) -> pb.Volume:
        """`coming` is None where nothing has come, for the call is repeated."""
        (applied,) = (event for event in answer.events if isinstance(event, VolumeApplied))
        asked = answer.machine.volumes[applied.name]
        match await self._ended_before(answer, asked.name, Making(asked).ends):
            case VolumeMade():
                return await self._message(answer.machine, as_made(asked))
            case EffectFailed() as failed:
                refuse_for(failed, NOT_MADE)
            case VolumeRemoved():
                refuse_gone(asked.name)
        late = not_yet(f"volume {asked.name} is not there", f"get {asked.name}")
        made = await self._until(
            asked.name,
            asked.uid,
            lambda one: bool(one.made_bytes) or one.lost,
            WAIT_S,
            late,
            heeds=lambda trouble: trouble.effect == "EnsureVolume",
        )
        if made is None:
            if coming is not None:
                await to_its_end(self._put_away(coming))
            refuse_gone(asked.name)
        if made.lost:
            message = f"what came for volume {asked.name} was removed by another hand"
            refuse("DATA_LOSS", "VOLUME_MISSING", message, "name")
        return await self._message(self._engine.machine, made)


class _Coming:
    """A file on its way in. `name`: of the volume, as far as it is known; `begun`: something may be staged."""

    def __init__(self, staged: str, name: str) -> None:
        self.staged = staged
        self.name = name
        self.size_bytes = 0
        self.begun = False
        self.staging: Staging | None = None
        self.unpacking = Unpacking()


class _Counted:
    """The pieces, and how far they have been taken."""

    def __init__(self, pieces: Iterator[tuple[int, bytes]]) -> None:
        self._pieces = pieces
        self.done_bytes = 0

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for offset, content in self._pieces:
            self.done_bytes += len(content)
            yield offset, content


def _gathered(blocks: Iterator[bytes]) -> bytes:
    """The next blocks, as much as a message takes; empty at the end."""
    parts: list[bytes] = []
    size = 0
    while size < CHUNK_BYTES and (block := next(blocks, None)) is not None:
        parts.append(block)
        size += len(block)
    return b"".join(parts)


def _taken(volume: Volume, label: str) -> Snapshot:
    found = next((one for one in volume.snapshots if one.label == label and one.taken and not one.leaving), None)
    if found is None:
        known = ", ".join(one.label for one in volume.snapshots if one.taken) or "none"
        refuse(
            "NOT_FOUND",
            "SNAPSHOT_NOT_FOUND",
            f"volume {volume.name} has no snapshot {label}; it has {known}",
            "snapshot",
        )
    return found


def _refuse_file(error: BadVolumeFile) -> NoReturn:
    refuse("DATA_LOSS", "BAD_VOLUME_FILE", f"{error}. There is no volume of it: export it again", "chunk")
