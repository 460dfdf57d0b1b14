"""One further process inside a running container, through containerd: FIFOs for its streams, and nothing left behind.

containerd itself may die and come back under an open session: the streams do not lead through it, and its end is asked
for again.
"""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import grpc
import msgspec
from google.protobuf.any_pb2 import Any as AnyMessage

from containerdapi import task_pb2, tasks_pb2
from effects.alive import send
from effects.containerd.connection import Connection, is_late, tolerated, translated
from effects.containerd.letting_go import let_go
from effects.containers.pipes import READ_BYTES, Pipe, reading, writing
from effects.errors import (
    BadWorkingDir,
    DriverError,
    EntrypointMissing,
    NotExecutable,
    NotRunning,
    RuntimeUnavailable,
    StartFailed,
)
from effects.runs.exec_protocol import ExecRequest, Window
from sandbox import sessions

log = logging.getLogger(__name__)

PROCESS_URL = "types.containerd.io/opencontainers/runtime-spec/1/Process"
FLUSH_S = 0.5
"""How long after the process's end its outputs may be open and quiet: a child that inherited them would hold them for
ever."""

LINGER_S = 3.0
"""How long after its end they are read in all: such a child may write for ever, too."""

ON_THE_WAY_BYTES = 2 << 20
"""More than is on its way of one output at that moment: what a pipe holds, the shim and we."""

HANGUP_S = 1.0
"""How long a process that was hung up on has to put its things in order."""

AGAIN_S = 0.1
START_S = 30.0
"""For a process to be made, and to be started, beside others on a slow machine. A deadline is all that ends a start
whose working directory's server went away: containerd hands it on to the shim, and no cancellation."""
SHIM_S = 10.0
"""For a shim to answer anything else. One that is stuck answers nothing."""
KILL_WAIT_S = 5.0
END_TRIES = 20

_Reads = dict[asyncio.Future[bytes], int]
"""What is being read, by the output's number."""

_GONE = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
_CUT = "runc did not terminate successfully: signal"


