"""A containerd that cannot even be started is tried again, and why is said: nobody else would start it."""

import asyncio
import contextlib
import errno
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from capsuled import runtime
from capsuled.runtime import keep_containerd
from effects.containerd.config import paths_under

FAULTS = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), RuntimeError("can't start new thread")]


def test_what_keeps_it_from_starting_is_told_and_outlived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    faults = list(FAULTS)

    async def main() -> None:
        started = asyncio.Event()

        async def supervise(*_: Any, **__: Any) -> None:
            if faults:
                raise faults.pop(0)
            started.set()
            await asyncio.Event().wait()

        monkeypatch.setattr(runtime, "supervise", supervise)
        monkeypatch.setattr(runtime, "mount_memory", lambda place: place.mkdir(parents=True, exist_ok=True))
        paths = paths_under(tmp_path / "containerd", tmp_path / "run")
        kept = asyncio.ensure_future(keep_containerd(paths, tmp_path / "containerd.log", cap_delay_s=0.001))
        async with asyncio.timeout(20):
            await started.wait()
        kept.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await kept

    with caplog.at_level(logging.ERROR):
        asyncio.run(main())
    assert [record.getMessage().partition(". No container")[0] for record in caplog.records] == [
        "containerd cannot be started: [Errno 28] No space left on device",
        "containerd cannot be started: can't start new thread",
    ]
