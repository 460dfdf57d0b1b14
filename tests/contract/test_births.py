"""Starts that were cut: what the driver of containers makes of a containerd, a shim or a process that died in a birth."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from effects.errors import DriverError
from effects.runs import names
from effects.runs.protocol import Resync, RunDriver, RunSpec
from effects.runs.twin import TwinContainers, World
from projections.observations import ObservedRun
from tests.contract.run_subjects import SERVE, ended
from tests.support.runtime import Runtime, chunks, runtime
from tests.support.until import until
from tools.demo_image import archive

DIGEST = "sha256:" + "1" * 64
CID = names.container_id("web", 7, 1)

Subject = tuple[RunDriver, RunSpec, Callable[[], Awaitable[None]]]
"""A driver, a run that serves, and what kills the run's shim."""


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    world = World({DIGEST})

    async def kill_shim() -> None:
        world.kill_shim(("web", 7, 1))

    async def step(point: str) -> None:
        await asyncio.sleep(0)

    yield TwinContainers(world, step), RunSpec("web", 7, 7, 1, DIGEST, args=("serve",)), kill_shim


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    async with runtime() as made:

        async def kill_shim() -> None:
            (shim,) = shims_of(made)
            os.kill(shim, signal.SIGKILL)

        yield made.containers, await serving(made), kill_shim


async def serving(made: Runtime, *command: str) -> RunSpec:
    (image,) = await made.images.import_archive(chunks(archive("demo:1")))
    return RunSpec("web", 7, 7, 1, image.platform_digest, command=command or SERVE)


def shims_of(made: Runtime) -> list[int]:
    """The shims of this runtime, whatever they watch over."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
        except OSError:
            continue
        if words and words[0].endswith(b"containerd-shim-runc-v2") and str(made.paths.address).encode() in words:
            found.append(int(entry.name))
    return found


def gate_of(made: Runtime) -> Path:
    """Where runc holds the process until it is let go."""
    return made.run / "runc" / "capsule" / CID / "exec.fifo"


def run_suite(suite: Callable[[Runtime], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(90), runtime() as made:
            await suite(made)

    asyncio.run(main())


@pytest.mark.parametrize("subject", [twin, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "containerd"])
def test_a_run_whose_shim_died_has_vanished_and_is_told_no_exit_code(subject: Any) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), subject() as (driver, run, kill_shim):
            stream = aiter(driver.exits())
            assert isinstance(await anext(stream), Resync)
            await driver.ensure_running(run)
            await kill_shim()
            assert isinstance(await anext(stream), Resync)
            assert [one.status for one in await driver.observe()] == ["created"]
            await driver.remove_run("web", 7, 1)
            assert await driver.observe() == ()

    asyncio.run(main())


@pytest.mark.real
def test_a_process_that_died_before_it_was_let_go_is_made_anew() -> None:
    async def suite(made: Runtime) -> None:
        run = await serving(made)
        await made.containers._make(run, CID)
        held = await made.containers._process(CID)
        assert held is not None
        os.kill(held.pid, signal.SIGKILL)
        stream = aiter(made.containers.exits())
        assert isinstance(await anext(stream), Resync)
        # Whoever looks now is told of no end: containerd says 137 of a program that never was.
        assert [(one.status, one.exit_code) for one in await made.containers.observe()] == [("created", None)]
        alive = await made.containers.ensure_running(run)
        assert alive.status == "running" and alive.pid != held.pid
        await until(lambda: read_log(made) == "ready\n")  # before that there is nobody to be given time to end
        stopped = await made.containers.stop("web", 7, 1, 10_000)
        assert stopped is not None and stopped.exit_code == 143

    run_suite(suite)


@pytest.mark.real
def test_a_program_whose_start_was_cut_is_adopted_and_ends_with_its_own_code() -> None:
    async def suite(made: Runtime) -> None:
        run = await serving(made, "sh", "-c", "trap 'exit 9' TERM; echo born; while :; do sleep 1 & wait $!; done")
        await made.containers._make(run, CID)
        # What a `runc start` does that is killed before it can report.
        assert await asyncio.to_thread(gate_of(made).read_bytes) == b"0"
        (seen,) = await made.containers.observe()
        assert seen.status == "running"
        assert await made.containers.ensure_running(run) == seen
        await until(lambda: read_log(made) == "born\n")  # it has said by then how it ends
        ending = asyncio.ensure_future(ended(made.containers))
        stopped = await made.containers.stop("web", 7, 1, 10_000)
        assert stopped is not None and stopped.exit_code == 9
        assert (await ending).exit_code == 9 and read_log(made) == "born\n"

    run_suite(suite)


@pytest.mark.real
def test_a_run_that_was_stopped_before_it_was_let_go_leaves_nothing() -> None:
    async def suite(made: Runtime) -> None:
        await made.containers._make(await serving(made), CID)
        assert await made.containers.stop("web", 7, 1, 10_000) is None
        assert await made.containers.observe() == () and shims_of(made) == []

    run_suite(suite)


@pytest.mark.real
def test_wherever_containerd_dies_in_a_start_the_program_runs_once_and_says_how_it_ended() -> None:
    async def suite(made: Runtime) -> None:
        run = await serving(made, "sh", "-c", "echo born; sleep 0.2; echo done; exit 5")
        for delay_ms in (15, 30, 40, 50, 60, 70):
            await started_through_a_death(made, run, delay_ms / 1000)
            assert (await ended(made.containers)).exit_code == 5
            assert read_log(made) == "born\ndone\n"
            await made.containers.remove_workload("web", 7)
            assert await made.containers.observe() == () and shims_of(made) == []

    run_suite(suite)


async def started_through_a_death(made: Runtime, run: RunSpec, delay_s: float) -> ObservedRun:
    """Start it while containerd is killed, and again until it says that it is started."""
    first = asyncio.ensure_future(made.containers.ensure_running(run))
    await asyncio.sleep(delay_s)  # any moment is right; the moments differ
    os.kill(made.pid(), signal.SIGKILL)
    await asyncio.wait((first,))
    while True:
        try:
            return await made.containers.ensure_running(run)
        except DriverError:
            await made.connection.ready()


def read_log(made: Runtime) -> str:
    return made.containers.log_files("web", 7, 1)[0].read_text()
