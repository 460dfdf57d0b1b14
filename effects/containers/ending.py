"""The end of a container's processes: asked for and awaited through containerd, and seen to by the cgroup where runc or
containerd has forgotten a process that lives."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import grpc

from containerdapi import tasks_pb2
from effects.alive import KILL_WAIT_S, killed
from effects.containerd.connection import NAMESPACE, Connection, tolerated
from effects.containerd.letting_go import let_go
from effects.containers.first_process import first_process
from effects.errors import StartFailed
from effects.runs import survivors

SHIM_S = 30.0
"""For a shim to answer. It answers nothing while it makes a task that hangs."""
_NO_SUCH = grpc.StatusCode.NOT_FOUND
_FINISHED = grpc.StatusCode.FAILED_PRECONDITION
_HANGS = "the process does not end although it was killed: it may hang in the kernel"


class Ending:
    """`group_of` says where a container's cgroup is, `runc_root` is runc's own state."""

    def __init__(self, connection: Connection, group_of: Callable[[str], str], runc_root: Path) -> None:
        self._connection = connection
        self._metadata = connection.metadata
        self._group_of = group_of
        self._directory = runc_root / NAMESPACE

    def lives_on(self, cid: str) -> bool:
        """Whether anything of the container does, whatever the runtime says."""
        return survivors.lives(self._group_of(cid))

    async def end(self, cid: str, pid: int, grace_ms: int, number: int = signal.SIGTERM) -> None:
        """Ask the task, whose first process is `pid`, with the signal; wait for the grace; kill. Raises DriverError."""
        ended = asyncio.ensure_future(
            self._connection.tasks.Wait(tasks_pb2.WaitRequest(container_id=cid), metadata=self._metadata)
        )
        try:
            if grace_ms > 0:
                await self._signal(cid, pid, number)
                await asyncio.wait((ended,), timeout=grace_ms / 1000)
            if not ended.done():
                await self._signal(cid, pid, signal.SIGKILL)
                await asyncio.wait((ended,), timeout=KILL_WAIT_S)
            if not ended.done():
                raise StartFailed(_HANGS)
            with tolerated(_NO_SUCH):
                ended.result()
        finally:
            let_go(ended)

    async def _signal(self, cid: str, pid: int, number: int) -> None:
        """SIGKILL goes to all of the container."""
        request = tasks_pb2.KillRequest(container_id=cid, signal=number, all=number == signal.SIGKILL)
        with tolerated(_NO_SUCH, _FINISHED):
            await self._connection.tasks.Kill(request, metadata=self._metadata, timeout=SHIM_S)
            return
        # Nobody is there to hear it, or runc has lost its own directory, and knows a process that lives no more.
        survivors.ask(self._group_of(cid), number, pid)

    async def clear(self, cid: str) -> None:
        """Nothing of the container lives, and runc knows it no more: kill what the runtime has forgotten, which with
        the next run would write into the same volumes. Only once containerd has no such task. Raises StartFailed."""
        directory = self._directory / cid
        found = first_process(directory)
        if found is not None:  # also where it has moved itself into another cgroup, as a privileged one can
            try:
                gone = await killed(found.process, KILL_WAIT_S)
            finally:
                os.close(found.process)
            if not gone:
                raise StartFailed(_HANGS)
        await survivors.end(self._group_of(cid))
        shutil.rmtree(directory, ignore_errors=True)
