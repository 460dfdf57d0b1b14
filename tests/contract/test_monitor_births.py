"""A monitor's birth, cut: whoever dies before it was written down leaves none, and two who begin one run begin it once."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from capsuled.processes import beside
from effects.errors import NoSpace, StartFailed
from effects.microvms.places import MonitorRecord, RunFiles
from effects.runs.protocol import RunSpec
from journal.specs import MicroVM
from tests.contract.run_subjects import SERVE
from tests.support.booted import ROOT
from tests.support.microvms import MicroVMs, build_guest_image, microvms
from tests.support.programs import running
from tests.support.runtime import chunks, runtime
from tools.demo_image import archive

pytestmark = [pytest.mark.real, pytest.mark.needs("qemu-system-x86_64")]

LAUNCHES = """
import asyncio, os
from capsuled.processes import beside
from effects.microvms.launching import Order, launch

async def main(root, dies):
    files = (("/bin/busybox", "/busybox"),)
    order = Order(("/busybox", "sleep", "1000"), 65533, root, files, (), (), os.dup(2), dies_with_us=dies)
    found = []
    await launch(beside, order, (order.log,), found.append)
    print(*found, flush=True)
    await asyncio.sleep(1000)
"""


@asynccontextmanager
async def machines() -> AsyncIterator[tuple[MicroVMs, RunSpec]]:
    build_guest_image()
    async with asyncio.timeout(300), runtime() as made, microvms(made) as found:
        (image,) = await made.images.import_archive(chunks(archive("demo:1")))
        yield found, RunSpec("web", 7, 7, 1, image.platform_digest, command=SERVE, vm=MicroVM())


def monitors() -> set[int]:
    """Of this process: whatever it started and has not heard the end of."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(pid) for pid in children if b"web.7." in Path(f"/proc/{pid}/cmdline").read_bytes()}


def test_who_cannot_write_down_a_monitor_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with machines() as (made, run):
            seen: list[int] = []

            def full(files: RunFiles, record: MonitorRecord) -> None:
                seen.append(record.pid)
                raise OSError(28, "No space left on device", str(files.directory))

            with monkeypatch.context() as patch:
                patch.setattr(RunFiles, "remember", full)
                with pytest.raises(NoSpace):
                    await made.driver.ensure_running(run)
            assert seen and not Path(f"/proc/{seen[0]}").exists() and not monitors()
            assert [one.status for one in await made.driver.observe()] == ["created"]
            await made.driver.remove_run("web", 7, 1)
            assert await made.driver.observe() == ()

    asyncio.run(main())


def test_a_launcher_that_ends_early_is_a_start_that_failed() -> None:
    async def main() -> None:
        async with machines() as (made, run):

            async def dies(*argv: str, **options: Any) -> Any:
                return await beside("false", **options)

            made.driver.start = dies
            with pytest.raises(StartFailed, match="ended"):
                await made.driver.ensure_running(run)
            assert not monitors()

    asyncio.run(main())


def test_two_lives_of_a_daemon_that_begin_a_run_at_once_begin_it_once() -> None:
    async def main() -> None:
        async with machines() as (made, run):
            await made.booting.prepare(run)  # disks are made by one life at a time
            other = made.another()
            one, two = await asyncio.gather(made.driver.ensure_running(run), other.driver.ensure_running(run))
            assert one == two and one.status == "running" and monitors() == {one.pid}
            await other.close()

    asyncio.run(main())


@pytest.mark.parametrize("dies", [True, False])
def test_what_is_only_tried_dies_with_whoever_tries_it_and_what_runs_does_not(dies: bool, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", f"{LAUNCHES}\nasyncio.run(main({str(tmp_path)!r}, {dies}))"]
    with running(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as daemon:
        assert daemon.stdout is not None
        monitor = os.pidfd_open(int(daemon.stdout.readline()))
        try:
            assert not ends(monitor, 0)
            daemon.kill()
            daemon.wait()
            assert ends(monitor, 10 if dies else 1) == dies
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(monitor, signal.SIGKILL)
            os.close(monitor)


def ends(process: int, seconds: float) -> bool:
    """Whether it does within that time."""
    return bool(select.select([process], [], [], seconds)[0])
