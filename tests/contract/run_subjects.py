"""What the contract of a driver of runs is held against: the twin, containerd, and QEMU, with the same programs."""

import asyncio
import functools
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from containerdapi import containers_pb2, tasks_pb2
from effects.runs import names
from effects.runs.protocol import RunDriver, RunSpec
from effects.runs.twin import TwinContainer, TwinContainers, World
from journal.specs import MicroVM, Resources
from projections.observations import ObservedRun
from tests.support.microvms import build_guest_image, microvms
from tests.support.runtime import chunks, runtime
from tools.demo_image import archive

DIGEST = "sha256:" + "1" * 64
# The head of an executable for a machine that this one is not (s390, big-endian).
FOREIGN = b"\x7fELF\x02\x02\x01" + bytes(9) + b"\x00\x02\x00\x16" + bytes(60)
LIMIT = Resources(memory_bytes=32 << 20)
SERVE = ("sh", "-c", "trap 'exit 138' USR1; trap 'exit 143' TERM; echo ready; while :; do sleep 1 & wait $!; done")
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
            fields = {"revision": 7, "image": image.platform_digest, "command": _command(behaviour), **fields}
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


@asynccontextmanager
async def qemu() -> AsyncIterator[Subject]:
    build_guest_image()
    async with runtime() as made, microvms(made) as machines:
        (image,) = await made.images.import_archive(chunks(archive("demo:1", programs={"bin/foreign": FOREIGN})))

        def make(behaviour: str, run: int = 1, **fields: Any) -> RunSpec:
            fields = {
                "revision": 7,
                "image": image.platform_digest,
                "command": _command(behaviour),
                "vm": MicroVM(),
                **fields,
            }
            return RunSpec("web", 7, run=run, **fields)

        async def ready(seen: ObservedRun) -> None:
            """What it says goes from its port into its log."""
            out = machines.files(seen.name, seen.uid, seen.run).out
            while True:
                if b"ready" in out.read_bytes():
                    return
                await asyncio.sleep(0.05)

        async def kill(seen: ObservedRun) -> None:
            os.kill(seen.pid, signal.SIGKILL)

        async def take(seen: ObservedRun) -> None:
            shutil.rmtree(machines.files(seen.name, seen.uid, seen.run).directory)
            os.kill(seen.pid, signal.SIGKILL)

        def lives(seen: ObservedRun) -> bool:
            return Path(f"/proc/{seen.pid}").exists()

        yield Subject(machines.driver, make, ready, kill, take, lives)


BOTH = pytest.mark.parametrize(
    "subject", [twin, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "containerd"]
)
_KERNELS = [
    pytest.param(real, marks=pytest.mark.real, id="containerd"),
    pytest.param(qemu, marks=[pytest.mark.real, pytest.mark.needs("qemu-system-x86_64")], id="qemu"),
]
EVERY = pytest.mark.parametrize("subject", [pytest.param(twin, id="twin"), *_KERNELS])
"""What both kinds of workload do in the same way. Each test with a guest boots it, once where it can."""
KERNELS = pytest.mark.parametrize("subject", _KERNELS)
"""What is the kernel's to do, so that the twin has no word in it."""


def run_suite(subject: Any, suite: Callable[[Subject], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(180), subject() as made:
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


def _command(behaviour: str) -> tuple[str, ...]:
    word, _, code = behaviour.partition(" ")
    return {
        "serve": SERVE,
        "stubborn": STUBBORN,
        "missing": ("/missing",),
        "end": ("sh", "-c", f"exit {code or 0}"),
        "hog": ("tail", "/dev/zero"),
        "suffer": ("sh", "-c", f"tail /dev/zero; {SERVE[2]}"),
        "foreign": ("foreign",),
    }[word]
