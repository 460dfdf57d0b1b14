"""Further processes inside running containers, through containerd: FIFOs for the streams, and nothing left behind.

A session's directory holds its FIFOs and is named after container and exec, so that after a crash of the daemon
`sweep` finds and ends what was left running.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import msgspec
from google.protobuf.any_pb2 import Any as AnyMessage

from containerdapi import containers_pb2, tasks_pb2
from effects.containerd.connection import Connection, tolerated, translated
from effects.containers import names
from effects.containers.exec_protocol import ExecRequest
from effects.containers.spec import exec_process
from effects.errors import DriverError, EntrypointMissing, NotRunning

PROCESS_URL = "types.containerd.io/opencontainers/runtime-spec/1/Process"
READ_BYTES = 1 << 16
FLUSH_S = 0.5
"""How long after the process's end its outputs may stay open: a child that inherited them would hold them for ever."""

_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)


class ContainerdExecutor:
    """Opens sessions. `directory` is volatile and this daemon's own."""

    def __init__(self, connection: Connection, directory: Path) -> None:
        self._connection = connection
        self._directory = directory

    async def open(self, request: ExecRequest) -> "ContainerdExec":
        """See the protocol."""
        cid = names.container_id(request.name, request.uid, request.run)
        exec_id = f"exec-{uuid.uuid4().hex[:16]}"
        directory = self._directory / f"{cid}@{exec_id}"
        session = ContainerdExec(self._connection, cid, exec_id, directory)
        try:
            await session.start(await self._process(cid, request))
        except BaseException:
            await session.close()
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
        spec = msgspec.json.decode(answer.container.spec.value)
        return exec_process(spec["process"], request.argv, request.env)

    async def sweep(self) -> None:
        """End what an earlier life of the daemon left running."""
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in sorted(self._directory.iterdir()):
            cid, _, exec_id = left.name.partition("@")
            with contextlib.suppress(DriverError):
                await ContainerdExec(self._connection, cid, exec_id, left).close()


