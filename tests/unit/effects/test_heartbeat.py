"""A containerd that hangs: what is told of its end is what became of it."""

import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from effects.containerd.heartbeat import LATES, keep_answering
from tests.support.programs import running

LISTENS = """
import socket, sys, time
listening = socket.socket(socket.AF_UNIX)
listening.bind(sys.argv[1])
listening.listen()
print("ready", flush=True)
time.sleep(60)
"""


def beat(address: Path, lates: int) -> None:
    """So many times no answer comes, and then nobody asks any more."""
    left = iter(range(lates))

    async def answers(within_s: float) -> bool:
        if next(left, None) is None:
            raise asyncio.CancelledError
        return False

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(keep_answering(cast(Any, SimpleNamespace(address=address, answers=answers)), late_s=10))


class Heard(logging.Handler):
    """What is said, and what was so `then`."""

    def __init__(self, then: Callable[[], object]) -> None:
        super().__init__()
        self.then, self.said = then, list[tuple[str, object]]()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((record.getMessage(), self.then()))


def test_one_that_was_killed_is_told_when_it_was(tmp_path: Path) -> None:
    log = logging.getLogger(keep_answering.__module__)
    address = tmp_path / "c.sock"
    with running([sys.executable, "-c", LISTENS, address], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        heard = Heard(lambda: process.wait(5))
        log.addHandler(heard)
        try:
            beat(address, LATES - 1)
            assert heard.said == [] and process.poll() is None
            beat(address, LATES)
        finally:
            log.removeHandler(heard)
    told = "containerd has hung for 80 s: it was killed, and is started again. What runs goes on"
    assert heard.said == [(told, -signal.SIGKILL)]


def test_one_that_cannot_be_ended_is_told_as_such_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        beat(tmp_path / "nobody.sock", 2 * LATES)
    assert caplog.messages == [
        f"containerd has hung for {seconds} s, and cannot be ended: [Errno 2] No such file or directory"
        for seconds in (80, 160)
    ]
