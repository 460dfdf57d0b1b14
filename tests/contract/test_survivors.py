"""Processes that the runtime has forgotten while they live: none is told to have ended, and none outlives the removal
of its run, beside which the next one would write into the same volumes."""

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from capsuled.halt import end_survivors
from effects.containers.last_resort import Ends
from effects.runs.protocol import Resync
from projections.observations import ObservedRun
from tests.contract.test_births import CID, read_log, run_suite, serving, shims_of
from tests.support.runtime import Runtime
from tests.support.until import until

pytestmark = pytest.mark.real


async def started(made: Runtime) -> ObservedRun:
    """A run whose program has begun."""
    seen = await made.containers.ensure_running(await serving(made))
    await until(lambda: read_log(made) == "ready\n")
    return seen


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def forgotten(made: Runtime) -> tuple[ObservedRun, Any]:
    """A run whose shim died while runc could not clean up, and what the driver then says of it."""
    seen = await started(made)
    stream = aiter(made.containers.exits())
    assert isinstance(await anext(stream), Resync)
    program = made.paths.memory / "runc"
    program.rename(program.with_suffix(".away"))
    (shim,) = shims_of(made)
    os.kill(shim, signal.SIGKILL)
    told = await anext(stream)
    program.with_suffix(".away").rename(program)
    return seen, told


def test_a_run_that_was_forgotten_while_it_lives_has_not_ended_and_does_not_outlive_its_removal() -> None:
    async def suite(made: Runtime) -> None:
        seen, told = await forgotten(made)
        assert lives(seen.pid), "nobody has ended it, and nobody can but by the cgroup"
        assert isinstance(told, Resync), "nor has it ended"
        await made.containers.remove_run("web", 7, 1)
        assert not lives(seen.pid)
        assert await made.containers.observe() == ()
        again = await made.containers.ensure_running(await serving(made))
        assert lives(again.pid)

    run_suite(suite)


def test_a_start_that_is_repeated_begins_none_beside_the_one_that_was_forgotten() -> None:
    async def suite(made: Runtime) -> None:
        seen, _ = await forgotten(made)
        again = await made.containers.ensure_running(await serving(made))
        assert not lives(seen.pid) and lives(again.pid)

    run_suite(suite)


def test_a_halt_ends_what_the_runtime_has_forgotten() -> None:
    async def suite(made: Runtime) -> None:
        seen, _ = await forgotten(made)
        assert await end_survivors(made.cgroup) == Ends(1)
        assert not lives(seen.pid)
        assert await end_survivors(made.cgroup) == Ends()

    run_suite(suite)


def test_a_run_whose_task_containerd_has_lost_does_not_outlive_its_removal() -> None:
    async def suite(made: Runtime) -> None:
        seen = await started(made)
        bundle = made.paths.state / "io.containerd.runtime.v2.task" / "capsule" / CID
        for name in ("address", "runtime"):
            (bundle / name).unlink()
        os.kill(containerd := made.pid(), signal.SIGKILL)
        await until(lambda: not lives(containerd))
        await made.connection.ready()
        assert [one.status for one in await made.containers.observe()] == ["created"] and lives(seen.pid)
        await made.containers.remove_run("web", 7, 1)
        assert not lives(seen.pid)

    run_suite(suite)


@pytest.mark.parametrize(("grace_ms", "code"), [(10_000, 143), (0, 137)])
def test_a_run_that_runc_has_lost_is_asked_and_ended_all_the_same(grace_ms: int, code: int) -> None:
    async def suite(made: Runtime) -> None:
        seen = await started(made)
        shutil.rmtree(made.run / "runc" / "capsule" / CID)
        stopped = await made.containers.stop("web", 7, 1, grace_ms)
        assert not lives(seen.pid)
        assert stopped is not None and (stopped.status, stopped.exit_code) == ("stopped", code)
        await made.containers.remove_run("web", 7, 1)
        assert await made.containers.observe() == () and shims_of(made) == []

    run_suite(suite)
