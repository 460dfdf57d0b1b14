"""A path of the machine that gives no answer: one workload waits for it, and no other, nor the daemon."""

import asyncio
import contextlib
import stat
from pathlib import Path
from typing import Any

import pytest

from effects.errors import DriverError, HostPathMissing, StartFailed
from effects.runs.exec_protocol import ExecRequest
from effects.runs.protocol import RunSpec
from journal.specs import HostBind
from tests.contract.exec_subjects import everything, with_container
from tests.contract.run_subjects import SERVE
from tests.support.hung import DEVICE, hung, hung_inside
from tests.support.runtime import Runtime, chunks, runtime
from tools.demo_image import archive

pytestmark = [pytest.mark.real, pytest.mark.skipif(not DEVICE.exists(), reason="this machine lacks FUSE")]


async def maker(made: Runtime) -> Any:
    (image,) = await made.images.import_archive(chunks(archive("demo:1")))

    def make(name: str, *sources: Path, run: int = 1) -> RunSpec:
        binds = tuple(HostBind(str(source), f"/bound/{number}") for number, source in enumerate(sources))
        return RunSpec(name, 7, 7, run, image.platform_digest, command=SERVE, host_binds=binds)

    return make


def test_a_run_is_refused_a_path_that_does_not_answer_and_others_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effects.host_paths.PATIENCE_S", 0.2)

    async def suite() -> None:
        async with asyncio.timeout(120), runtime() as made:
            driver, make, share = made.containers, await maker(made), made.directory / "share"
            share.mkdir()
            with hung(share):
                for _ in range(3):
                    with pytest.raises(HostPathMissing, match="does not answer"):
                        await driver.ensure_running(make("web", share))
                assert (await driver.ensure_running(make("db", made.directory))).status == "running"
                assert await driver.stop("db", 7, 1, 0) is not None

    asyncio.run(suite())


def test_a_task_whose_path_goes_while_it_is_made_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answered when it was looked at."""
    monkeypatch.setattr("effects.host_paths._mode_of", lambda path: stat.S_IFDIR)
    monkeypatch.setattr("effects.containers.containerd_driver.CREATE_S", 2)
    monkeypatch.setattr("effects.containers.containerd_driver.SHIM_S", 2)

    async def suite() -> None:
        async with asyncio.timeout(120), runtime() as made:
            driver, make, share = made.containers, await maker(made), made.directory / "share"
            share.mkdir()
            with hung(share):
                for _ in range(2):
                    with pytest.raises(StartFailed):
                        await driver.ensure_running(make("web", share))
                assert (await driver.ensure_running(make("db"))).status == "running"
                assert await driver.stop("db", 7, 1, 0) is not None
                await driver.remove_run("db", 7, 1)
                with contextlib.suppress(DriverError):
                    await driver.remove_run("web", 7, 1)
            await driver.remove_run("web", 7, 1)
            assert await driver.observe() == ()
            assert (await driver.ensure_running(make("web", run=2))).status == "running"

    asyncio.run(suite())


def test_an_exec_whose_directory_does_not_answer_is_given_up_and_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("effects.containers.containerd_exec.START_S", 2)

    async def suite() -> None:
        async with asyncio.timeout(120), runtime() as made:
            inside = await with_container(made)
            (web,) = await made.containers.observe()
            away = ExecRequest("web", 7, 1, ("sleep", "4711"), working_dir="/tmp")
            with hung_inside(web.pid, "/tmp"):
                with pytest.raises(StartFailed, match="gives no answer in time"):
                    await made.executor.open(away)
                assert await inside.alive() == 0
                leaving = asyncio.ensure_future(made.executor.open(away))
                await asyncio.sleep(0.5)
                leaving.cancel()
                await asyncio.wait((leaving,))
                assert leaving.cancelled() and await inside.alive() == 0
                assert (await everything(await inside.open("exit", "4")))[2] == 4
            await asyncio.sleep(0.5)
            assert await inside.alive() == 0, "nobody goes on once it answers"
            assert list((made.run / "exec").iterdir()) == []

    asyncio.run(suite())
