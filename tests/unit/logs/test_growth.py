"""Files that grow where the kernel watches them, and where it has no inotify left for whoever asks."""

import asyncio
import errno
import os
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from capsuled.logs import growth as growing
from capsuled.logs.growth import Growth, unwatched_text
from effects import inotify
from tests.support.until import until


class Kernel:
    """Gives instances and watches until its limits are used up; others than this daemon use them, too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.instances = self.watches = 1 << 20
        self._instance, self._add = inotify.instance, inotify.add
        monkeypatch.setattr(inotify, "instance", self.instance)
        monkeypatch.setattr(inotify, "add", self.add)
        monkeypatch.setattr(growing, "LOOK_S", 0.001)

    def instance(self) -> int:
        if not self.instances:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        self.instances -= 1
        return self._instance()

    def add(self, fd: int, path: Path, mask: int) -> int:
        if not self.watches:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return self._add(fd, path, mask)


class Log:
    """A file with somebody who looks at it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.touch()
        self.seen = self.let_go = 0

    def grew(self) -> bool:
        size = self.path.stat().st_size
        self.seen, before = size, self.seen
        return size != before

    def closed(self) -> None:
        self.let_go += 1

    def writes(self, content: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(content)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def run(main: Callable[[Growth], Coroutine[None, None, None]]) -> None:
    async def scene() -> None:
        growth = Growth()
        try:
            async with asyncio.timeout(30):
                await main(growth)
        finally:
            growth.close()

    asyncio.run(scene())


@pytest.mark.parametrize("left", [0, 1])
def test_without_an_instance_a_log_is_followed_by_the_clock(kernel: Kernel, tmp_path: Path, left: int) -> None:
    async def main(growth: Growth) -> None:
        kernel.instances = left
        log = Log(tmp_path / "log")
        watched = growth.watch(log.path, log.grew, log.closed)
        for number in range(1, 4):
            log.writes(b"line\n")
            await until(lambda number=number: log.seen == 5 * number)  # type: ignore[misc]
        await until(lambda: log.let_go)
        (said,) = await growth.warnings()
        assert "no instance of inotify" in said and "sysctl -w fs.inotify.max_user_instances=8192" in said
        watched.end()
        log.writes(b"more\n")
        await until(lambda: not growth._problem)
        assert log.seen == 15

    before = len(os.listdir("/proc/self/fd"))
    run(main)
    assert len(os.listdir("/proc/self/fd")) == before


def test_without_a_watch_it_is_the_same_and_the_others_stay_watched(kernel: Kernel, tmp_path: Path) -> None:
    async def main(growth: Growth) -> None:
        first, second = Log(tmp_path / "first"), Log(tmp_path / "second")
        growth.watch(first.path, first.grew)
        kernel.watches = 0
        growth.watch(second.path, second.grew)
        (said,) = await growth.warnings()
        assert "no watch of inotify" in said and "sysctl -w fs.inotify.max_user_watches=1048576" in said
        first.writes(b"one\n")
        second.writes(b"two\n")
        await until(lambda: first.seen == second.seen == 4)

    run(main)


def test_what_is_given_again_is_taken(kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(growth: Growth) -> None:
        kernel.instances = 0
        log = Log(tmp_path / "log")
        growth.watch(log.path, log.grew, log.closed)
        kernel.instances = 2
        await until(lambda: not growth._problem)
        assert await growth.warnings() == ()
        monkeypatch.setattr(growing, "LOOK_S", 3600.0)  # from here on only a notice is soon enough
        log.writes(b"line\n")
        await until(lambda: log.seen == 5)

    run(main)


def test_a_file_that_is_not_there_is_nobodys_to_watch(kernel: Kernel, tmp_path: Path) -> None:
    async def main(growth: Growth) -> None:
        growth.watch(tmp_path / "gone", lambda: False, lambda: None)
        assert await growth.warnings() == ()

    run(main)


def test_an_error_names_the_setting_that_it_is_about() -> None:
    assert "max_user_watches" in unwatched_text(OSError(errno.ENOSPC, "x"))
    assert "max_user_instances" in unwatched_text(OSError(errno.EMFILE, "x"))
