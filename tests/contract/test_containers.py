"""The contract of a driver of containers, on the twin and on containerd: whatever the simulation relies on."""

import asyncio
import functools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from containerdapi import containers_pb2, tasks_pb2
from effects.containers import names
from effects.errors import (
    BadUser,
    BadWorkingDir,
    DriverError,
    EntrypointMissing,
    HostPathMissing,
    ImageMissing,
    MemoryTooLow,
)
from effects.runs.protocol import ObservedRun, Resync, RunDriver, RunSpec
from effects.runs.twin import TwinContainer, TwinContainers, World
from journal.specs import HostBind, Resources
from tests.support.runtime import chunks, runtime
from tools.demo_image import archive

DIGEST = "sha256:" + "1" * 64
# The head of an executable for a machine that this one is not (s390, big-endian).
FOREIGN = b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16" + bytes(60)
LIMIT = Resources(memory_bytes=32 << 20)
SERVE = ("sh", "-c", "trap 'exit 138' USR1; trap 'exit 143' TERM; while :; do sleep 1 & wait $!; done")
STUBBORN = ("sh", "-c", "trap '' TERM; while :; do sleep 1; done")


class Subject(NamedTuple):
    """A driver, what makes runs for it, and what waits until a process that serves can be asked to stop. `kill` and
    `take` are another hand's, which ends a run or removes its record; `lives` says whether its process is there."""

    driver: RunDriver
    make: Callable[..., RunSpec]
    ready: Callable[[ObservedRun], Awaitable[None]]
    kill: Callable[[ObservedRun], Awaitable[None]]
    take: Callable[[ObservedRun], Awaitable[None]]
    lives: Callable[[ObservedRun], bool]


Suite = Callable[[Subject], Awaitable[None]]


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    world = World({DIGEST})
    loop = asyncio.get_running_loop()

    def program(container: TwinContainer) -> None:
        run, word = container.run, container.run.args[0]
        key = (run.name, run.uid, run.run)
        match word:
            case "end":
                loop.call_later(0.05, world.end, key, int(run.args[1]))
            case "hog":
                loop.call_later(0.05, functools.partial(world.end, key, 137, oom=True))
            case "suffer":
                loop.call_later(0.05, world.suffer, key)
            case "foreign":
                why = "the command `/bin/foreign` cannot be executed: it was built for another machine"
                loop.call_later(0.05, functools.partial(world.end, key, 1, unexecutable=why))

    world.on_start = program

    def make(behaviour: str, run: int = 1, **fields: Any) -> RunSpec:
        args = ("ignore-term",) if behaviour == "stubborn" else tuple(behaviour.split())
        command = ("/missing",) if behaviour == "missing" else ()
        fields = {"revision": 7, "image": DIGEST, "command": command, "args": args, **fields}
        return RunSpec("web", 7, run=run, **fields)

    async def ready(seen: ObservedRun) -> None:
        await asyncio.sleep(0)

    async def kill(seen: ObservedRun) -> None:
        world.end((seen.name, seen.uid, seen.run), 137)

    async def take(seen: ObservedRun) -> None:
        world.take((seen.name, seen.uid, seen.run))

    def lives(seen: ObservedRun) -> bool:
        return (seen.name, seen.uid, seen.run) in world.containers

    yield Subject(TwinContainers(world, _no_step), make, ready, kill, take, lives)


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    async with runtime() as made:
        (image,) = await made.images.import_archive(chunks(archive("demo:1", programs={"bin/foreign": FOREIGN})))

        def make(behaviour: str, run: int = 1, **fields: Any) -> RunSpec:
            word, _, code = behaviour.partition(" ")
            command = {
                "serve": SERVE,
                "stubborn": STUBBORN,
                "missing": ("/missing",),
                "end": ("sh", "-c", f"exit {code or 0}"),
                "hog": ("tail", "/dev/zero"),
                "suffer": ("sh", "-c", f"tail /dev/zero; {SERVE[2]}"),
                "foreign": ("foreign",),
            }[word]
            fields = {"revision": 7, "image": image.platform_digest, "command": command, **fields}
            return RunSpec("web", 7, run=run, **fields)

        async def ready(seen: ObservedRun) -> None:
            """A shell that is PID 1 hears no signal before it has set its traps; the runtime before it hears them all."""
            while True:
                lines = Path(f"/proc/{seen.pid}/status").read_text().splitlines()
                told = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
                if told["Name"] == "sh" and int(told["SigCgt"], 16) & 1 << signal.SIGTERM - 1:
                    return
                await asyncio.sleep(0.01)

        connection = made.connection

        async def kill(seen: ObservedRun) -> None:
            cid = names.container_id(seen.name, seen.uid, seen.run)
            request = tasks_pb2.KillRequest(container_id=cid, signal=signal.SIGKILL)
            await connection.tasks.Kill(request, metadata=connection.metadata)

        async def take(seen: ObservedRun) -> None:
            """The record first: what `ctr` does not let happen, the API does."""
            cid = names.container_id(seen.name, seen.uid, seen.run)
            request = containers_pb2.DeleteContainerRequest(id=cid)
            await connection.containers.Delete(request, metadata=connection.metadata)

        def lives(seen: ObservedRun) -> bool:
            return Path(f"/proc/{seen.pid}").exists()

        yield Subject(made.containers, make, ready, kill, take, lives)


