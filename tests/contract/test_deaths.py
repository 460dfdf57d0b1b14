"""containerd killed behind every single call of a start, a stop and a removal: done, and its answer lost.

The operation is then repeated, as the runner repeats it, and must come to the same end as if nothing had happened.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from containerdapi import snapshots_pb2
from effects.errors import DriverError, RuntimeUnavailable
from effects.runs.protocol import RunSpec
from tests.contract.run_subjects import SERVE
from tests.contract.test_births import shims_of
from tests.support.runtime import Runtime, chunks, runtime
from tests.support.until import until
from tools.demo_image import archive

pytestmark = pytest.mark.real

SERVICES = ("containers", "snapshots", "tasks")
Operation = Callable[[Runtime, RunSpec], Awaitable[Any]]


class Mortal:
    """A service whose containerd dies behind the `dies_behind`-th call to any of them; 0 for never."""

    def __init__(self, made: Runtime, name: str, fate: "Fate") -> None:
        self._stub = getattr(made.connection, name)
        self._made = made
        self._fate = fate

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._stub, method)

        def ask(*arguments: Any, **options: Any) -> Any:
            if method == "List":
                return call(*arguments, **options)  # a look, and a stream of pages for some
            return self._asked(call(*arguments, **options))

        return ask

    async def _asked(self, answer: Any) -> Any:
        found = await answer
        self._fate.calls += 1
        if self._fate.calls == self._fate.dies_behind:
            os.kill(self._made.pid(), signal.SIGKILL)
            raise RuntimeUnavailable("the answer was lost")
        return found


class Fate:
    """How many calls were made, and behind which of them containerd dies."""

    def __init__(self, dies_behind: int = 0) -> None:
        self.calls = 0
        self.dies_behind = dies_behind


def bind(made: Runtime, fate: Fate) -> None:
    for name in SERVICES:
        made.connection.__dict__.pop(name, None)
        made.connection.__dict__[name] = Mortal(made, name, fate)


async def done(made: Runtime, operation: Operation, run: RunSpec) -> Any:
    """Until it succeeds."""
    while True:
        try:
            return await operation(made, run)
        except DriverError:
            await made.connection.ready()


async def start(made: Runtime, run: RunSpec) -> Any:
    return await made.containers.ensure_running(run)


async def change(made: Runtime, run: RunSpec) -> Any:
    """A start that finds the writable layer of an earlier revision."""
    return await made.containers.ensure_running(run)


async def stop(made: Runtime, run: RunSpec) -> Any:
    return await made.containers.stop(run.name, run.uid, run.run, grace_ms=0)


async def remove(made: Runtime, run: RunSpec) -> Any:
    return await made.containers.remove_workload(run.name, run.uid)


async def snapshots_of(made: Runtime, run: RunSpec) -> list[str]:
    request = snapshots_pb2.ListSnapshotsRequest(snapshotter="overlayfs", filters=[f"labels.capsule.name=={run.name}"])
    pages = made.connection.snapshots.List(request, metadata=made.connection.metadata)
    return [info.name async for page in pages for info in page.info]


@pytest.mark.parametrize("operation", [start, change, stop, remove])
def test_an_operation_that_a_death_cut_anywhere_comes_to_the_same_end(operation: Operation) -> None:
    async def main() -> None:
        async with asyncio.timeout(120), runtime() as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            behind = 0
            while True:
                behind += 1
                run = RunSpec("web", 6 + behind, 1_000, 1, image.platform_digest, command=SERVE)
                bind(made, Fate())
                if operation is change:
                    before = replace(run, revision=run.uid, run=run.run + 1)
                    await start(made, before)
                    await made.containers.remove_run(before.name, before.uid, before.run)
                elif operation is not start:
                    await start(made, run)
                fate = Fate(behind)
                bind(made, fate)
                outcome = await done(made, operation, run)
                await judge(made, run, operation, outcome)
                if fate.calls < behind:
                    break
            assert behind > 3

    asyncio.run(main())


async def judge(made: Runtime, run: RunSpec, operation: Operation, outcome: Any) -> None:
    """What must be so after each operation; then nothing is left."""
    seen = await made.containers.observe()
    if operation in (start, change):
        assert seen == (outcome,) and outcome.status == "running" and len(shims_of(made)) == 1
        assert len(await snapshots_of(made, run)) == 1, "of this revision alone"
    elif operation is stop:
        assert outcome is not None and (outcome.status, outcome.exit_code) == ("stopped", 137)
    await done(made, remove, run)
    assert await made.containers.observe() == () and shims_of(made) == []
    assert await snapshots_of(made, run) == []
    assert not list(Path(made.run, "runc", "capsule").glob("web.*"))
    assert not list((made.directory / "containers").glob("*"))


def test_one_that_cannot_read_its_own_records_is_told_of_and_waited_for() -> None:
    async def main() -> None:
        async with runtime() as made:
            records = made.paths.root / "io.containerd.metadata.v1.bolt/meta.db"
            records.unlink()
            records.write_text("another form")
            os.kill(made.pid(), signal.SIGKILL)
            waiting = asyncio.ensure_future(made.connection.ready())
            await until(lambda: bool(made.connection.problem))
            assert "cannot read its own records" in (await made.connection.warnings())[0]
            records.unlink()
            os.kill(made.pid(), signal.SIGKILL)
            assert await waiting and await made.connection.warnings() == ()

    asyncio.run(main())
