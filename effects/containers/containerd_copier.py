"""Copies into and out of containers: by a process that enters the container's mount namespace, or mounts its layer.

What runs is entered by a descriptor of its first process, held against runc's own record of it. What does not run is
mounted from its writable layer, in a mount namespace of the copying process's own, as long as no run begins.
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc

import copies
from containerdapi import snapshots_pb2, tasks_pb2
from copies.inside import Request
from effects.containerd.connection import NAMESPACE, SNAPSHOTTER, Connection, tolerated
from effects.containers.first_process import first_process
from effects.errors import NotRunning
from effects.runs import names
from effects.runs.copy_holds import CopyHolds
from effects.runs.copy_protocol import CopyPlace
from effects.runs.copy_session import CopySession, Launch, Peer

_HOME = str(Path(copies.__file__).resolve().parent.parent)
_MAIN = f"import sys; sys.path.insert(0, {_HOME!r}); from copies.inside import main; main()"
_NOT_THE_KERNELS = frozenset({"ro", "rw", "bind", "rbind"})

Start = Callable[..., Awaitable[Peer]]
"""Starts a process: its argv, `stdin` and `stdout`, and the descriptors to `keep` open in it."""


class ContainerdCopier:
    """See the protocol. `directory` is where a layer is mounted, which only the copying process sees."""

    def __init__(
        self, connection: Connection, start: Start, holds: CopyHolds, runc_root: Path, directory: Path
    ) -> None:
        self._connection = connection
        self._start = start
        self._holds = holds
        self._runc = runc_root / NAMESPACE
        self._directory = directory

    async def into(self, place: CopyPlace) -> CopySession:
        """See the protocol."""
        return await self._opened("to", place)

    async def out_of(self, place: CopyPlace) -> CopySession:
        """See the protocol."""
        return await self._opened("from", place)

    async def _opened(self, way: str, place: CopyPlace) -> CopySession:
        session = self._holds.enter(place.name, place.uid)
        process = -1
        try:
            if place.run:
                process, request = self._running(place), Request(way, place.name, place.path)
            else:
                request = await self._layer(way, place)
            await session.begin(request, self._launch(process))
        except BaseException:
            await asyncio.shield(session.close())
            raise
        finally:
            if process >= 0:
                os.close(process)
        return session

    def _running(self, place: CopyPlace) -> int:
        found = first_process(self._runc / names.container_id(place.name, place.uid, place.run))
        if found is None:
            raise NotRunning(f"{place.name} has just ended: `capsulectl get {place.name}` tells how")
        return found.process

    async def _layer(self, way: str, place: CopyPlace) -> Request:
        """How the writable layer is mounted that a workload which does not run has."""
        await self._connection.answering()
        await self._check_ended(place)
        key = names.snapshot_key(place.name, place.uid, place.revision)
        asked = snapshots_pb2.MountsRequest(snapshotter=SNAPSHOTTER, key=key)
        mounts = []
        with tolerated(grpc.StatusCode.NOT_FOUND):
            mounts = (await self._connection.snapshots.Mounts(asked, metadata=self._connection.metadata)).mounts
        if len(mounts) != 1:
            raise NotRunning(
                f"{place.name} does not run, and has no files of its own yet, as it never has as it is declared now: "
                f"`capsulectl start {place.name}`, then copy"
            )
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Request(
            way,
            place.name,
            place.path,
            mounts[0].type,
            mounts[0].source,
            ",".join(one for one in mounts[0].options if one not in _NOT_THE_KERNELS),
            str(self._directory),
            place.mounted,
        )

    async def _check_ended(self, place: CopyPlace) -> None:
        """While a task is there, alive or not, the layer is mounted."""
        with tolerated():
            tasks = (
                await self._connection.tasks.List(tasks_pb2.ListTasksRequest(), metadata=self._connection.metadata)
            ).tasks
        stem = names.container_id(place.name, place.uid, 0).removesuffix("0")
        if any((task.container_id or task.id).startswith(stem) for task in tasks):
            raise NotRunning(f"{place.name} is just starting or ending: copy again in a moment")

    def _launch(self, process: int) -> Launch:
        async def launch(control: int, stdin: int | None, stdout: int | None) -> Peer:
            command = (sys.executable, "-I", "-S", "-X", "utf8", "-c", _MAIN, str(control), str(process))
            keep = (control,) if process < 0 else (control, process)
            return await self._start(*command, stdin=stdin, stdout=stdout, keep=keep)

        return launch