BOTH = pytest.mark.parametrize(
    "subject", [twin, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "containerd"]
)


def run_suite(subject: Any, suite: Suite) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), subject() as made:
            await suite(made)

    asyncio.run(main())


async def ended(driver: RunDriver, run: int = 1) -> ObservedRun:
    """The run's end, from the stream of ends or by looking, whichever comes first."""
    async for report in driver.exits():
        seen = (report,) if isinstance(report, ObservedRun) else await driver.observe()
        for one in seen:
            if one.run == run and one.status == "stopped":
                return one
    raise AssertionError("unreachable")


@BOTH
def test_a_run_is_started_once_however_often_it_is_ensured(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        first = await driver.ensure_running(make("serve"))
        again = await driver.ensure_running(make("serve"))
        assert first.status == "running" and first.pid and again == first
        assert await driver.observe() == (first,)

    run_suite(subject, suite)


@BOTH
def test_an_exit_code_is_kept_until_the_run_is_removed(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        await driver.ensure_running(make("end 7"))
        assert (await ended(driver)).exit_code == 7
        again = await driver.ensure_running(make("end 7"))
        assert (again.status, again.exit_code) == ("stopped", 7)
        await driver.remove_run("web", 7, 1)
        await driver.remove_run("web", 7, 1)
        assert await driver.observe() == ()

    run_suite(subject, suite)


@BOTH
def test_stop_asks_first_and_kills_after_the_grace(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make, ready = made.driver, made.make, made.ready
        await ready(await driver.ensure_running(make("serve")))
        polite = await driver.stop("web", 7, 1, grace_ms=10_000)
        assert polite is not None and (polite.status, polite.exit_code) == ("stopped", 143)
        assert await driver.stop("web", 7, 1, grace_ms=10_000) == polite
        await driver.remove_run("web", 7, 1)
        await driver.ensure_running(make("stubborn", run=2))
        killed = await driver.stop("web", 7, 2, grace_ms=200)
        assert killed is not None and killed.exit_code == 137
        assert await driver.stop("web", 7, 99, grace_ms=0) is None

    run_suite(subject, suite)


@BOTH
def test_a_removed_workload_leaves_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        await driver.ensure_running(make("serve"))
        await driver.remove_workload("web", 7)
        await driver.remove_workload("web", 7)
        assert await driver.observe() == ()
        seen = await driver.ensure_running(make("end 0"))
        assert seen.run == 1

    run_suite(subject, suite)


@BOTH
def test_what_cannot_run_is_named(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        with pytest.raises(EntrypointMissing):
            await driver.ensure_running(make("missing"))
        assert [one.status for one in await driver.observe()] in ([], ["created"])
        await driver.remove_run("web", 7, 1)
        gone = make("serve", run=2)
        with pytest.raises(ImageMissing):
            await driver.ensure_running(RunSpec("web", 7, 8, 2, "sha256:" + "9" * 64, command=gone.command))

    run_suite(subject, suite)


@BOTH
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"user": "nobody-here"}, BadUser),
        ({"working_dir": "/etc/passwd"}, BadWorkingDir),
        ({"working_dir": "/etc/passwd/below"}, BadWorkingDir),
        ({"host_bind_paths": ("/nonexistent/path",)}, HostPathMissing),
        ({"host_binds": (HostBind("/nonexistent/path", "/data"),)}, HostPathMissing),
        ({"resources": Resources(memory_bytes=512 << 10)}, MemoryTooLow),
    ],
    ids=["user", "working-dir", "below-a-file", "bind-path", "bind", "memory"],
)
def test_a_field_that_cannot_work_is_named_and_leaves_room_for_the_next(
    subject: Any, fields: dict[str, Any], error: type[DriverError]
) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        for _ in range(2):
            with pytest.raises(error):
                await driver.ensure_running(make("serve", **fields))
        assert [one.status for one in await driver.observe()] in ([], ["created"])
        await driver.remove_run("web", 7, 1)
        assert await driver.observe() == ()
        assert (await driver.ensure_running(make("serve", run=2))).status == "running"

    run_suite(subject, suite)


