"""When waiting is over: by what the machine tells of a run, and by how long that has run, never by chance."""

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from capsule.v1 import machine_pb2
from capsule.v1 import workload_pb2 as pb
from capsulectl.errors import TIMED_OUT, Failure
from capsulectl.waiting import Goal, wait_for

LASTS_S = 0.2
DIED: dict[str, Any] = {"phase": pb.WORKLOAD_PHASE_FAILED, "phase_detail": "failed", "exit_code": 3}
RUNS: dict[str, Any] = {"phase": pb.WORKLOAD_PHASE_RUNNING, "phase_detail": "running"}
PAUSES: dict[str, Any] = {"phase": pb.WORKLOAD_PHASE_PENDING, "phase_detail": "backoff"}
SYNCED = machine_pb2.WatchItem(synced=True)


class Over(grpc.RpcError):
    """The deadline's end."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        return "Deadline Exceeded"

    def trailing_metadata(self) -> Any:
        return ()


class Watched:
    """A machine whose watch tells these items, and then nothing until its deadline."""

    def __init__(self, *items: machine_pb2.WatchItem) -> None:
        self.address = "unix:/nowhere"
        self.machine = SimpleNamespace(Watch=self._watch)
        self._items = items
        self._cancelled = threading.Event()

    def _watch(self, request: Any, timeout: float, metadata: Any) -> Any:
        outer = self

        class Stream:
            def __iter__(self) -> Iterator[machine_pb2.WatchItem]:
                yield from outer._items
                outer._cancelled.wait(timeout)
                raise Over

            def cancel(self) -> None:
                outer._cancelled.set()

        return Stream()


def told(lived_ms: int = 0, checked: bool = False, **status: Any) -> machine_pb2.WatchItem:
    health = pb.HealthCheck() if checked else None
    workload = pb.Workload(name="web", container=pb.ContainerSpec(health=health), status=pb.WorkloadStatus(**status))
    return machine_pb2.WatchItem(workload=workload, lived_ms=lived_ms)


def waited(*items: machine_pb2.WatchItem, goal: Goal = Goal.HEALTHY, timeout: float = 0.6) -> str:
    """What came of it: nothing, when all went well."""
    try:
        wait_for(Watched(*items), {"web": goal}, timeout, LASTS_S)  # type: ignore[arg-type]
    except Failure as failure:
        return f"{failure.code}: {failure.message}"
    return ""


@pytest.fixture(params=[Goal.RUNNING, Goal.HEALTHY])
def for_goal(request: pytest.FixtureRequest) -> Callable[..., str]:
    return lambda *items, **more: waited(*items, goal=request.param, **more)


def test_what_dies_at_once_has_failed_whether_it_was_seen_running_or_not(for_goal: Callable[..., str]) -> None:
    assert for_goal(told(**RUNS), SYNCED, told(**DIED)).startswith("1: web has failed")
    assert for_goal(told(**DIED), SYNCED).startswith("1: web has failed")


def test_what_dies_again_and_again_is_waited_for_in_vain(for_goal: Callable[..., str]) -> None:
    runs, pauses = told(**RUNS), told(**PAUSES, exit_code=3)
    vain = for_goal(runs, SYNCED, pauses, runs, pauses)
    assert vain.startswith(f"{TIMED_OUT}: waited 0.6 s in vain: web is backoff")


def test_what_goes_on_running_has_begun_once_that_has_lasted(for_goal: Callable[..., str]) -> None:
    assert for_goal(told(**RUNS), SYNCED) == ""
    assert for_goal(told(**RUNS), SYNCED, timeout=LASTS_S / 4) == (
        f"{TIMED_OUT}: waited 0.05 s in vain: web is running, for less than 0.2 s; `capsulectl why web` tells why"
    )


def test_what_has_run_for_long_is_not_waited_for_even_by_who_looks_once(for_goal: Callable[..., str]) -> None:
    assert for_goal(told(lived_ms=60_000, **RUNS), SYNCED, timeout=0) == ""
    young = for_goal(told(lived_ms=1, **RUNS), SYNCED, timeout=0)
    assert young == f"{TIMED_OUT}: not yet: web is running, for less than 0.2 s"


def test_a_check_that_says_it_is_well_need_not_last(for_goal: Callable[..., str]) -> None:
    well = told(checked=True, phase=pb.WORKLOAD_PHASE_RUNNING, phase_detail="healthy")
    assert for_goal(well, SYNCED, timeout=0) == ""


def test_one_that_is_checked_is_healthy_by_its_check_alone() -> None:
    checking = told(60_000, checked=True, phase=pb.WORKLOAD_PHASE_RUNNING, phase_detail="checking")
    assert waited(checking, SYNCED).startswith(f"{TIMED_OUT}: ")


def test_a_run_that_ended_by_itself_with_code_0_is_enough_whatever_follows(for_goal: Callable[..., str]) -> None:
    assert for_goal(told(**PAUSES, exit_code=0), SYNCED, timeout=0) == ""
    assert for_goal(told(**PAUSES), SYNCED, timeout=0).startswith(f"{TIMED_OUT}: "), "it left no code"
    ended_as_ill = told(checked=True, **PAUSES, exit_code=0)
    assert for_goal(ended_as_ill, SYNCED, timeout=0).startswith(f"{TIMED_OUT}: ")


def test_a_capsule_that_does_not_answer_says_nothing_of_what_is_there(for_goal: Callable[..., str]) -> None:
    deaf = f"{TIMED_OUT}: the capsule did not answer in time at unix:/nowhere: it is slow, or hangs"
    assert for_goal(timeout=0.05) == deaf
    assert for_goal(told(**PAUSES), timeout=0.05) == deaf


def test_a_watch_that_ends_by_itself_is_no_success() -> None:
    machine = Watched()
    machine.machine = SimpleNamespace(Watch=lambda *_, **__: Ended())
    with pytest.raises(Failure, match="web is not told of yet"):
        wait_for(machine, {"web": Goal.RUNNING}, 5)  # type: ignore[arg-type]


class Ended:
    """A watch that the machine ended."""

    def __iter__(self) -> Iterator[machine_pb2.WatchItem]:
        return iter(())

    def cancel(self) -> None:
        pass
