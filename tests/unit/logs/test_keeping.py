"""All logs of one capsule, opened as the daemon starts: a disk that fails keeps it from nothing."""

import asyncio
import errno
import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from capsule.v1 import workload_pb2 as pb
from capsuled.logs import recorder
from capsuled.logs.files import INDEX_SUFFIX, SERIAL_SUFFIX, path_of, runs_of
from capsuled.logs.growth import Growth
from capsuled.logs.keeping import Logs
from capsuled.logs.plain import PlainLog
from capsuled.logs.recorder import Recorder
from capsuled.logs.setback import PAUSE_S, Setback
from journal.clock import SystemClock
from journal.specs import MicroVM
from tests.support.until import until
from tests.unit.logs.test_following import House, run, text


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it mounts a file system")
    made = tmp_path / "disk"
    made.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", made], check=True)
    try:
        yield made
    finally:
        subprocess.run(["umount", "-l", made], check=True)


def own_log(directory: Path) -> Path:
    path = directory / "own.log"
    path.touch()
    return path


def test_a_disk_that_has_turned_read_only_is_started_on_while_containers_and_microvms_run(
    tmp_path: Path, disk: Path
) -> None:
    async def main() -> None:
        made = House(disk)
        made.starts("vm", vm=MicroVM())
        made.writes("vm", b"Linux\n", SERIAL_SUFFIX)
        made.starts("web")
        made.writes("web", b"ready\n")
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        async with asyncio.TaskGroup() as group:
            logs = Logs(made, disk, own_log(tmp_path), SystemClock(), group)  # type: ignore[arg-type]
            request = pb.WorkloadLogsRequest(name="vm", source=pb.LOG_SOURCE_SERIAL)
            assert [chunk.data async for chunk in logs.serials.stream(made.story["vm"], request)] == [b"Linux\n"]
            assert await text(made, logs.streams, "web") == b"ready\n"
            logs.close()

    run(main)


def test_an_earlier_log_that_cannot_be_read_is_told_of_and_the_present_one_is_kept_in_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        made = House(tmp_path)
        made.starts("web")
        earlier = path_of(tmp_path / "web", made.story["web"].uid, 1, ".out")
        earlier.unlink()
        earlier.symlink_to(earlier)  # a damaged disk, which says no when it is read
        made.ends("web")
        made.starts("web")
        made.writes("web", b"again\n")
        async with asyncio.TaskGroup() as group:
            logs = Logs(made, tmp_path, own_log(tmp_path), SystemClock(), group)  # type: ignore[arg-type]
            assert path_of(tmp_path / "web", made.story["web"].uid, 2, INDEX_SUFFIX).stat().st_size
            assert await text(made, logs.streams, "web") == b"again\n"
            logs.close()
        assert f"{earlier} cannot be read" in caplog.text

    run(main)


def test_a_log_that_cannot_be_cut_is_tried_again_after_a_while_and_told_of_anew_once_it_could_be(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 0.0
    setback, error = Setback("the log of web", lambda: now), OSError(errno.EIO, os.strerror(errno.EIO))
    for _ in range(3):
        assert setback.is_over()
        setback.failed(error)
        assert not setback.is_over()
        now += PAUSE_S
    assert caplog.text.count("the log of web could not be cut: Input/output error") == 1
    setback.mended()
    setback.failed(error)
    assert caplog.text.count("could not be cut") == 2


def test_the_growth_of_a_log_that_cannot_be_cut_asks_for_no_more_cuts_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon's own log grows by each time that it is told."""
    tries: dict[str, int] = {"own": 0, "web": 0}

    def own_fails(path: Path, keep_bytes: int) -> bool:
        tries["own"] += 1
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def web_fails(*arguments: object) -> None:
        tries["web"] += 1
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    async def main() -> None:
        monkeypatch.setattr("capsuled.logs.plain.cut_front", own_fails)
        monkeypatch.setattr("capsuled.logs.recorder.cut_runs", web_fails)
        monkeypatch.setattr("capsuled.logs.recorder.over", lambda bound, sizes: True)
        made, growth, path = House(tmp_path), Growth(), own_log(tmp_path)
        handler = logging.FileHandler(path)
        logging.getLogger("capsuled").addHandler(handler)
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            own = PlainLog(growth, group, path, max_bytes=100)
            web = Recorder(made, tmp_path, growth, SystemClock(), group)  # type: ignore[arg-type]
            web.open()
            made.starts("web")

            def grow() -> None:
                made.writes("web", b"x" * 100)
                logging.getLogger("capsuled.test").warning("x" * 100)

            grow()
            await until(lambda: tries == {"own": 1, "web": 1})
            for _ in range(20):
                grow()
                await asyncio.sleep(0.01)
            assert tries == {"own": 1, "web": 1}
            own.close()
            web.close()
        growth.close()
        logging.getLogger("capsuled").removeHandler(handler)
        handler.close()
        assert path.read_text().count("could not be cut: Input/output error") == 2, "once each"

    run(main)


def test_a_workload_whose_logs_cannot_be_listed_keeps_no_other_from_its_log_nor_the_daemon_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def spoiled(directory: Path, uid: int) -> list[int]:
        if directory.name == "bad":
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(directory))
        return runs_of(directory, uid)

    async def main() -> None:
        made = House(tmp_path)
        for name in ("bad", "web"):
            made.starts(name)
            made.writes(name, b"ready\n")
        monkeypatch.setattr(recorder, "runs_of", spoiled)
        async with asyncio.TaskGroup() as group:
            logs = Logs(made, tmp_path, own_log(tmp_path), SystemClock(), group)  # type: ignore[arg-type]
            assert "the log of bad is not kept in order" in caplog.text
            for name in ("bad", "web"):
                assert await text(made, logs.streams, name) == b"ready\n"
            assert path_of(tmp_path / "web", made.story["web"].uid, 1, INDEX_SUFFIX).stat().st_size
            logs.close()

    run(main)
