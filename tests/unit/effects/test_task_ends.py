"""What the driver makes of a task that containerd calls stopped, by whether its shim has seen an end."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from containerdapi import containers_pb2, task_pb2, tasks_pb2
from effects.runs import names
from effects.runs.protocol import RunSpec
from projections.observations import ObservedRun
from tests.support.scripted_containerd import driver_on

RUN = RunSpec("web", 7, 7, 1, "sha256:" + "1" * 64)
CID = names.container_id(RUN.name, RUN.uid, RUN.run)
ZERO = Timestamp(seconds=-62_135_596_800)
"""The beginning of the year 1: what a time is in Go that was never set."""


def observed(directory: Path, process: Any) -> ObservedRun:
    """What the driver sees where containerd answers with this process."""

    async def containers(request: Any, metadata: Any) -> Any:
        return containers_pb2.ListContainersResponse(
            containers=[containers_pb2.Container(id=CID, labels=names.labels_of(RUN))]
        )

    async def tasks(request: Any, metadata: Any) -> Any:
        return tasks_pb2.ListTasksResponse(tasks=[process])

    driver = driver_on(directory, SimpleNamespace(List=containers), SimpleNamespace(List=tasks))
    (seen,) = asyncio.run(driver.observe())
    return seen


@pytest.mark.parametrize("runc_knows_it", [True, False])
def test_a_task_whose_end_nobody_saw_has_not_exited(tmp_path: Path, runc_knows_it: bool) -> None:
    if runc_knows_it:
        (tmp_path / "runc" / "capsule" / CID).mkdir(parents=True)
    seen = observed(tmp_path, task_pb2.Process(id=CID, status=task_pb2.STOPPED, pid=9, exited_at=ZERO))
    assert seen.status == ("running" if runc_knows_it else "created")
    assert (seen.exit_code, seen.exited_at_ns) == (None, 0)


def test_a_task_that_has_ended_says_when_and_how(tmp_path: Path) -> None:
    ended = task_pb2.Process(id=CID, status=task_pb2.STOPPED, exit_status=3, exited_at=Timestamp(seconds=1_700_000_000))
    seen = observed(tmp_path, ended)
    assert (seen.status, seen.exit_code, seen.exited_at_ns) == ("stopped", 3, 1_700_000_000 * 10**9)
