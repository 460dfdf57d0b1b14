"""Copies as streams: a client's archive into a workload, and a workload's archive to the client.

That a copy was made is a fact, with its path; what is in it, names and all, stands nowhere.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, NoReturn

from capsule.v1 import workload_pb2 as pb
from capsuled.caller import Caller
from capsuled.copy_messages import Chunk
from capsuled.engine import Engine
from capsuled.handover import Handover
from capsuled.rpc import Refused, own_kernel, refuse
from capsuled.streams import opened
from copies.frames import CHANGED, LEFT_OUT
from effects.runs.copy_protocol import Copier, CopyPlace, CopyReport
from projections.phases import LIVE, RunPhase
from projections.refusals import no_workload
from projections.rights import permit_inside
from projections.state import Run, Workload

PATH_CHARS = 4_096
"""No path that the kernel takes is longer."""
SETTLES_S = 10.0
"""How long a copy waits for a run that is just beginning, ending or being cleaned up after: a copy after a stop finds
that one most often, and has not long to wait."""

Requests = AsyncIterator[pb.WorkloadCopyToRequest | Chunk]


class CopyStreams:
    """Opens copies through the copier; none outlives its stream."""

    def __init__(self, engine: Engine, copier: Copier, handover: Handover) -> None:
        self._engine = engine
        self._copier = copier
        self._handover = handover

    async def into(self, requests: Requests, caller: Caller, context: Any) -> pb.WorkloadCopyToResponse:
        """One archive, in messages or through a pipe: whoever took that ends his messages when it is written. Refuses
        before it is read what cannot be reached."""
        first = await anext(aiter(requests), None)
        if not isinstance(first, pb.WorkloadCopyToRequest) or first.WhichOneof("payload") != "metadata":
            refuse("INVALID_ARGUMENT", "NO_METADATA", "the first message of a copy must be its metadata", "metadata")
        name, path = first.metadata.name, first.metadata.dest_path
        place = await self._place(caller, name, path, "metadata.name", "metadata.dest_path")
        async with opened(self._engine, caller, place.name, path=place.path) as stream:
            session = await self._copier.into(place)
            try:
                async with self._handover.offered(session, caller, context):
                    async for message in requests:
                        chunk = message if isinstance(message, Chunk) else message.chunk  # not made as they usually are
                        stream.bytes_in += len(chunk)
                        await session.write(chunk)
                await session.finish()
            finally:
                # The client may have gone, and this task with it; what came must go all the same.
                await asyncio.shield(session.close())
                stream.bytes_in += session.moved if session.handed else 0
            return pb.WorkloadCopyToResponse(bytes_received=stream.bytes_in)

    async def out_of(
        self, request: pb.WorkloadCopyFromRequest, caller: Caller, context: Any
    ) -> AsyncGenerator[bytes, None]:
        """One archive, in the pieces that `copy_chunk` makes messages of, or through a pipe: then the end of the call
        says that it is whole. Refuses before its first byte, or the archive lacks its end."""
        place = await self._place(caller, request.name, request.src_path, "name", "src_path")
        async with opened(self._engine, caller, place.name, path=place.path) as stream:
            session = await self._copier.out_of(place)
            try:
                async with self._handover.offered(session, caller, context) as offer:
                    await offer.decided()
                async with aclosing(session.pieces()) as pieces:
                    async for piece in pieces:
                        stream.bytes_out += len(piece)
                        yield piece
                context.set_trailing_metadata(_told(session.report))
            finally:
                await asyncio.shield(session.close())
                stream.bytes_out += session.moved if session.handed else 0

    async def _place(self, caller: Caller, name: str, path: str, name_field: str, path_field: str) -> CopyPlace:
        if not path or "\0" in path or len(path) > PATH_CHARS:
            refuse("INVALID_ARGUMENT", "PATH_BAD", "name a path in the workload, like /etc/motd", path_field)
        asked = self._engine.machine.workloads.get(name)
        workload = await self._settled(name, name_field)
        # Judged when it was asked for, and the wait may have been long. Nothing is awaited from here to the place,
        # which is of this run or revision and no other.
        if (refusal := caller.lost() or permit_inside(caller.actor.role, self._engine.machine, name)) is not None:
            raise Refused(refusal)
        if asked is not None and (asked.uid, asked.revision) != (workload.uid, workload.revision):
            words = (
                f"{name} was changed while the copy waited for it: copy again, if it is meant for what {name} is now"
            )
            refuse("ABORTED", "CHANGED", words, name_field)
        run = workload.run
        if not ((run.spec if run is not None else None) or workload.spec).has_image:
            words = own_kernel(name, "nothing in it takes files from here. A volume can be shared in turn")
            refuse("FAILED_PRECONDITION", "OWN_KERNEL", words, name_field)
        if run is not None and run.phase is RunPhase.RUNNING:
            return CopyPlace(name, workload.uid, run.revision, run.number, path, kind=workload.kind)
        return CopyPlace(name, workload.uid, workload.revision, 0, path, _mounted(workload), workload.kind)

    async def _settled(self, name: str, field: str) -> Workload:
        """The workload once it runs, or nothing of a run is there any more."""
        workload: Workload | None = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLES_S):
                async for machine in self._engine.changes():
                    workload = machine.workloads.get(name)
                    if workload is None or workload.desired == "deleting" or not _changes(workload.run):
                        break
        if workload is None:
            raise Refused(no_workload(name, self._engine.machine.workloads, field))
        if workload.desired == "deleting" or _changes(workload.run):
            _refuse_changing(workload, field)
        return workload


def _changes(run: Run | None) -> bool:
    """Whether it is about to run, or to be nothing: its file system is being mounted, or let go of."""
    return run is not None and run.phase is not RunPhase.RUNNING and (run.phase in LIVE or not run.cleaned)


def _refuse_changing(workload: Workload, field: str) -> NoReturn:
    message = (
        f"{workload.name} is being started, stopped or removed just now: copy again when `capsulectl get "
        f"{workload.name}` shows that it is done"
    )
    refuse("FAILED_PRECONDITION", "NOT_RUNNING", message, field)


def _mounted(workload: Workload) -> tuple[str, ...]:
    """Where something is mounted while the workload runs."""
    spec = workload.spec
    return (
        *(one.mount_path for one in spec.mounts),
        *(one.mount_path for one in spec.tmpfs),
        *(one.mount_path for one in spec.host_binds),
        *spec.host_bind_paths,
        *(one.path for one in spec.secrets),
        *(("/host",) if spec.host_mount else ()),
    )


def _told(report: CopyReport) -> tuple[tuple[str, str], ...]:
    counts = ((LEFT_OUT, report.left_out), (CHANGED, report.changed))
    return tuple((name, str(count)) for name, count in counts if count)
