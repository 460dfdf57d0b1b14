"""What is killed at the end of a session: all that it left behind, and never whoever has its number by then."""

import asyncio
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from containerdapi import task_pb2, tasks_pb2
from effects.containers.containerd_exec import ContainerdExec
from effects.runs.exec_protocol import ExecRequest
from tests.support.sessions import leading

REQUEST = ExecRequest("web", 7, 1, ("sh",), stdin=False)


@pytest.fixture
def stranger() -> Iterator["subprocess.Popen[bytes]"]:
    with leading("cat; exit 5") as made:
        yield made
        made.kill()


def lives(process: "subprocess.Popen[bytes]") -> bool:
    """It does as it is told, to the end that it was to have."""
    assert process.stdin is not None
    process.stdin.close()
    return process.wait() == 5


class Tasks:
    """containerd, which starts what is there already."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process
        self.found = task_pb2.Process(pid=process.pid, status=task_pb2.RUNNING)

    async def Exec(self, request: Any, metadata: Any, timeout: float) -> None:
        pass

    async def Start(self, request: Any, metadata: Any, timeout: float) -> tasks_pb2.StartResponse:
        return tasks_pb2.StartResponse(pid=self._process.pid)

    async def Wait(self, request: Any, metadata: Any, wait_for_ready: bool = False) -> tasks_pb2.WaitResponse:
        code = await asyncio.to_thread(self._process.wait)
        return tasks_pb2.WaitResponse(exit_status=code & 0xFF)

    async def Get(self, request: Any, metadata: Any, timeout: float) -> tasks_pb2.GetResponse:
        return tasks_pb2.GetResponse(process=self.found)

    async def DeleteProcess(self, request: Any, metadata: Any, timeout: float) -> None:
        pass


def session(tasks: Tasks, directory: Path) -> ContainerdExec:
    connection = SimpleNamespace(tasks=tasks, metadata=())
    return ContainerdExec(cast(Any, connection), "web", "exec-1", directory / "exec")


def run(suite: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(suite(), 30))


@pytest.mark.parametrize("told", [True, False], ids=["its end was told", "containerd is away"])
def test_a_session_that_is_closed_late_leaves_whoever_has_its_number(
    tmp_path: Path, stranger: "subprocess.Popen[bytes]", told: bool
) -> None:
    async def suite() -> None:
        with leading("exit 3") as process:
            tasks = Tasks(process)
            made = session(tasks, tmp_path)
            if not told:
                tasks.Wait = away  # type: ignore[method-assign]
            await made.start(REQUEST, {"args": ["sh"]})
            await asyncio.to_thread(process.wait)
            if told:
                assert await made.wait() == 3
            made.pid = stranger.pid  # numbers have gone round
            await made.close()
        assert lives(stranger)

    run(suite)


async def away(request: Any, metadata: Any, wait_for_ready: bool = False) -> Any:
    if wait_for_ready:
        await asyncio.Event().wait()
    raise grpc.aio.AioRpcError(grpc.StatusCode.NOT_FOUND, grpc.aio.Metadata(), grpc.aio.Metadata(), "no such", None)


def test_what_an_earlier_life_left_is_ended_unless_its_number_is_anothers(
    tmp_path: Path, stranger: "subprocess.Popen[bytes]"
) -> None:
    async def suite() -> None:
        over = Tasks(stranger)
        over.found = task_pb2.Process(pid=stranger.pid, status=task_pb2.STOPPED, exited_at=Timestamp(seconds=9))
        over.Wait = away  # type: ignore[method-assign]
        await session(over, tmp_path).sweep()
        assert lives(stranger)
        with leading("sleep 1000") as left:
            await session(Tasks(left), tmp_path).sweep()
            assert left.wait() == -9

    run(suite)


def test_a_session_that_is_closed_takes_along_what_it_started(tmp_path: Path) -> None:
    async def suite() -> None:
        with leading("sleep 1000 & wait", before="trap '' HUP") as process:
            made = session(Tasks(process), tmp_path)
            await made.start(REQUEST, {"args": ["sh"]})
            await made.close()
            assert process.wait() == -9 and process.stdout is not None and process.stdout.read() == b""

    run(suite)
