"""Starts that a path of the machine holds up: whoever waits for one of the few places has it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from msgspec.structs import replace

from capsuled.secrets import Unsealer
from containerdapi import tasks_pb2
from effects.actions import STARTS_AT_ONCE, Actions
from effects.containers.containerd_driver import CREATE_S, ContainerdDriver
from effects.containers.ending import SHIM_S
from effects.errors import HostPathMissing, StartFailed
from effects.goals import Effect, StartRun, StopRun
from effects.host_paths import HostPaths
from effects.secrets.twin import Shelf, TwinSecretFiles
from tests.support.scripted_containerd import driver_on
from tests.support.story import Story, spec
from tests.support.vault import OpenVault


def failing(code: grpc.StatusCode, asked: list[Any] | None = None) -> Callable[..., Awaitable[Any]]:
    """A call of containerd's that fails so; `asked` is told how long each was given."""

    async def call(request: Any, metadata: Any, timeout: float | None = None) -> Any:
        if asked is not None:
            asked.append(timeout)
        raise grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(), "", None)

    return call


def driver(directory: Path, paths: HostPaths | None = None, **tasks: Any) -> ContainerdDriver:
    """On a containerd that knows nothing."""

    async def none(request: Any, metadata: Any) -> Any:
        return tasks_pb2.ListTasksResponse()

    gone = failing(grpc.StatusCode.NOT_FOUND)
    containers = SimpleNamespace(Get=gone, Delete=gone)
    return driver_on(
        directory, containers, SimpleNamespace(**{"Get": gone, "List": none, "Delete": gone, **tasks}), paths
    )


async def _no_step(point: str) -> None:
    pass


def test_as_many_starts_as_there_are_places_hang_and_a_stop_beside_them_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effects.host_paths.PATIENCE_S", 0.01)
    back, looks = threading.Event(), list[str]()

    def mode_of(path: str) -> int:
        looks.append(path)
        assert back.wait(60), "the event loop waits for it"
        return 0

    async def inside() -> None:
        runs: Any = {"container": driver(tmp_path, HostPaths(mode_of))}
        nobody: Any = None
        network: Any = SimpleNamespace(namespace=lambda name, uid: "", nameserver="")
        secrets = TwinSecretFiles(Shelf(), _no_step)
        recorder: Any = SimpleNamespace(machine=Story().machine)
        unsealer = Unsealer(OpenVault())
        actions = Actions(recorder, runs, network, nobody, secrets, nobody, unsealer, nobody)

        async def lane(goal: Effect) -> object:
            async with actions.guard(goal):
                return await actions.reach(goal, 1)

        bound = replace(spec(), host_bind_paths=("/mnt/away",))
        for _ in range(2):
            starts = [
                asyncio.ensure_future(lane(StartRun(f"web-{number}", 1, 1, 1, bound)))
                for number in range(STARTS_AT_ONCE)
            ]
            assert await lane(StopRun("db", 1, 1, 0)) == ()
            ends = await asyncio.gather(*starts, return_exceptions=True)
            assert [type(end) for end in ends] == [HostPathMissing] * STARTS_AT_ONCE
        assert looks == ["/mnt/away"]
        back.set()

    asyncio.run(inside())


def test_a_task_that_is_not_made_in_its_time_is_given_up_and_swept(tmp_path: Path) -> None:
    late, made, swept = grpc.StatusCode.DEADLINE_EXCEEDED, list[Any](), list[Any]()
    one = driver(tmp_path, Create=failing(late, made), Delete=failing(late, swept))
    request = tasks_pb2.CreateTaskRequest(container_id="web.1.1")
    with pytest.raises(StartFailed, match="the runtime gives no answer in time"):
        asyncio.run(one._create_task(request, {}))
    assert (made, swept) == ([CREATE_S], [SHIM_S])