class ContainerdExec:
    """See the protocol. `pid` is the process's own, while there is one and it is known; `unheard`: it was to be
    started, and nobody heard what came of that."""

    def __init__(self, connection: Connection, cid: str, exec_id: str, directory: Path) -> None:
        self._tasks = connection.tasks
        self._metadata = connection.metadata
        self._ids: dict[str, Any] = {"container_id": cid, "exec_id": exec_id}
        self._directory = directory
        self._stdin: asyncio.StreamWriter | None = None
        self._pipes: dict[int, Pipe] = {}
        self._ended: asyncio.Future[int] | None = None
        self._tty = False
        self._first: int | None = None
        self.pid = 0
        self.unheard = False

    async def start(self, request: ExecRequest, process: dict[str, Any]) -> None:
        """Make the FIFOs, open our ends (a FIFO without a peer would block the shim), and start."""
        self._tty = request.tty
        self._directory.mkdir(parents=True, mode=0o700)
        stdin = self._directory / "stdin" if request.stdin else None
        outputs = {1: self._directory / "stdout"}
        if not request.tty:
            outputs[2] = self._directory / "stderr"
        for path in filter(None, (stdin, *outputs.values())):
            os.mkfifo(path, 0o600)
        for number, path in outputs.items():
            self._pipes[number] = await reading(path)
        if stdin is None:
            await self._run("", outputs, process)
            return
        holder = os.open(stdin, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            await self._run(str(stdin), outputs, process)
            self._stdin = await writing(stdin)
        finally:
            os.close(holder)

    async def _run(self, stdin: str, outputs: dict[int, Path], process: dict[str, Any]) -> None:
        request = tasks_pb2.ExecProcessRequest(
            **self._ids,
            stdin=stdin,
            stdout=str(outputs[1]),
            stderr=str(outputs.get(2, "")),
            terminal=self._tty,
            spec=AnyMessage(type_url=PROCESS_URL, value=msgspec.json.encode(process)),
        )
        try:
            await self._tasks.Exec(request, metadata=self._metadata, timeout=START_S)
            self._ended = asyncio.ensure_future(self._exit())
            await self._started()
        except grpc.aio.AioRpcError as error:
            raise _exec_error(error, process) from error

    async def _started(self) -> None:
        """Once begun, a start is seen through, up to its deadline: what was started and has no known process id could
        not be ended."""
        request = tasks_pb2.StartRequest(**self._ids)
        starting = asyncio.ensure_future(self._tasks.Start(request, metadata=self._metadata, timeout=START_S))
        self.unheard = True
        try:
            await asyncio.shield(starting)
        finally:
            await asyncio.wait((starting,))
            error = starting.exception()
            self.unheard = isinstance(error, grpc.aio.AioRpcError) and _is_no_answer(error)
            if error is None:
                self.pid = starting.result().pid
                with contextlib.suppress(OSError):
                    self._first = os.pidfd_open(self.pid)

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
        assert self._ended is not None
        pending: _Reads = {asyncio.ensure_future(pipe.read()): number for number, pipe in self._pipes.items()}
        try:
            while pending and not self._ended.done():
                news: set[asyncio.Future[Any]] = {*pending, self._ended}
                await asyncio.wait(news, return_when=asyncio.FIRST_COMPLETED)
                for number, data in self._done(pending):
                    yield number, data
            for number, rest in (await self._rest(pending)).items():
                for start in range(0, len(rest), READ_BYTES):
                    yield number, rest[start : start + READ_BYTES]
        finally:
            for read in pending:
                read.cancel()

    def _done(self, pending: _Reads) -> list[tuple[int, bytes]]:
        """What was read, and is read on from; an output that is at its end is not pending any more."""
        found = [(pending.pop(read), read.result()) for read in tuple(pending) if read.done()]
        found = [(number, data) for number, data in found if data]
        pending.update((asyncio.ensure_future(self._pipes[number].read()), number) for number, _ in found)
        return found

    async def _rest(self, pending: _Reads) -> dict[int, bytes]:
        """What is on its way at the process's end, and what its children write for a moment. It is taken before
        anybody gets any of it: a client that takes its time would have them go on for as long."""
        rest: dict[int, list[bytes]] = {number: [] for number in self._pipes}
        room = dict.fromkeys(self._pipes, ON_THE_WAY_BYTES)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while awaited := [read for read, number in pending.items() if room[number] > 0]:
                    done, _ = await asyncio.wait(awaited, timeout=FLUSH_S, return_when=asyncio.FIRST_COMPLETED)
                    if not done:
                        break
                    for number, data in self._done(pending):
                        rest[number].append(data)
                        room[number] -= len(data)
        return {number: b"".join(pieces) for number, pieces in rest.items()}

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
        if self.pid and ended is not None and not ended.done():
            self._hang_up()
            await asyncio.wait((ended,), timeout=HANGUP_S)
        if self.pid:
            await self._end(self.pid, self._reaped())
        else:
            await self._end(*await self._found())

    async def sweep(self) -> None:
        """End what an earlier life of the daemon opened."""
        await self._end(*await self._found())

    def _hang_up(self) -> None:
        if self._first is not None:
            send(self._first, signal.SIGHUP)

    def _reaped(self) -> bool:
        """Whether its first process has been: from then on its number may be a stranger's. What containerd says is late
        where that was away, so the kernel is asked, unless it was over before it could be held."""
        if self._first is None:
            ended = self._ended
            return ended is not None and ended.done() and not ended.cancelled() and ended.exception() is None
        try:
            signal.pidfd_send_signal(self._first, 0)
        except ProcessLookupError:
            return True
        return False

    async def _end(self, pid: int, reaped: bool) -> None:
        """Kill and forget. With containerd away the processes end all the same; its record is left to the sweep."""
        self._close_stdin()
        for pipe in self._pipes.values():
            pipe.close()
        self._pipes.clear()
        try:
            for _ in range(END_TRIES):
                if pid:
                    await self._killed(pid, reaped)
                if await self._forgotten():
                    break
                # It came to life while it was being ended: its start was under way, and nobody waited for it any more.
                await asyncio.sleep(AGAIN_S)
                pid, reaped = await self._found()
            else:
                raise StartFailed(f"a process of exec ({pid}) does not end although it was killed")
        finally:
            if self._ended is not None:
                let_go(self._ended)
                await asyncio.wait((self._ended,))
            if self._first is not None:
                os.close(self._first)
                self._first = None
        self.pid = 0
        shutil.rmtree(self._directory, ignore_errors=True)

    async def _killed(self, pid: int, reaped: bool) -> None:
        await asyncio.to_thread(sessions.kill, pid, reaped)
        if self._ended is None or not self._ended.done():
            with contextlib.suppress(TimeoutError), tolerated(*_GONE, grpc.StatusCode.UNKNOWN):
                async with asyncio.timeout(KILL_WAIT_S):
                    await self._tasks.Wait(tasks_pb2.WaitRequest(**self._ids), metadata=self._metadata)

    async def _forgotten(self) -> bool:
        """Whether containerd holds nothing of it any more. It will not forget what still runs."""
        try:
            request = tasks_pb2.DeleteProcessRequest(**self._ids)
            await self._tasks.DeleteProcess(request, metadata=self._metadata, timeout=SHIM_S)
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.NOT_FOUND:
                return True
            if error.code() in (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNKNOWN) and not is_late(error):
                return False
            raise translated(error) from error
        return True

    async def _found(self) -> tuple[int, bool]:
        """The number of its process, 0 where there is none, and whether that has ended, as containerd has it."""
        try:
            request = tasks_pb2.GetRequest(**self._ids)
            answer = await self._tasks.Get(request, metadata=self._metadata, timeout=SHIM_S)
        except grpc.aio.AioRpcError:
            return 0, False
        # It is called stopped, too, where its shim has gone without having seen an end.
        ended = answer.process.status == task_pb2.STOPPED and answer.process.exited_at.seconds > 0
        return int(answer.process.pid), ended


def _is_no_answer(error: grpc.aio.AioRpcError) -> bool:
    """Whether nothing was said of the matter: the shim may have seen it through all the same, or have ended the runtime
    at the deadline, and what that had begun is there."""
    cut = _CUT in (error.details() or "")
    return cut or is_late(error) or isinstance(translated(error), RuntimeUnavailable)


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
    if isinstance(failure, StartFailed) and not is_late(error):
        return StartFailed(
            f"the runtime could not start `{command}`: {details.rpartition('exec failed: ')[2] or details}"
        )
    return failure
