"""What an exec needs to know of its run is asked for once, however many are looked at in turn; nothing is left of it."""

import asyncio
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
from google.protobuf.any_pb2 import Any as AnyMessage

from containerdapi import containers_pb2, task_pb2, tasks_pb2
from effects.containers.containerd_executor import ContainerdExecutor
from effects.runs.exec_protocol import ExecRequest

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
