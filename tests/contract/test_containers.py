"""The contract of a driver of containers, on the twin and on containerd: whatever the simulation relies on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from effects.containers.protocol import ContainerDriver, ContainerRun, ObservedRun, Resync
from effects.containers.twin import TwinContainer, TwinContainers, World
from effects.errors import EntrypointMissing, ImageMissing
from tests.support.runtime import chunks, runtime
from tools.demo_image import archive

DIGEST = "sha256:" + "1" * 64
SERVE = ("sh", "-c", "trap 'exit 143' TERM; while :; do sleep 1 & wait $!; done")
STUBBORN = ("sh", "-c", "trap '' TERM; while :; do sleep 1; done")

Subject = tuple[ContainerDriver, Callable[..., ContainerRun]]
Suite = Callable[[Subject], Awaitable[None]]


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    world = World({DIGEST})
    loop = asyncio.get_running_loop()

    def program(container: TwinContainer) -> None:
        if container.run.args[:1] == ("end",):
            run = container.run
            loop.call_later(0.05, world.end, (run.name, run.uid, run.run), int(run.args[1]))

    world.on_start = program

    def make(behaviour: str, run: int = 1, **fields: Any) -> ContainerRun:
        args = {"serve": ("serve",), "stubborn": ("ignore-term",)}.get(behaviour, tuple(behaviour.split()))
        command = ("missing",) if behaviour == "missing" else ()
        return ContainerRun("web", 7, fields.pop("revision", 7), run, DIGEST, command=command, args=args, **fields)

    yield TwinContainers(world, _no_step), make


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    async with runtime() as made:
        (image,) = await made.images.import_archive(chunks(archive("demo:1")))

        def make(behaviour: str, run: int = 1, **fields: Any) -> ContainerRun:
            word, _, code = behaviour.partition(" ")
            command = {
                "serve": SERVE,
                "stubborn": STUBBORN,
                "missing": ("/missing",),
                "end": ("sh", "-c", f"exit {code or 0}"),
            }[word]
            return ContainerRun(
                "web", 7, fields.pop("revision", 7), run, fields.pop("image", image.platform_digest), command=command
            )

        yield made.containers, make


BOTH = pytest.mark.parametrize(
    "subject", [twin, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "containerd"]
)


def run_suite(subject: Any, suite: Suite) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), subject() as made:
            await suite(made)

    asyncio.run(main())


async def ended(driver: ContainerDriver, run: int = 1) -> ObservedRun:
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
        driver, make = made
        first = await driver.ensure_running(make("serve"))
        again = await driver.ensure_running(make("serve"))
        assert first.status == "running" and first.pid and again == first
        assert await driver.observe() == (first,)

    run_suite(subject, suite)


@BOTH
def test_an_exit_code_is_kept_until_the_run_is_removed(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made
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
        driver, make = made
        await driver.ensure_running(make("serve"))
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
        driver, make = made
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
        driver, make = made
        with pytest.raises(EntrypointMissing):
            await driver.ensure_running(make("missing"))
        assert [one.status for one in await driver.observe()] in ([], ["created"])
        await driver.remove_run("web", 7, 1)
        gone = make("serve", run=2)
        with pytest.raises(ImageMissing):
            await driver.ensure_running(ContainerRun("web", 7, 8, 2, "sha256:" + "9" * 64, command=gone.command))

    run_suite(subject, suite)


@BOTH
def test_the_stream_of_ends_begins_with_a_resync(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        driver, make = made
        stream = driver.exits()
        assert isinstance(await anext(aiter(stream)), Resync)
        await driver.ensure_running(make("end 3"))
        report = await anext(aiter(stream))
        assert isinstance(report, ObservedRun) and (report.run, report.exit_code) == (1, 3)

    run_suite(subject, suite)


@pytest.mark.real
def test_containers_outlive_containerd_and_no_exit_is_lost() -> None:
    async def main() -> None:
        import os
        import signal

        async with asyncio.timeout(60), runtime() as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            serve = ContainerRun("web", 7, 7, 1, image.platform_digest, command=SERVE)
            job = ContainerRun("job", 8, 8, 1, image.platform_digest, command=("sh", "-c", "sleep 0.5; exit 9"))
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
