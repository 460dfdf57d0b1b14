"""Further processes inside running containers, through containerd: FIFOs for the streams, and nothing left behind.

A session's directory holds its FIFOs and is named after container and exec, so that after a crash of the daemon
`sweep` finds and ends what was left running. containerd itself may die and come back under an open session: the
streams do not lead through it, and its end is asked for again.
"""

import asyncio
import contextlib
import itertools
import logging
import os
import shutil
import signal
import uuid
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import msgspec
from google.protobuf.any_pb2 import Any as AnyMessage

from containerdapi import containers_pb2, snapshots_pb2, tasks_pb2
from effects.containerd.connection import SNAPSHOTTER, Connection, tolerated, translated
from effects.containers import names
from effects.containers.exec_protocol import ExecRequest, Window
from effects.containers.pipes import Pipe, reading, writing
from effects.containers.sessions import end_session
from effects.containers.spec import exec_process
from effects.containers.users import layer_directories, resolve
from effects.errors import (
    BadWorkingDir,
    DriverError,
    EntrypointMissing,
    NotExecutable,
    NotRunning,
    StartFailed,
)

log = logging.getLogger(__name__)

PROCESS_URL = "types.containerd.io/opencontainers/runtime-spec/1/Process"
FLUSH_S = 0.5
"""How long after the process's end its outputs may stay open: a child that inherited them would hold them for ever."""

HANGUP_S = 1.0
"""How long a process that was hung up on has to put its things in order."""

AGAIN_S = 0.1

_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)


