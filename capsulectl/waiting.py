"""Waiting for workloads, woken by the machine's own watch; never polling."""

from enum import StrEnum
from typing import Any

import grpc

from capsule.v1 import machine_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.connection import UNARY_S, Connection, failures, metadata
from capsulectl.endings import WAITED, told
from capsulectl.errors import TIMED_OUT, USAGE, Failure
from capsulectl.quantities import seconds_text


class Goal(StrEnum):
    """What to wait for."""

    RUNNING = "running"
    HEALTHY = "healthy"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"
    SETTLED = "settled"
    GONE = "gone"


def wait_for(connection: Connection, goals: dict[str, Goal], timeout: float) -> None:
    """Return once every workload is where it should be; a timeout of 0 looks once. Raises Failure at the first that
    can no longer come there."""
    if timeout < 0:
        raise Failure("--timeout is a number of seconds; 0 looks once", USAGE)
    if not goals:
        return  # a watch over no names is one over all
    left = dict(goals)
    seen: dict[str, str] = {}
    request = machine_pb2.WatchRequest(names=list(goals))
    with told(WAITED), failures(connection.address, changes=False):
        stream = connection.machine.Watch(request, timeout=timeout or UNARY_S, metadata=metadata())
        try:
            for item in stream:
                _note(item, goals, left, seen)
                if not left:
                    return
                if item.synced and not timeout:
                    raise Failure(f"not yet: {_states(left, seen)}", TIMED_OUT)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            told_of = f"{_states(left, seen)}{_next(left, seen)}"
            raise Failure(f"waited {seconds_text(timeout)} in vain: {told_of}", TIMED_OUT) from error
        finally:
            stream.cancel()


def _states(left: dict[str, Goal], seen: dict[str, str]) -> str:
    return ", ".join(f"{name} is {seen.get(name, 'not there')}" for name in left)


def _next(left: dict[str, Goal], seen: dict[str, str]) -> str:
    """Who tells more: of several one after the other."""
    there = [name for name in left if name in seen]
    return f"; `capsulectl why {there[0] if len(there) == 1 else 'NAME'}` tells why" if there else ""


def _note(item: Any, goals: dict[str, Goal], left: dict[str, Goal], seen: dict[str, str]) -> None:
    if item.synced:
        for name in [name for name in left if name not in seen]:
            if left[name] is not Goal.GONE:
                raise Failure(f"there is no workload {name}: `capsulectl list` shows those there are")
            del left[name]
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
    elif why := _hopeless(item.workload, goals[name]):
        raise Failure(f"{name} {why}: `capsulectl why {name}` tells why, and what to try")


def _reached(workload: Any, goal: Goal) -> bool:
    status = workload.status
    match goal:
        case Goal.RUNNING:
            return bool(status.phase == pb.WORKLOAD_PHASE_RUNNING) or status.phase_detail == "completed"
        case Goal.HEALTHY:
            return status.phase_detail in ("running", "healthy", "completed")
        case Goal.STOPPED:
            return status.phase in (pb.WORKLOAD_PHASE_STOPPED, pb.WORKLOAD_PHASE_FAILED)
        case Goal.COMPLETED:
            return bool(status.phase_detail == "completed")
        case Goal.FAILED:
            return bool(status.phase == pb.WORKLOAD_PHASE_FAILED)
        case Goal.SETTLED:
            return any(one.type == "Settled" and one.met for one in status.conditions)
        case Goal.GONE:
            return False


def _hopeless(workload: Any, goal: Goal) -> str:
    """Why it will not come there by itself; empty while it may."""
    status = workload.status
    if goal in (Goal.RUNNING, Goal.HEALTHY, Goal.COMPLETED) and status.phase == pb.WORKLOAD_PHASE_FAILED:
        return f"has failed: {status.message}"
    if goal is Goal.COMPLETED and status.phase_detail == "stopped":
        return "was stopped"
    if goal is Goal.FAILED and status.phase_detail in ("completed", "stopped"):
        return f"has {status.phase_detail}, it has not failed"
    return ""
