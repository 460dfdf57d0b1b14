"""A containerd that hangs: told of, ended, and started again, and what runs goes on."""

import asyncio
import os
import signal
from contextlib import suppress

import pytest

from effects.containerd import connection as connections
from effects.containerd.heartbeat import keep_answering
from effects.errors import DriverError
from effects.runs.protocol import RunSpec
from tests.contract.run_subjects import SERVE
from tests.support.runtime import Runtime, chunks, runtime
from tools.demo_image import archive

pytestmark = pytest.mark.real


def test_one_that_hangs_is_told_of_and_gives_way_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "PATIENCE_S", 0.5)

    async def told(made: Runtime) -> str:
        while not (warnings := await made.connection.warnings()):  # noqa: ASYNC110 -- it rings no bell
            await asyncio.sleep(0.01)
        return warnings[0]

    async def main() -> None:
        async with asyncio.timeout(120), runtime() as made:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            run = RunSpec("web", 7, 1_000, 1, image.platform_digest, command=SERVE)
            begun = await made.containers.ensure_running(run)
            before = made.pid()
            beats = asyncio.ensure_future(keep_answering(made.connection, beat_s=0.1, late_s=0.3))
            try:
                await asyncio.sleep(1)
                assert made.pid() == before
                os.kill(before, signal.SIGSTOP)
                stuck = asyncio.ensure_future(made.containers.observe())
                assert "has not answered" in await told(made)
                with pytest.raises(DriverError):  # whoever waited for it waits no longer
                    await stuck
                await made.connection.ready()
                assert made.pid() != before and await made.connection.warnings() == ()
                assert await made.containers.observe() == (begun,)
            finally:
                beats.cancel()
                with suppress(ProcessLookupError):
                    os.kill(before, signal.SIGCONT)

    asyncio.run(main())
