"""What the contract of an executor is held against: the twin and containerd, with the same programs."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from effects.containers.bundles import Bundles
from effects.containers.containerd_executor import ContainerdExecutor
from effects.microvms.executor import MicroVMExecutor
from effects.runs.exec_protocol import ExecRequest, ExecSession, Executor
from effects.runs.exec_twin import TwinExecutor
from effects.runs.protocol import RunDriver, RunSpec
from effects.runs.twin import TwinContainers, World
from tests.support.runtime import Runtime, chunks, runtime
from tests.support.twin_guest import Reached, TwinGuest, reached
from tools.demo_image import archive

DIGEST = "sha256:" + "1" * 64
SERVE = ("sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done")
SIZE = "trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"
STUBBORN = "trap '' HUP INT TERM; echo ready; while :; do sleep 4711; done"
"""Its child ignores the same, and a moment passes before it is there."""

Alive = Callable[[], Awaitable[int]]
"""How many processes of execs are alive in the container."""


class Subject:
    """An executor, the container driver beside it, and a way to count what is left. `stubborn` is of how many processes
    the program of that name is."""

    def __init__(
        self,
        executor: Executor,
        containers: RunDriver,
        alive: Alive,
        next_life: Callable[[], Executor],
        stubborn: int,
    ) -> None:
        self.executor = executor
        self.next_life = next_life
        self.containers = containers
        self.alive = alive
        self.stubborn = stubborn

    async def open(self, *argv: str, tty: bool = False, **fields: Any) -> ExecSession:
        return await self.executor.open(ExecRequest("web", 7, 1, argv, tty=tty, **fields))


Suite = Callable[[Subject], Awaitable[None]]


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    world = World({DIGEST})
    containers = TwinContainers(world, _no_step)
    await containers.ensure_running(RunSpec("web", 7, 7, 1, DIGEST, args=("serve",)))

    async def alive() -> int:
        return sum(process.alive for process in world.processes)

    yield Subject(TwinExecutor(world, _no_step), containers, alive, lambda: TwinExecutor(world, _no_step), 1)


@asynccontextmanager
async def guest() -> AsyncIterator[Subject]:
    """The twin in a guest that is none, by a channel that is a real one."""
    async with twin() as within:
        with tempfile.TemporaryDirectory() as scratch:
            async with reached(Path(scratch), TwinGuest(within.executor)) as made:

                def next_life() -> Executor:
                    return NextGuest(made, within.alive)

                yield Subject(MicroVMExecutor(made.agents), within.containers, within.alive, next_life, within.stubborn)


class NextGuest(MicroVMExecutor):
    """A daemon that dies takes its channel along, and the guest ends what was open by that: in a moment of its own."""

    def __init__(self, made: Reached, alive: Alive) -> None:
        super().__init__(made.agents)
        self._made = made
        self._alive = alive

    async def sweep(self) -> None:
        self._made.cut()
        await super().sweep()
        while True:
            if not await self._alive():
                return
            await asyncio.sleep(0.01)


class Programs:
    """The twin's programs, as real ones."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def open(self, request: ExecRequest) -> ExecSession:
        word, *rest = request.argv
        argv = {
            "exit": ("sh", "-c", f"exit {rest[0] if rest else 0}"),
            "size": ("sh", "-c", SIZE),
            "stubborn": ("sh", "-c", STUBBORN),
            "sleep": ("sleep", "4711"),
            "missing": ("missing",),
            "unexecutable": ("/etc/passwd",),
        }.get(word, request.argv)
        return await self._executor.open(
            ExecRequest(
                request.name,
                request.uid,
                request.run,
                argv,
                tty=request.tty,
                window=request.window,
                stdin=request.stdin,
            )
        )

    async def sweep(self) -> None:
        await self._executor.sweep()


async def with_container(made: Runtime) -> Subject:
    """One container, and a count of the processes in it that it did not begin with."""
    (image,) = await made.images.import_archive(chunks(archive("demo:1")))
    run = RunSpec("web", 7, 7, 1, image.platform_digest, command=SERVE)
    leader = (await made.containers.ensure_running(run)).pid

    async def alive() -> int:
        sessions = []
        for entry in os.listdir("/proc"):
            if entry.isdigit() and in_container(entry, leader):
                sessions.append(os.getsid(int(entry)))
        return sum(session != leader for session in sessions)

    def next_life() -> Executor:
        return ContainerdExecutor(made.connection, made.run / "exec", Bundles(made.paths))

    return Subject(Programs(made.executor), made.containers, alive, next_life, 2)


def in_container(pid: str, leader: int) -> bool:
    try:
        same = os.readlink(f"/proc/{pid}/ns/pid") == os.readlink(f"/proc/{leader}/ns/pid")
        return same and b") Z" not in open(f"/proc/{pid}/stat", "rb").read()
    except OSError:
        return False


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    async with runtime() as made:
        yield await with_container(made)


BOTH = pytest.mark.parametrize(
    "subject", [twin, guest, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "guest", "containerd"]
)


def run_suite(subject: Any, suite: Suite) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), subject() as made:
            await suite(made)

    asyncio.run(main())


async def everything(session: ExecSession) -> tuple[bytes, bytes, int]:
    """What it writes until its end, and its exit code; closed behind it."""
    written = {1: b"", 2: b""}
    async for number, data in session.output():
        written[number] += data
    code = await session.wait()
    await session.close()
    return written[1], written[2], code


async def until(session: ExecSession, wanted: bytes) -> bytes:
    """What it writes until it has written `wanted`."""
    written = b""
    async for _, data in session.output():
        written += data
        if wanted in written:
            return written
    raise AssertionError(f"it ended without {wanted!r}: {written!r}")
