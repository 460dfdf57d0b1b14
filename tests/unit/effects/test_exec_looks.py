"""What an exec needs to know of its run is asked for once, however many are looked at in turn; nothing is left of it, and
nobody waits for ever for a shim that is stuck."""

import asyncio
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import grpc
import msgspec
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage

from containerdapi import containers_pb2, task_pb2, tasks_pb2
from effects.containers import containerd_exec, containerd_executor
from effects.containers.containerd_executor import ContainerdExecutor
from effects.errors import StartFailed
from effects.runs.exec_protocol import ExecRequest
from sandbox import sessions

SPEC = AnyMessage(value=msgspec.json.encode({"process": {"args": ["serve"], "cwd": "/", "env": []}}))


class Containerd:
    """Whatever is started has ended at once. `asked` counts the calls."""

    metadata = ()

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.containers = SimpleNamespace(Get=self._container)
        self.tasks = SimpleNamespace(
            Get=self._task, Exec=self._exec, Start=self._start, Wait=self._wait, DeleteProcess=self._delete
        )

    async def _container(self, request: Any, metadata: Any) -> Any:
        self.asked["Get"] += 1
        return containers_pb2.GetContainerResponse(container=containers_pb2.Container(id=request.id, spec=SPEC))

    async def _task(self, request: Any, metadata: Any, timeout: float) -> Any:
        return tasks_pb2.GetResponse(process=task_pb2.Process(pid=0))

    async def _exec(self, request: Any, metadata: Any, timeout: float) -> None:
        self.asked["Exec"] += 1

    async def _start(self, request: Any, metadata: Any, timeout: float) -> Any:
        return tasks_pb2.StartResponse(pid=0)

    async def _wait(self, request: Any, metadata: Any, wait_for_ready: bool = False) -> Any:
        return tasks_pb2.WaitResponse(exit_status=0)

    async def _delete(self, request: Any, metadata: Any, timeout: float) -> None:
        pass


def test_looks_that_go_round_ask_once_for_each_run_and_leave_no_count_behind(tmp_path: Path) -> None:
    rounds, runs = 3, 150

    async def main() -> None:
        made = Containerd()
        bundles = SimpleNamespace(read=lambda cid: None)
        executor = ContainerdExecutor(cast(Any, made), tmp_path, cast(Any, bundles))
        for _ in range(rounds):
            for uid in range(runs):
                request = ExecRequest(f"web-{uid}", uid, 1, ("true",), stdin=False)
                session = await executor.open(request)
                assert await session.wait() == 0
                await session.close()
        assert made.asked == {"Get": runs, "Exec": rounds * runs}
        assert not executor._starting

    asyncio.run(asyncio.wait_for(main(), 60))


OURS = (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
ITS = (grpc.StatusCode.UNKNOWN, "context deadline exceeded: unknown")
ENDED = (
    grpc.StatusCode.UNKNOWN,
    "OCI runtime exec failed: runc did not terminate successfully: signal: killed: unknown",
)


class Stuck(Containerd):
    """Its shim gives no answer, from the start of an exec on: each question ends with its deadline, which is ours, or
    `said` by containerd, which has the same."""

    def __init__(self, said: tuple[grpc.StatusCode, str] = OURS) -> None:
        super().__init__()
        self._said = said
        for name in ("Start", "DeleteProcess"):
            setattr(self.tasks, name, self._late)

    async def _late(self, request: Any, metadata: Any, timeout: float) -> Any:
        await asyncio.sleep(timeout)
        code, details = self._said if timeout == containerd_exec.START_S else OURS
        raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), details, None)

    async def _task(self, request: Any, metadata: Any, timeout: float) -> Any:
        if request.exec_id:
            return await self._late(request, metadata, timeout)
        return tasks_pb2.GetResponse(process=task_pb2.Process(pid=4711))

    async def _wait(self, request: Any, metadata: Any, wait_for_ready: bool = False) -> Any:
        await asyncio.Event().wait()


REQUEST = ExecRequest("web", 7, 1, ("true",), stdin=False)


def opening(made: Containerd, directory: Path) -> ContainerdExecutor:
    bundles = SimpleNamespace(read=lambda cid: None)
    return ContainerdExecutor(cast(Any, made), directory, cast(Any, bundles))


@pytest.mark.parametrize("said", [OURS, ITS, ENDED], ids=["our deadline", "its deadline", "a runtime that was ended"])
@pytest.mark.parametrize("leaves", [False, True], ids=["waited for", "called off"])
def test_a_start_that_hangs_ends_at_its_deadline_and_what_may_have_come_of_it_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves: bool, said: tuple[grpc.StatusCode, str]
) -> None:
    monkeypatch.setattr(containerd_exec, "START_S", 0.2)
    monkeypatch.setattr(containerd_exec, "SHIM_S", 0.1)
    looked: list[int] = []

    def nobody(first: int, known: frozenset[int]) -> tuple[int, ...]:
        looked.append(first)
        return ()

    monkeypatch.setattr(containerd_executor, "strays", nobody)

    async def main() -> None:
        executor = opening(Stuck(said), tmp_path)
        asking = asyncio.ensure_future(executor.open(REQUEST))
        await asyncio.sleep(0.1)
        if leaves:
            asking.cancel()
        with pytest.raises(StartFailed, match="gives no answer in time"):
            await asking
        assert looked == [4711] * containerd_executor.LOOKS and not executor._starting

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_stray_that_does_not_die_is_told_of_and_no_longer_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containerd_exec, "START_S", 0.01)
    monkeypatch.setattr(containerd_exec, "SHIM_S", 0.01)
    monkeypatch.setattr(containerd_executor, "LOOK_S", 0.001)
    monkeypatch.setattr(containerd_executor, "strays", lambda first, known: (4712,))
    monkeypatch.setattr(sessions, "kill", lambda leader, reaped: None)

    async def main() -> None:
        executor = opening(Stuck(), tmp_path)
        with pytest.raises(StartFailed):
            await executor.open(REQUEST)
        with pytest.raises(StartFailed, match=r"\(4712\) does not end although it was killed"):
            await executor._search("web.7.1", 4711)
        assert not executor._searched

    asyncio.run(asyncio.wait_for(main(), 30))
