"""Opens processes beside a run's own, and ends what was left of them: by a crash of the daemon, or of containerd.

A session's directory holds its FIFOs and is named after container and exec. So after a crash of the daemon `sweep`
finds what was open; what a start put into a container after containerd had died, nobody was told of, and it is looked
for among the container's processes.
"""

import asyncio
import itertools
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import grpc
import msgspec

from containerdapi import containers_pb2, snapshots_pb2, tasks_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, tolerated, translated
from effects.containerd.snapshots import directories_of
from effects.containers.bundles import Bundles
from effects.containers.containerd_exec import SHIM_S, ContainerdExec
from effects.containers.spec import exec_process
from effects.containers.strays import strays
from effects.errors import NotRunning, RuntimeUnavailable, StartFailed
from effects.runs import names
from effects.runs.exec_protocol import ExecRequest
from effects.runs.users import resolve
from sandbox import sessions

RUNS_KEPT = 512
"""Twice as many as the bridge has addresses for, unless it is given more: health checks look at all runs in turn, and
where one too few is kept, each look comes to a run that was just forgotten. The other half is for runs that have ended:
nobody takes them out but who comes after them."""
LOOKS = 10
LOOK_S = 0.1
"""Together as long as a start may take that nobody waits for any more."""
KILLS = 10
"""So many looks may find a stray that was killed before. One that waits in the kernel dies when its disk answers."""


class _Run(msgspec.Struct, frozen=True):
    """What an exec needs to know of a run: its process as declared and as it lives, and its file system."""

    process: dict[str, Any]
    pid: int
    snapshot_key: str


class ContainerdExecutor:
    """See the protocol. `directory` is volatile and the daemon's own; a name in it says which of its lives it is of.
    `bundles` has what the runs' processes were given.
    """

    def __init__(self, connection: Connection, directory: Path, bundles: Bundles) -> None:
        self._connection = connection
        self._bundles = bundles
        self._directory = directory
        self._life = uuid.uuid4().hex[:12]
        self._numbers = itertools.count(1)
        self._runs: dict[str, _Run] = {}
        self._sessions: WeakSet[ContainerdExec] = WeakSet()
        self._starting: Counter[str] = Counter()
        self._searched: set[str] = set()
        self._turn = asyncio.Condition()

    async def open(self, request: ExecRequest) -> ContainerdExec:
        """See the protocol."""
        cid = names.container_id(request.name, request.uid, request.run)
        exec_id = f"exec-{self._life}-{next(self._numbers)}"
        session = ContainerdExec(self._connection, cid, exec_id, self._directory / f"{cid}@{exec_id}")
        try:
            if request.patient:
                await self._connection.answering()
            process = await self._process(cid, request)
            async with self._start(cid):
                self._sessions.add(session)
                await session.start(request, process)
        except BaseException as error:
            # Nobody else knows of it: it ends even if whoever asked for it has gone.
            await asyncio.shield(self._undone(session, cid, session.unheard or isinstance(error, RuntimeUnavailable)))
            raise
        return session

    async def _undone(self, session: ContainerdExec, cid: str, unheard: bool) -> None:
        """A start that nobody heard the end of may have been seen through all the same."""
        try:
            if unheard and cid in self._runs:
                await self._search(cid, self._runs[cid].pid)
        finally:
            await session.close()

    # --- what a run is like --------------------------------------------------------------------------------------

    async def _process(self, cid: str, request: ExecRequest) -> dict[str, Any]:
        run = self._runs.get(cid) or await self._looked_up(cid, request.name)
        if not request.user:
            return exec_process(run.process, request)
        asked = snapshots_pb2.MountsRequest(snapshotter=SNAPSHOTTER, key=run.snapshot_key)
        with tolerated():
            mounts = (await self._connection.snapshots.Mounts(asked, metadata=self._connection.metadata)).mounts
        return exec_process(run.process, request, resolve(request.user, directories_of(mounts)))

    async def _looked_up(self, cid: str, name: str) -> _Run:
        """Once for each run: a record from which a process was started is never made anew."""
        asked = containers_pb2.GetContainerRequest(id=cid)
        try:
            record = (await self._connection.containers.Get(asked, metadata=self._connection.metadata)).container
            pid = await self._first_process(cid)
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise NotRunning(f"{name} is not running") from error
            raise translated(error) from error
        spec = self._bundles.read(cid) or msgspec.json.decode(record.spec.value)
        run = _Run(spec["process"], pid, record.snapshot_key)
        self._runs[cid] = run
        if len(self._runs) > RUNS_KEPT:
            del self._runs[next(iter(self._runs))]
        return run

    async def _first_process(self, cid: str) -> int:
        asked = tasks_pb2.GetRequest(container_id=cid)
        tasks, metadata = self._connection.tasks, self._connection.metadata
        return int((await tasks.Get(asked, metadata=metadata, timeout=SHIM_S)).process.pid)

    # --- what is left of others ----------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """See the protocol."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        lefts: dict[str, list[Path]] = {}
        for path in sorted(self._directory.iterdir()):
            cid, _, exec_id = path.name.partition("@")
            if not exec_id.startswith(f"exec-{self._life}-"):
                lefts.setdefault(cid, []).append(path)
        ended = await asyncio.gather(*(self._sweep(*left) for left in lefts.items()), return_exceptions=True)
        for failure in ended:
            if failure is not None:
                raise failure

    async def _sweep(self, cid: str, lefts: list[Path]) -> None:
        """What may have come of starts under way, then what is known: until that is gone, this is done again."""
        with tolerated(grpc.StatusCode.NOT_FOUND):
            await self._search(cid, await self._first_process(cid))
        for path in lefts:
            await ContainerdExec(self._connection, cid, path.name.partition("@")[2], path).sweep()

    @asynccontextmanager
    async def _start(self, cid: str) -> AsyncIterator[None]:
        """Starts go side by side, but not while strays are looked for: what is being started is not known yet."""
        async with self._turn:
            await self._turn.wait_for(lambda: cid not in self._searched)
            self._starting[cid] += 1
        try:
            yield
        finally:
            async with self._turn:
                self._starting[cid] -= 1
                if not self._starting[cid]:
                    del self._starting[cid]
                self._turn.notify_all()

    async def _search(self, cid: str, first: int) -> None:
        """End the strays of a container: until none has been seen for as long as a start may take. Raises StartFailed
        for one that does not end."""
        async with self._turn:
            await self._turn.wait_for(lambda: not self._starting[cid] and cid not in self._searched)
            self._searched.add(cid)
        try:
            looks = LOOKS if first else 0
            kills: Counter[int] = Counter()
            while looks:
                known = frozenset(session.pid for session in self._sessions if session.pid)
                found = await asyncio.to_thread(strays, first, known)
                for pid in found:
                    await asyncio.to_thread(sessions.kill, pid, reaped=False)
                kills.update(found)
                stubborn = next((pid for pid, count in kills.items() if count > KILLS), 0)
                if stubborn:
                    raise StartFailed(f"a process of exec ({stubborn}) does not end although it was killed")
                looks = LOOKS if found else looks - 1
                await asyncio.sleep(LOOK_S)
        finally:
            async with self._turn:
                self._searched.discard(cid)
                self._turn.notify_all()