class ContainerdExec:
    """One process. Made and closed by the executor's callers; see the protocol."""

    def __init__(self, connection: Connection, cid: str, exec_id: str, directory: Path) -> None:
        self._tasks = connection.tasks
        self._metadata = connection.metadata
        self._ids: dict[str, Any] = {"container_id": cid, "exec_id": exec_id}
        self._directory = directory
        self._stdin: asyncio.StreamWriter | None = None
        self._readers: list[tuple[int, asyncio.StreamReader, asyncio.BaseTransport]] = []
        self._ended: asyncio.Future[Any] | None = None
        self._pid = 0

    async def start(self, process: dict[str, Any]) -> None:
        """Make the FIFOs, open our ends (a FIFO without a peer would block the shim), and start."""
        self._directory.mkdir(parents=True, mode=0o700)
        paths = {name: self._directory / name for name in ("stdin", "stdout", "stderr")}
        for path in paths.values():
            os.mkfifo(path, 0o600)
        for number, name in ((1, "stdout"), (2, "stderr")):
            self._readers.append((number, *await _reader(paths[name])))
        holder = os.open(paths["stdin"], os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            await self._run(paths, process)
            self._stdin = await _writer(paths["stdin"])
        finally:
            os.close(holder)

    async def _run(self, paths: dict[str, Path], process: dict[str, Any]) -> None:
        request = tasks_pb2.ExecProcessRequest(
            **self._ids,
            stdin=str(paths["stdin"]),
            stdout=str(paths["stdout"]),
            stderr=str(paths["stderr"]),
            spec=AnyMessage(type_url=PROCESS_URL, value=msgspec.json.encode(process)),
        )
        try:
            await self._tasks.Exec(request, metadata=self._metadata)
            self._ended = asyncio.ensure_future(
                self._tasks.Wait(tasks_pb2.WaitRequest(**self._ids), metadata=self._metadata)
            )
            self._pid = (await self._tasks.Start(tasks_pb2.StartRequest(**self._ids), metadata=self._metadata)).pid
        except grpc.aio.AioRpcError as error:
            raise _exec_error(error, process["args"][0]) from error

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
        # The shim holds a writing end of its own, which only this closes.
        with tolerated(*_GONE, grpc.StatusCode.UNKNOWN):
            await self._tasks.CloseIO(tasks_pb2.CloseIORequest(**self._ids, stdin=True), metadata=self._metadata)

    def _close_stdin(self) -> None:
        if self._stdin is not None:
            self._stdin.close()
            self._stdin = None

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """See the protocol."""
        assert self._ended is not None
        pending: dict[asyncio.Future[bytes], tuple[int, asyncio.StreamReader]] = {
            asyncio.ensure_future(reader.read(READ_BYTES)): (number, reader) for number, reader, _ in self._readers
        }
        try:
            while pending:
                done = await self._some(pending)
                if not done:
                    return
                for read in done:
                    number, reader = pending.pop(read)
                    data = read.result()
                    if data:
                        yield number, data
                        pending[asyncio.ensure_future(reader.read(READ_BYTES))] = (number, reader)
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
        """See the protocol."""
        assert self._ended is not None
        with tolerated():
            return int((await self._ended).exit_status)
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """See the protocol. Its whole session goes: children that it left behind too."""
        self._close_stdin()
        for _, _, transport in self._readers:
            transport.close()
        self._readers.clear()
        try:
            await self._end()
        finally:
            if self._ended is not None and not self._ended.done():
                self._ended.cancel()
            shutil.rmtree(self._directory, ignore_errors=True)

    async def _end(self) -> None:
        pid = self._pid or await self._found_pid()
        with tolerated(*_GONE, grpc.StatusCode.UNKNOWN):
            await self._tasks.Kill(tasks_pb2.KillRequest(**self._ids, signal=signal.SIGKILL), metadata=self._metadata)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(5):
                    await self._tasks.Wait(tasks_pb2.WaitRequest(**self._ids), metadata=self._metadata)
        with tolerated(*_GONE, grpc.StatusCode.UNKNOWN):
            await self._tasks.DeleteProcess(tasks_pb2.DeleteProcessRequest(**self._ids), metadata=self._metadata)
        if pid:
            await asyncio.to_thread(end_session, pid)

    async def _found_pid(self) -> int:
        try:
            answer = await self._tasks.Get(tasks_pb2.GetRequest(**self._ids), metadata=self._metadata)
        except grpc.aio.AioRpcError:
            return 0
        return int(answer.process.pid)


def end_session(leader: int) -> None:
    """Kill every process of the session that `leader` began: runc makes each exec one. Looks until none is left."""
    for _ in range(100):
        members = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _session_of(entry) == leader]
        if not members:
            return
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _session_of(pid: str) -> int:
    try:
        stat = Path("/proc", pid, "stat").read_bytes()
    except OSError:
        return 0
    fields = stat[stat.rindex(b")") + 2 :].split()
    # Fields behind the name: state, parent, group, session. A zombie waits for its parent, not for us.
    return 0 if fields[0] == b"Z" else int(fields[3])


async def _reader(path: Path) -> tuple[asyncio.StreamReader, asyncio.BaseTransport]:
    reader = asyncio.StreamReader(limit=READ_BYTES)
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb", buffering=0)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), file
    )
    return reader, transport


async def _writer(path: Path) -> asyncio.StreamWriter:
    file = os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC), "wb", buffering=0)
    loop = asyncio.get_running_loop()
    # The protocol's reader stays empty; with it the protocol can tell when the transport has closed.
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), file
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)


def _exec_error(error: grpc.aio.AioRpcError, command: str) -> DriverError:
    details = error.details() or ""
    if "executable file not found" in details or "no such file or directory" in details:
        return EntrypointMissing(f"the command `{command}` does not exist in the container")
    if "permission denied" in details or "is a directory" in details:
        return EntrypointMissing(f"the command `{command}` is not executable in the container")
    if error.code() in _GONE or "not running" in details or "stopped" in details or "not created" in details:
        return NotRunning("the container is not running any more")
    return translated(error)