@BOTH
def test_a_run_is_asked_to_stop_with_its_own_signal(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make, ready = made.driver, made.make, made.ready
        await ready(await driver.ensure_running(make("serve", stop_signal="SIGUSR1")))
        stopped = await driver.stop("web", 7, 1, grace_ms=10_000)
        assert stopped is not None and stopped.exit_code == 138

    run_suite(subject, suite)


@BOTH
def test_a_death_for_want_of_memory_is_told_with_the_limit(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        await driver.ensure_running(make("hog", resources=LIMIT))
        end = await ended(driver)
        assert (end.exit_code, end.oom_kills, end.memory_limit_bytes) == (137, 1, 32 << 20)
        assert await driver.observe() == (end,)

    run_suite(subject, suite)


@BOTH
def test_a_child_killed_for_want_of_memory_is_told_while_its_run_goes_on(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = aiter(driver.exits())
        assert isinstance(await anext(stream), Resync)
        await driver.ensure_running(make("suffer", resources=LIMIT))
        report = await anext(stream)
        assert isinstance(report, ObservedRun)
        assert (report.status, report.oom_kills, report.memory_limit_bytes) == ("running", 1, 32 << 20)
        assert await driver.observe() == (report,)

    run_suite(subject, suite)


@BOTH
def test_a_program_for_another_machine_is_recognised_by_its_end(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        await driver.ensure_running(make("foreign"))
        end = await ended(driver)
        assert end.exit_code == 1 and end.unexecutable.startswith("the command `/bin/foreign` cannot be executed")

    run_suite(subject, suite)


@BOTH
def test_the_stream_of_ends_begins_with_a_resync(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = driver.exits()
        assert isinstance(await anext(aiter(stream)), Resync)
        await driver.ensure_running(make("end 3"))
        report = await anext(aiter(stream))
        assert isinstance(report, ObservedRun) and (report.run, report.exit_code) == (1, 3)

    run_suite(subject, suite)


@BOTH
def test_a_run_that_another_hand_kills_has_that_for_its_end(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = driver.exits()
        assert isinstance(await anext(aiter(stream)), Resync)
        await made.kill(await driver.ensure_running(make("serve")))
        report = await anext(aiter(stream))
        assert isinstance(report, ObservedRun) and (report.exit_code, report.oom_kills) == (137, 0)

    run_suite(subject, suite)


@BOTH
def test_a_run_that_another_hand_removes_is_told_of_and_makes_room_for_the_next(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = driver.exits()
        assert isinstance(await anext(aiter(stream)), Resync)
        seen = await driver.ensure_running(make("serve"))
        await made.take(seen)
        assert isinstance(await anext(aiter(stream)), Resync)
        assert await driver.observe() == ()
        await driver.remove_run("web", 7, 1)
        assert not made.lives(seen), "its process is gone, too"
        await driver.ensure_running(make("serve", run=2))
        assert [one.run for one in await driver.observe()] == [2]

    run_suite(subject, suite)


@BOTH
def test_what_the_driver_itself_removes_is_no_news(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made.driver, made.make
        stream = driver.exits()
        assert isinstance(await anext(aiter(stream)), Resync)
        await driver.ensure_running(make("end 3"))
        assert isinstance(await anext(aiter(stream)), ObservedRun)
        await driver.remove_run("web", 7, 1)
        await driver.ensure_running(make("end 4", run=2))
        report = await anext(aiter(stream))
        assert isinstance(report, ObservedRun) and report.exit_code == 4

    run_suite(subject, suite)


@pytest.mark.real
def test_containers_outlive_containerd_and_no_exit_is_lost() -> None:
    async def main() -> None:
        import os

        async with asyncio.timeout(60), runtime() as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            serve = RunSpec("web", 7, 7, 1, image.platform_digest, command=SERVE)
            job = RunSpec("job", 8, 8, 1, image.platform_digest, command=("sh", "-c", "sleep 0.5; exit 9"))
            alive = await made.containers.ensure_running(serve)
            await made.containers.ensure_running(job)
            resyncs = 0
            stream = aiter(made.containers.exits())
            assert isinstance(await anext(stream), Resync)
            os.kill(made.pid(), signal.SIGKILL)
            async for report in stream:
                resyncs += isinstance(report, Resync)
                seen = {one.name: one for one in await made.containers.observe()}
                if seen["job"].status == "stopped":
                    break
            assert resyncs >= 1
            assert seen["job"].exit_code == 9
            assert seen["web"] == alive

    asyncio.run(main())
