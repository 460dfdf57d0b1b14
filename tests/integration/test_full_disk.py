"""A disk that fills while runs are made, go on and are removed: the error has its name, and nothing is left half-done."""

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from effects.errors import NoSpace
from effects.memory import unmount_memory
from effects.runs.protocol import RunSpec
from tests.support.runtime import Runtime, chunks
from tools.demo_image import archive

pytestmark = pytest.mark.real


@asynccontextmanager
async def on_a_small_disk() -> AsyncIterator[Runtime]:
    with ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="capsule-test-"))
        stack.callback(shutil.rmtree, directory)
        run = Path(tempfile.mkdtemp(prefix="capsule-run-", dir="/run"))
        stack.callback(shutil.rmtree, run)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(directory)], check=True)
        stack.callback(subprocess.run, ["umount", str(directory)], check=True)
        made = Runtime(directory, run)
        stack.callback(unmount_memory, made.paths.memory)
        try:
            await made.start()
            yield made
        finally:
            (directory / "filler").unlink(missing_ok=True)
            await made.stop()


def fill(directory: Path, leave_bytes: int) -> None:
    """Take all there is but `leave_bytes`."""
    filler = directory / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(filler, filler.stat().st_size - leave_bytes)


@pytest.mark.parametrize("leave_bytes", [0, 4_096], ids=["nothing", "a-page"])
def test_a_start_without_room_says_so_and_is_done_once_there_is_room(leave_bytes: int) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), on_a_small_disk() as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            await made.images.unpacker.rootfs(image.platform_digest)
            run = RunSpec("web", 7, 7, 1, image.platform_digest, command=("sleep", "60"))
            fill(made.directory, leave_bytes)
            for _ in range(2):
                with pytest.raises(NoSpace, match="Free space under the state directory"):
                    await made.containers.ensure_running(run)
            assert [one.status for one in await made.containers.observe()] in ([], ["created"])
            await made.containers.remove_workload("web", 7)
            assert await made.containers.observe() == ()
            (made.directory / "filler").unlink()
            assert (await made.containers.ensure_running(run)).status == "running"

    asyncio.run(main())


def test_a_full_disk_does_not_keep_a_run_from_being_stopped_and_removed() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), on_a_small_disk() as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            run = RunSpec("web", 7, 7, 1, image.platform_digest, command=("sleep", "60"))
            alive = await made.containers.ensure_running(run)
            fill(made.directory, 0)
            assert await made.containers.observe() == (alive,)
            end = await made.containers.stop("web", 7, 1, grace_ms=0)
            assert end is not None and end.exit_code == 137
            await made.containers.remove_workload("web", 7)
            assert await made.containers.observe() == ()

    asyncio.run(main())


def test_what_is_vital_goes_into_the_room_that_is_kept_for_everybody_else() -> None:
    """A debug session, by which somebody makes room."""

    async def main() -> None:
        async with asyncio.timeout(60), on_a_small_disk() as made:
            fill(made.directory, 16 << 20)
            with pytest.raises(NoSpace, match="too little room"):
                await made.images.import_archive(chunks(archive("demo:1")))
            (image,) = await made.images.import_archive(chunks(archive("demo:1")), vital=True)
            assert image.is_name

    asyncio.run(main())
