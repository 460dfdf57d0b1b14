"""What the contract of a copier is held against: the twin, one behind a guest's channel, and a container that has
neither tar nor a shell."""

import asyncio
import fcntl
import io
import os
import tarfile
import tempfile
import termios
import time
from array import array
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from effects.errors import DriverError
from effects.microvms.copier import MicroVMCopier
from effects.runs.copy_holds import CopyHolds
from effects.runs.copy_protocol import Copier, CopyPlace, CopyReport, Handed
from effects.runs.copy_twin import TwinCopier
from effects.runs.exec_twin import TwinExecutor
from effects.runs.protocol import MountedVolume, RunDriver, RunSpec
from effects.runs.twin import TwinContainers, World
from journal.specs import Tmpfs
from tests.support.runtime import chunks, runtime
from tests.support.trees import member, tar
from tests.support.twin_guest import TwinGuest, reached
from tools.demo_image import BUSYBOX, archive

DIGEST = "sha256:" + "1" * 64
DIR, LINK = tarfile.DIRTYPE, tarfile.SYMTYPE


def bare() -> bytes:
    """A file system with one program in it."""
    return tar(
        *(member(name, DIR) for name in ("srv", "etc", "dev", "proc", "sys", "tmp", "data")),
        member("sleep", content=BUSYBOX.read_bytes(), mode=0o755),
        member("srv/motd", content=b"hello"),
        member("usr", DIR),
        member("usr/lib", DIR),
        member("lib", LINK, link="usr/lib"),
        member("out", LINK, link="/../../../tmp"),
    )


class Subject:
    """A copier with the driver beside it. `volume` is where /data comes from, on this machine."""

    def __init__(self, copier: Copier, containers: RunDriver, run: RunSpec, volume: Path) -> None:
        self.copier = copier
        self.containers = containers
        self.run = run
        self.volume = volume

    def place(self, path: str, running: bool = True) -> CopyPlace:
        run = self.run.run if running else 0
        return CopyPlace("web", 7, 7, run, path, () if running else ("/data", "/tmp"))

    async def put(self, content: bytes, path: str, running: bool = True) -> CopyReport:
        session = await self.copier.into(self.place(path, running))
        try:
            for start in range(0, len(content), 10_000):
                await session.write(content[start : start + 10_000])
            return await session.finish()
        finally:
            await session.close()

    async def get(self, path: str, running: bool = True) -> dict[str, tarfile.TarInfo]:
        session = await self.copier.out_of(self.place(path, running))
        try:
            content = b"".join([piece async for piece in session.pieces()])
        finally:
            await session.close()
        with tarfile.open(fileobj=io.BytesIO(content)) as found:
            return {one.name: one for one in found.getmembers()}

    async def stop(self) -> None:
        await self.containers.stop("web", 7, self.run.run, 0)
        await self.containers.remove_run("web", 7, self.run.run)


def handed(session: Handed) -> int:
    """The end of its pipe, which is ours now."""
    ends: list[int] = []

    def give(fd: int) -> bool:
        ends.append(os.dup(fd))
        return True

    assert session.hand(give)
    os.set_blocking(ends[0], True)
    return ends[0]


def poured(pipe: int, content: bytes) -> None:
    """All of it, and that was all."""
    with open(pipe, "wb", buffering=0) as file:
        left = memoryview(content)
        while left:
            left = left[file.write(left) :]


def read_out(pipe: int) -> bytes:
    with open(pipe, "rb") as file:
        return file.read()


def emptied(pipe: int) -> None:
    """Until the other end has taken what is in it."""
    while array("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]:
        time.sleep(0.01)


Suite = Callable[[Subject], Awaitable[None]]


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    with tempfile.TemporaryDirectory() as scratch:
        world, holds = World({DIGEST}), CopyHolds()
        containers = TwinContainers(world, _no_step, holds)
        copier = TwinCopier(world, _no_step, Path(scratch), holds)
        run = RunSpec("web", 7, 7, 1, DIGEST, args=("serve",))
        await containers.ensure_running(run)
        root = copier.root("web", 7, 7)
        root.mkdir(parents=True)
        with tarfile.open(fileobj=io.BytesIO(bare())) as image:
            image.extractall(root)
        yield Subject(copier, containers, run, root / "data")


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    async with runtime() as made:
        content = archive("bare:1", command=("/sleep", "1000000"), tree=bare())
        (image,) = await made.images.import_archive(chunks(content))
        volume = made.directory / "volume"
        volume.mkdir()
        run = RunSpec(
            "web", 7, 7, 1, image.platform_digest,
            volumes=(MountedVolume(str(volume), "/data"),), tmpfs=(Tmpfs("/tmp"),),
        )  # fmt: skip
        await made.containers.ensure_running(run)
        yield Subject(made.copier, made.containers, run, volume)
        assert not (made.run / "copies").exists() or not os.listdir(made.run / "copies")


@asynccontextmanager
async def guest() -> AsyncIterator[Subject]:
    """The twin in a guest that is none, by a channel that is a real one."""
    async with twin() as within:
        with tempfile.TemporaryDirectory() as scratch:
            service = TwinGuest(TwinExecutor(World({DIGEST}), _no_step), within.copier)
            async with reached(Path(scratch), service) as made:
                yield Subject(MicroVMCopier(made.agents), within.containers, within.run, within.volume)


BOTH = pytest.mark.parametrize(
    "subject", [twin, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "containerd"]
)
ALL = pytest.mark.parametrize(
    "subject", [twin, guest, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "guest", "containerd"]
)


def run_suite(subject: Any, suite: Suite) -> None:
    async def main() -> None:
        async with asyncio.timeout(120), subject() as made:
            await suite(made)

    asyncio.run(main())


async def refused(step: Awaitable[object], reason: str, words: str = "") -> None:
    with pytest.raises(DriverError, match=words or None) as raised:
        await step
    assert raised.value.reason == reason, raised.value