class ContainerdExecutor:
    """Opens sessions. `directory` is volatile and this daemon's own; names in it say which of its lives they are of."""

    def __init__(self, connection: Connection, directory: Path) -> None:
        self._connection = connection
        self._directory = directory
        self._life = uuid.uuid4().hex[:12]
        self._numbers = itertools.count(1)

    async def open(self, request: ExecRequest) -> "ContainerdExec":
        """See the protocol."""
        cid = names.container_id(request.name, request.uid, request.run)
        exec_id = f"exec-{self._life}-{next(self._numbers)}"
        directory = self._directory / f"{cid}@{exec_id}"
        session = ContainerdExec(self._connection, cid, exec_id, directory)
        try:
            await session.start(request, await self._process(cid, request))
        except BaseException:
            # Nobody else knows of it: it ends even if whoever asked for it has gone.
            await asyncio.shield(session.close())
            raise
        return session

    async def _process(self, cid: str, request: ExecRequest) -> dict[str, Any]:
        try:
            answer = await self._connection.containers.Get(
                containers_pb2.GetContainerRequest(id=cid), metadata=self._connection.metadata
            )
        except grpc.aio.AioRpcError as error:
            if error.code() == grpc.StatusCode.NOT_FOUND:
                raise NotRunning(f"{request.name} is not running") from error
            raise translated(error) from error
        base = msgspec.json.decode(answer.container.spec.value)["process"]
        if not request.user:
            return exec_process(base, request)
        asked = snapshots_pb2.MountsRequest(snapshotter=SNAPSHOTTER, key=answer.container.snapshot_key)
        with tolerated():
            mounts = (await self._connection.snapshots.Mounts(asked, metadata=self._connection.metadata)).mounts
        directories = layer_directories((mount.type, mount.source, tuple(mount.options)) for mount in mounts)
        return exec_process(base, request, resolve(request.user, directories))

    async def sweep(self) -> None:
        """See the protocol."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        failure: DriverError | None = None
        for left in sorted(self._directory.iterdir()):
            cid, _, exec_id = left.name.partition("@")
            if exec_id.startswith(f"exec-{self._life}-"):
                continue
            try:
                await ContainerdExec(self._connection, cid, exec_id, left).sweep()
            except DriverError as error:
                failure = error
        if failure is not None:
            raise failure


class ContainerdExec:
    """One process. Made and closed by the executor's callers; see the protocol."""

    def __init__(self, connection: Connection, cid: str, exec_id: str, directory: Path) -> None:
        self._tasks = connection.tasks
        self._metadata = connection.metadata
        self._ids: dict[str, Any] = {"container_id": cid, "exec_id": exec_id}
        self._directory = directory
        self._stdin: asyncio.StreamWriter | None = None
        self._pipes: dict[int, Pipe] = {}
        self._ended: asyncio.Future[int] | None = None
        self._tty = False
        self._pid = 0

    async def start(self, request: ExecRequest, process: dict[str, Any]) -> None:
        """Make the FIFOs, open our ends (a FIFO without a peer would block the shim), and start."""
        self._tty = request.tty
        self._directory.mkdir(parents=True, mode=0o700)
        stdin = self._directory / "stdin"
        outputs = {1: self._directory / "stdout"}
        if not request.tty:
            outputs[2] = self._directory / "stderr"
        for path in (stdin, *outputs.values()):
            os.mkfifo(path, 0o600)
        for number, path in outputs.items():
            self._pipes[number] = await reading(path)
        holder = os.open(stdin, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            await self._run(stdin, outputs, process)
            self._stdin = await writing(stdin)
        finally:
            os.close(holder)

    async def _run(self, stdin: Path, outputs: dict[int, Path], process: dict[str, Any]) -> None:
        request = tasks_pb2.ExecProcessRequest(
            **self._ids,
            stdin=str(stdin),
            stdout=str(outputs[1]),
            stderr=str(outputs.get(2, "")),
            terminal=self._tty,
            spec=AnyMessage(type_url=PROCESS_URL, value=msgspec.json.encode(process)),
        )
        try:
            await self._tasks.Exec(request, metadata=self._metadata)
            self._ended = asyncio.ensure_future(self._exit())
            await self._started()
        except grpc.aio.AioRpcError as error:
            raise _exec_error(error, process) from error

    async def _started(self) -> None:
        """Once begun, a start is seen through: what was started and has no known process id could not be ended."""
        starting = asyncio.ensure_future(
            self._tasks.Start(tasks_pb2.StartRequest(**self._ids), metadata=self._metadata)
        )
        try:
            await asyncio.shield(starting)
        finally:
            await asyncio.wait((starting,))
            if not starting.exception():
                self._pid = starting.result().pid

    async def _exit(self) -> int:
        """The exit code, asked for until there is one: what this containerd never answered the next one may."""
        while True:
            try:
                answer = await self._tasks.Wait(
                    tasks_pb2.WaitRequest(**self._ids), metadata=self._metadata, wait_for_ready=True
                )
                return int(answer.exit_status)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(AGAIN_S)

    # --- while it runs -------------------------------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        """See the protocol."""
        if self._stdin is None:
            return
        try:
            self._stdin.write(data)
            await self._stdin.drain()
        except (BrokenPipeError, ConnectionError):
            self._close_stdin()

    async def end_input(self) -> None:
        """See the protocol. What was written is drained by the shim before the process sees the end."""
        if self._stdin is None:
            return
        stdin = self._stdin
        self._close_stdin()
        with contextlib.suppress(BrokenPipeError, ConnectionError):
            await stdin.wait_closed()
        if self._tty:
            return  # the shim would close the terminal itself, and so hang up on the process
        # The shim holds a writing end of its own, which only this closes.
        await self._insist(self._tasks.CloseIO, tasks_pb2.CloseIORequest(**self._ids, stdin=True))

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self._stdin.close()
            self._stdin = None

    async def resize(self, window: Window) -> None:
        """See the protocol."""
        if self._tty:
            request = tasks_pb2.ResizePtyRequest(**self._ids, width=window.cols, height=window.rows)
            await self._insist(self._tasks.ResizePty, request)

    async def signal(self, number: int) -> None:
        """See the protocol."""
        await self._insist(self._tasks.Kill, tasks_pb2.KillRequest(**self._ids, signal=number))

    async def _insist(self, method: Any, request: Any) -> None:
        """Ask containerd, or the one that comes after it. What an ended process cannot be told any more is told."""
        while True:
            try:
                await method(request, metadata=self._metadata, wait_for_ready=True)
                return
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.UNAVAILABLE:
                    log.debug("%s: %s", type(request).__name__, error.details())
                    return
            await asyncio.sleep(AGAIN_S)

    async def output(self) -> AsyncGenerator[tuple[int, bytes], None]:
        """See the protocol."""
        pending: dict[asyncio.Future[bytes], int] = {
            asyncio.ensure_future(pipe.read()): number for number, pipe in self._pipes.items()
        }
        try:
            while pending:
                done = await self._some(pending)
                if not done:
                    return
                for read in done:
                    number = pending.pop(read)
                    data = read.result()
                    if data:
                        yield number, data
                        pending[asyncio.ensure_future(self._pipes[number].read())] = number
        finally:
            for read in pending:
                read.cancel()

    async def _some(self, pending: Any) -> set[asyncio.Future[bytes]]:
        """Reads that are done; after the process's end none, once the outputs were quiet for a moment."""
        assert self._ended is not None
        if not self._ended.done():
            done, _ = await asyncio.wait({*pending, self._ended}, return_when=asyncio.FIRST_COMPLETED)
            done -= {self._ended}
            if done:
                return done
        done, _ = await asyncio.wait(set(pending), timeout=FLUSH_S, return_when=asyncio.FIRST_COMPLETED)
        return done

    async def wait(self) -> int:
        """See the protocol. A container that ends takes the process along, and containerd its exit code."""
        assert self._ended is not None
        try:
            return await self._ended
        except grpc.aio.AioRpcError as error:
            if error.code() in _GONE:
                raise NotRunning("the container ended, and this process with it") from error
            raise translated(error) from error

    # --- its end -------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """See the protocol. Its whole session goes: children that it left behind too."""
        ended = self._ended
        if self._pid and ended is not None and not ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGHUP)
            await asyncio.wait((ended,), timeout=HANGUP_S)
        await self._end(self._pid or await self._found_pid())

    async def sweep(self) -> None:
        """End what an earlier life of the daemon opened."""
        await self._end(await self._found_pid())

    async def _end(self, pid: int) -> None:
        """Kill and forget. With containerd away the processes end all the same; its record is left to the sweep."""
        self._close_stdin()
        for pipe in self._pipes.values():
            pipe.close()
        self._pipes.clear()
        try:
            if pid:
                await asyncio.to_thread(end_session, pid)
            if pid and (self._ended is None or not self._ended.done()):
                with contextlib.suppress(TimeoutError), tolerated(*_GONE, grpc.StatusCode.UNKNOWN):
                    async with asyncio.timeout(5):
                        await self._tasks.Wait(tasks_pb2.WaitRequest(**self._ids), metadata=self._metadata)
            with tolerated(*_GONE, grpc.StatusCode.UNKNOWN):
                await self._tasks.DeleteProcess(tasks_pb2.DeleteProcessRequest(**self._ids), metadata=self._metadata)
        finally:
            if self._ended is not None:
                self._ended.cancel()
                await asyncio.wait((self._ended,))
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _found_pid(self) -> int:
        try:
            answer = await self._tasks.Get(tasks_pb2.GetRequest(**self._ids), metadata=self._metadata)
        except grpc.aio.AioRpcError:
            return 0
        return int(answer.process.pid)


def _exec_error(error: grpc.aio.AioRpcError, process: dict[str, Any]) -> DriverError:
    """runc's words as a condition of ours."""
    details, command = error.details() or "", process["args"][0]
    if "chdir to cwd" in details:
        return BadWorkingDir(f"the working directory {process['cwd']} does not exist in the container")
    if "executable file not found" in details or "no such file or directory" in details:
        return EntrypointMissing(f"the command `{command}` does not exist in the container")
    if "permission denied" in details or "is a directory" in details:
        return NotExecutable(f"the command `{command}` is not executable in the container")
    if error.code() in _GONE or "not running" in details or "stopped" in details or "not created" in details:
        return NotRunning("the container is not running any more")
    failure = translated(error)
    if isinstance(failure, StartFailed):
        return StartFailed(
            f"the runtime could not start `{command}`: {details.rpartition('exec failed: ')[2] or details}"
        )
    return failure
