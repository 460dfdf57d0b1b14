"""Waiting for workloads, woken by the machine's own watch; never polling.

That a process runs says little while it may still fail at its first step, and whether the watch shows it between its
start and its end is chance. So a run counts once it has lived for LASTS_S, or once its check says that it is well; what
ended before decides by how it ended.
"""

import time
from collections.abc import Iterator
from enum import StrEnum
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

import grpc

from capsule.v1 import machine_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.connection import UNARY_S, Connection, failure_of, failures, metadata
from capsulectl.endings import WAITED, told
from capsulectl.errors import FAILED, TIMED_OUT, USAGE, Failure
from capsulectl.quantities import seconds_text

LASTS_S: Final = 1.0
"""What has run for so long has begun."""


class Goal(StrEnum):
    """What to wait for."""

    RUNNING = "running"
    HEALTHY = "healthy"
    STOPPED = "stopped"
    COMPLETED = "completed"
    FAILED = "failed"
    SETTLED = "settled"
    GONE = "gone"


def wait_for(connection: Connection, goals: dict[str, Goal], timeout: float, lasts_s: float = LASTS_S) -> None:
    """Return once every workload is where it should be; a timeout of 0 looks once. What runs counts once it has run for
    `lasts_s` seconds. Raises Failure at the first that can no longer come there."""
    if timeout < 0:
        raise Failure("--timeout is a number of seconds; 0 looks once", USAGE)
    if not goals:
        return  # a watch over no names is one over all
    waiting = _Waiting(goals, lasts_s)
    request = machine_pb2.WatchRequest(names=list(goals))
    with told(WAITED), failures(connection.address, changes=False):
        stream = connection.machine.Watch(request, timeout=timeout or UNARY_S, metadata=metadata())
        try:
            for item in _items(stream, waiting):
                if item is not None:
                    waiting.note(item)
                if waiting.is_over():
                    return
                if item is not None and item.synced and not timeout:
                    raise Failure(f"not yet: {waiting.states()}", TIMED_OUT)
            raise Failure(f"the capsule tells no more, and {waiting.states()}")
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
            if not waiting.synced:
                raise Failure(
                    failure_of(error, connection.address, changes=False).message, TIMED_OUT if timeout else FAILED
                ) from error
            told_of = f"{waiting.states()}{waiting.next()}"
            raise Failure(f"waited {seconds_text(timeout)} in vain: {told_of}", TIMED_OUT) from error
        finally:
            stream.cancel()


def _items(stream: Any, waiting: "_Waiting") -> Iterator[Any]:
    """What the watch tells, as it comes; None when what runs has run for long enough since. Raises what ended it."""
    came: SimpleQueue[Any] = SimpleQueue()

    def read() -> None:
        try:
            for item in stream:
                came.put(item)
            came.put(None)
        except Exception as error:
            came.put(error)

    # A stream can only be waited for without an end; a queue until a moment.
    Thread(target=read, daemon=True).start()
    while True:
        try:
            found = came.get(timeout=waiting.left_s())
        except Empty:
            yield None
            continue
        if isinstance(found, Exception):
            raise found
        if found is None:
            return
        yield found


class _Waiting:
    """Who is waited for, and what was seen of them."""

    def __init__(self, goals: dict[str, Goal], lasts_s: float) -> None:
        self._goals = goals
        self._lasts_s = lasts_s
        self._left = dict(goals)
        self._seen: dict[str, str] = {}
        self._young: dict[str, float] = {}
        self.synced = False
        """Whether all that is there was told: until then nobody knows of the others."""

    def is_over(self) -> bool:
        """Whether nobody is left, once those are taken off whose run has lasted by now."""
        now = time.monotonic()
        for name in [name for name, lasted in self._young.items() if lasted <= now]:
            del self._young[name]
            self._left.pop(name, None)
        return not self._left

    def left_s(self) -> float | None:
        """How long until the next run has lasted, if nothing comes in between."""
        return max(min(self._young.values()) - time.monotonic(), 0) if self._young else None

    def states(self) -> str:
        """What those that are left are instead."""
        return ", ".join(f"{name} is {self._state(name)}" for name in self._left)

    def _state(self, name: str) -> str:
        state = self._seen.get(name, "not there" if self.synced else "not told of yet")
        return f"{state}, for less than {seconds_text(self._lasts_s)}" if name in self._young else state

    def next(self) -> str:
        """Who tells more: of several one after the other."""
        there = [name for name in self._left if name in self._seen]
        return f"; `capsulectl why {there[0] if len(there) == 1 else 'NAME'}` tells why" if there else ""

    def note(self, item: Any) -> None:
        """What the watch tells. Raises Failure for what can no longer come there."""
        if item.synced:
            self.synced = True
            for name in [name for name in self._left if name not in self._seen]:
                if self._left[name] is not Goal.GONE:
                    raise Failure(f"there is no workload {name}: `capsulectl list` shows those there are")
                del self._left[name]
            return
        name = item.workload.name
        self._young.pop(name, None)
        if item.removed:
            if self._goals[name] is not Goal.GONE:
                raise Failure(f"{name} was deleted meanwhile")
            self._left.pop(name, None)
            return
        if name in self._left:
            self._note(name, item, self._left[name])

    def _note(self, name: str, item: Any, goal: Goal) -> None:
        status = item.workload.status
        self._seen[name] = status.phase_detail + (f" ({status.message})" if status.message else "")
        if _reached(item.workload, goal):
            del self._left[name]
        elif _runs(status, goal):
            self._young[name] = time.monotonic() + self._lasts_s - item.lived_ms / 1000
        elif why := _hopeless(item.workload, goal):
            raise Failure(f"{name} {why}: `capsulectl why {name}` tells why, and what to try")


def _reached(workload: Any, goal: Goal) -> bool:
    """Whether it is so already; what only runs, however long, is told by `_runs`."""
    status = workload.status
    match goal:
        case Goal.RUNNING | Goal.HEALTHY:
            return status.phase_detail in ("healthy", "completed") or _ended_well(workload)
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


def _runs(status: Any, goal: Goal) -> bool:
    """Whether it is so once that has lasted: the process lives, and no check is waited for."""
    if goal is Goal.RUNNING:
        return bool(status.phase == pb.WORKLOAD_PHASE_RUNNING)
    return goal is Goal.HEALTHY and status.phase_detail == "running"


def _ended_well(workload: Any) -> bool:
    """Whether its run ended by itself with code 0, and its policy alone lets another follow. Where there is a check,
    such an end may be that of a run that was ended because it was ill."""
    status = workload.status
    checked = workload.container.HasField("health") or workload.micro_vm.HasField("health")
    if checked or status.phase_detail not in ("restarting", "backoff", "crash-loop"):
        return False
    return bool(status.HasField("exit_code")) and status.exit_code == 0


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
