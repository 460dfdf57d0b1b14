"""Ending what lives in a cgroup: all of it, nobody else, and what cannot be ended is told."""

import asyncio
import signal
from pathlib import Path

import pytest

from effects.errors import StartFailed
from effects.runs import survivors
from tests.support.hanging import hanging
from tests.support.programs import running

SLEEP = ["sleep", "60"]


def group(root: Path, name: str, *pids: int) -> None:
    directory = root / "memory" / "c" / name
    directory.mkdir(parents=True)
    (directory / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in pids))


def test_all_of_a_group_end_and_nobody_else(tmp_path: Path) -> None:
    with running(SLEEP) as one, running(SLEEP) as two, running(SLEEP) as other:
        group(tmp_path, "web.7.1", one.pid, two.pid)
        group(tmp_path, "web.7.2", other.pid)
        assert survivors.lives("/c/web.7.1", tmp_path)
        assert asyncio.run(survivors.end("/c/web.7.1", tmp_path))
        assert one.wait() == two.wait() == -9 and other.poll() is None
        # The file still names them, as it would others with their numbers.
        assert not survivors.lives("/c/web.7.1", tmp_path)
        assert not asyncio.run(survivors.end("/c/web.7.1", tmp_path))


def test_one_is_asked_only_if_it_is_of_the_group(tmp_path: Path) -> None:
    with running(SLEEP) as one, running(SLEEP) as beside, running(SLEEP) as other:
        group(tmp_path, "web.7.1", one.pid, beside.pid)
        survivors.ask("/c/web.7.1", signal.SIGTERM, other.pid, tmp_path)
        survivors.ask("/c/web.7.1", signal.SIGTERM, one.pid, tmp_path)
        assert one.wait() == -15 and beside.poll() is other.poll() is None
        survivors.ask("/c/web.7.1", signal.SIGKILL, one.pid, tmp_path)
        assert beside.wait() == -9 and other.poll() is None


def test_one_that_hangs_in_the_kernel_is_told_and_holds_up_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(SLEEP) as process, running(SLEEP) as other:
        group(tmp_path, "db.8.1", process.pid)
        group(tmp_path, "web.7.1", other.pid)
        group(tmp_path, "empty.9.1")
        hanging(monkeypatch, process.pid, survivors)
        ends = asyncio.run(survivors.end_below("/c", tmp_path))
        assert list(ends) == ["db.8.1", "web.7.1"] and ends["web.7.1"] == ""
        assert f"its process {process.pid} does not end although it was killed" in ends["db.8.1"]
        assert other.wait() == -9 and process.poll() is None
        with pytest.raises(StartFailed, match="may hang in the kernel"):
            asyncio.run(survivors.end("/c/db.8.1", tmp_path))
