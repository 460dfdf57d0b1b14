"""A monitor that lives, followed by what was written down of it."""

import asyncio
import errno
import os
import subprocess
from pathlib import Path

import pytest

from effects import inotify
from effects.microvms import monitor as monitoring
from effects.microvms.monitor import Monitor, Monitors, identity_of
from effects.microvms.places import Key, Places, RunRecord
from guest.ending import record
from tests.support.until import until

KEY = Key("web", 7, 1)


def test_one_whose_end_record_another_hand_removed_is_adopted_and_its_end_heard(tmp_path: Path) -> None:
    files = Places(tmp_path / "state", tmp_path / "run", tmp_path / "logs").of(KEY)
    told: list[Monitor] = []

    async def main() -> None:
        process = subprocess.Popen(["sleep", "1000"])
        files.begin(RunRecord())
        files.remember(identity_of(process.pid, "boot"))
        monitors = Monitors(lambda _: process.wait(), told.append, told.append)
        assert monitors.adopt(KEY, files, "another boot") is None
        monitor = monitors.adopt(KEY, files, "boot")
        assert monitor is not None and monitors.known() == (monitor,) and not monitor.started
        monitor.kill("silent", "a minute")
        assert await monitor.ended(60) and told == [monitor]
        assert (monitor.status, monitor.why) == (-9, ("silent", "a minute")) and monitors.known() == ()
        monitors.close()

    asyncio.run(main())


def test_without_inotify_what_its_guest_says_is_heard_by_the_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = Places(tmp_path / "state", tmp_path / "run", tmp_path / "logs").of(KEY)
    instance, left = inotify.instance, [0]

    def scarce() -> int:
        if not left[0]:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return instance()

    monkeypatch.setattr(inotify, "instance", scarce)
    monkeypatch.setattr(monitoring, "LOOK_S", 0.001)

    async def main() -> None:
        process = subprocess.Popen(["sleep", "1000"])
        files.begin(RunRecord())
        files.end.touch()
        files.remember(identity_of(process.pid, "boot"))
        monitors = Monitors(lambda _: process.wait(), lambda _: None, lambda _: None)
        monitor = monitors.adopt(KEY, files, "boot")
        assert monitor is not None and not monitor.started
        files.end.write_bytes(record({"started": 1}))
        await until(lambda: monitor.started)
        left[0] = 1
        await until(lambda: monitors._clock is None)
        files.end.write_bytes(record({"started": 1}) + record({"oom": 2}))
        await until(lambda: monitor.oom_kills == 2)
        monitor.kill()
        assert await monitor.ended(60)
        monitors.close()

    asyncio.run(main())


def test_one_that_is_adopted_between_its_being_written_down_and_taken_is_followed_once(tmp_path: Path) -> None:
    files = Places(tmp_path / "state", tmp_path / "run", tmp_path / "logs").of(KEY)
    told: list[Monitor] = []
    failures: list[object] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        said, say = os.pipe()
        process = subprocess.Popen(["sh", "-c", "echo out of order >&2; exec sleep 1000"], stderr=say)
        os.close(say)
        files.begin(RunRecord())
        files.remember(identity_of(process.pid, "boot"))
        monitors = Monitors(lambda _: process.wait(), told.append, told.append)
        adopted = monitors.adopt(KEY, files, "boot")
        assert adopted is not None
        os.close(adopted.said)
        adopted.said = -1  # the launcher, which it still was when it was looked at, spoke into something else
        begun = Monitor(KEY, files, RunRecord(), process.pid, os.pidfd_open(process.pid), said)
        assert monitors.take(begun) is adopted and monitors.known() == (adopted,)
        assert (begun.process, begun.said) == (-1, -1), "it is closed"
        await until(lambda: adopted.words() == "out of order\n")
        adopted.kill()
        assert await adopted.ended(60) and told == [adopted] and adopted.status == -9
        await asyncio.sleep(0.05)
        assert monitors.known() == () and not failures
        monitors.close()

    asyncio.run(main())


def test_a_failure_at_a_monitors_end_is_told_once(tmp_path: Path) -> None:
    files = Places(tmp_path / "state", tmp_path / "run", tmp_path / "logs").of(KEY)
    failures: list[object] = []

    def fails(_: object) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
        process = subprocess.Popen(["sleep", "1000"])
        files.begin(RunRecord())
        files.remember(identity_of(process.pid, "boot"))
        monitors = Monitors(fails, fails, fails)
        monitor = monitors.adopt(KEY, files, "boot")
        assert monitor is not None
        monitor.kill()
        await until(lambda: bool(failures))
        await asyncio.sleep(0.05)
        assert len(failures) == 1 and monitors.known() == () and monitor.process == -1 and monitor.over.is_set()
        process.wait()
        monitors.close()

    asyncio.run(main())
