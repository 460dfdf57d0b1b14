"""A monitor that lives and does nothing, as one that was stopped or waits for a disk that does not answer: it holds up
nobody's look, and its silence ends it."""

import asyncio
import os
import signal
from typing import Any

import pytest

from capsule.guest.v1 import guest_pb2 as pb
from effects.microvms import agent as agents
from effects.runs.protocol import RunSpec
from journal.specs import MicroVM
from tests.contract.run_subjects import SERVE, ended
from tests.support.microvms import build_guest_image, microvms
from tests.support.runtime import chunks, runtime
from tools.demo_image import archive

pytestmark = [pytest.mark.real, pytest.mark.needs("qemu-system-x86_64")]


def test_a_monitor_that_stands_still_is_looked_at_at_once_and_ended_as_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    build_guest_image()
    monkeypatch.setattr(agents, "BEAT_S", 0.2)

    async def main() -> None:
        async with asyncio.timeout(300), runtime() as made, microvms(made) as machines:
            (image,) = await made.images.import_archive(chunks(archive("demo:1")))
            fields: dict[str, Any] = {"command": SERVE, "vm": MicroVM()}
            run = await machines.driver.ensure_running(RunSpec("vm", 7, 7, 1, image.platform_digest, **fields))
            await machines.agents.of("vm", 7, 1).call("Status", pb.StatusRequest(), 240)
            os.kill(run.pid, signal.SIGSTOP)
            monkeypatch.setattr(agents, "BEAT_WAIT_S", 0.5)
            async with asyncio.timeout(5):
                (seen,) = await machines.driver.observe()
            assert seen.status == "running"
            found = await ended(machines.driver)
            assert (found.fault, found.exit_code) == ("silent", 137) and "has not answered" in found.fault_text

    asyncio.run(main())
