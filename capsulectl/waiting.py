"""Waiting for workloads, woken by the machine's own watch; never polling."""

from enum import StrEnum
from typing import Any

import grpc

from capsule.v1 import machine_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.connection import Connection, failures, metadata
from capsulectl.errors import TIMED_OUT, Failure


class Goal(StrEnum):
    """What to wait for."""

    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


def wait_for(connection: Connection, goals: dict[str, Goal], timeout: float) -> None:
    """Return once every workload is where it should be. Raises Failure at the first that has failed for good."""
    left = dict(goals)
    seen: dict[str, str] = {}
    request = machine_pb2.WatchRequest(names=list(goals))
    with failures(connection.address):
        stream = connection.machine.Watch(request, timeout=timeout, metadata=metadata())
        try:
            for item in stream:
                _note(item, goals, left, seen)
                if not left:
                    return
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            states = ", ".join(f"{name} is {seen.get(name, 'not there')}" for name in left)
            raise Failure(f"waited {timeout:g} s in vain: {states}", TIMED_OUT) from error
        finally:
            stream.cancel()


def _note(item: Any, goals: dict[str, Goal], left: dict[str, Goal], seen: dict[str, str]) -> None:
    if item.synced:
        for name in [name for name in left if name not in seen]:
            if left[name] is Goal.GONE:
                del left[name]
            else:
                raise Failure(f"there is no workload {name}")
        return
    name = item.workload.name
    if item.removed:
        if goals[name] is not Goal.GONE:
            raise Failure(f"{name} was deleted meanwhile")
        left.pop(name, None)
        return
    status = item.workload.status
    seen[name] = status.phase_detail + (f" ({status.message})" if status.message else "")
    if _reached(item.workload, goals[name]):
        left.pop(name, None)
    elif status.phase == pb.WORKLOAD_PHASE_FAILED and goals[name] is Goal.RUNNING:
        raise Failure(f"{name} has failed: {status.message}")


def _reached(workload: Any, goal: Goal) -> bool:
    phase = workload.status.phase
    if goal is Goal.RUNNING:
        return bool(phase == pb.WORKLOAD_PHASE_RUNNING) or workload.status.phase_detail == "completed"
    return goal is Goal.STOPPED and phase in (pb.WORKLOAD_PHASE_STOPPED, pb.WORKLOAD_PHASE_FAILED)
