"""When the daemon steps in for a shim, and when it must not."""

import asyncio
import errno
import os
import select
import sys
import textwrap
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from capsuled.logs import recorder as recorder_module
from capsuled.logs.files import SUFFIXES, RunFiles, path_of
from capsuled.logs.growth import Growth
from capsuled.logs.index import ERR, OUT
from capsuled.logs.pump import SHIM_BUFFER_BYTES, Pump, abandoned_pipe
from capsuled.logs.recorder import Recorder
from effects.runs.names import container_id
from journal.clock import SystemClock
from journal.events import WorkloadLogDropped
from tests.support.story import declared
from tests.support.until import until
from tests.unit.logs.test_following import House

# A shim in small: starts a process with pipes, holds them, and has the log open as long as it is told to.
SHIM = textwrap.dedent(
    """
    import os, subprocess, sys
    log = open(sys.argv[4], "ab") if sys.argv[3] == "writes" else None
    child = subprocess.Popen(["cat"], stdin=0, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    print(child.pid, file=sys.stderr, flush=True)
    child.wait()
    """
)


@asynccontextmanager
async def shim(container: str, how: str, log: Path) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    made = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SHIM, "-id", container, how, str(log),
        stdin=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert made.stderr is not None and made.stdin is not None
    try:
        yield int(await made.stderr.readline()), made
    finally:
        made.stdin.close()
        await made.wait()


def test_only_a_pipe_that_its_own_shim_gave_up_is_taken_over(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()

    async def main() -> None:
        async with shim("web.7.1", "writes", log) as (pid, _):
            assert abandoned_pipe("web.7.1", pid, log, 1) is None
        async with shim("web.7.1", "gave up", log) as (pid, _):
            assert abandoned_pipe("web.7.2", pid, log, 1) is None  # another run's process by now
            assert abandoned_pipe("web.7.1", os.getpid(), log, 1) is None
            pipe = abandoned_pipe("web.7.1", pid, log, 1)
            assert pipe is not None
            os.close(pipe)
        assert abandoned_pipe("web.7.1", pid, log, 1) is None  # it is gone

    asyncio.run(main())


def test_what_a_shim_gave_up_is_written_on_and_the_gap_is_named(tmp_path: Path) -> None:
    for suffix in SUFFIXES.values():
        path_of(tmp_path, 7, 1, suffix).touch()
    log = path_of(tmp_path, 7, 1, SUFFIXES[OUT])
    log.write_bytes(b"torn li")

    async def main() -> None:
        gaps: list[int] = []
        files = RunFiles(tmp_path, 7, 1)
        async with asyncio.timeout(20), shim("web.7.1", "gave up", log) as (pid, process):
            pipe = abandoned_pipe("web.7.1", pid, log, 1)
            assert pipe is not None and process.stdin is not None
            pump = Pump(files, OUT, pipe, gaps.append)
            process.stdin.write(b"and on\n")
            await until(lambda: log.read_bytes().endswith(b"and on\n"))
            assert gaps == [SHIM_BUFFER_BYTES]
        await until(lambda: pump.closed)
        files.close()

    asyncio.run(main())
    assert log.read_bytes() == (
        b"torn li\n[capsule] the disk was full: up to 32768 bytes of output were dropped here\nand on\n"
    )


SAID = b"[capsule] the disk was full: up to %d bytes of output were dropped here\n"
SHIMS = SAID % SHIM_BUFFER_BYTES


class Small(RunFiles):
    """A run's log on a disk that may be full."""

    full = False

    def write(self, stream: int, data: bytes) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(stream, data)

    def note(self, stream: int, text: str) -> None:
        self.write(stream, b"")
        super().note(stream, text)


class Lives:
    """Lives of the daemon over one run whose shim gave its pipe up. `gaps` is what they told."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for suffix in SUFFIXES.values():
            path_of(directory, 7, 1, suffix).touch()
        self.gaps: list[int] = []
        self._theirs, self._ours = os.pipe()  # theirs is what a shim still holds, and does not read
        self.begins()

    def begins(self, full: bool = False) -> None:
        """The next life, which finds the pipe as the first one did."""
        self.files = Small(self.directory, 7, 1)
        self.files.full = full
        pipe = os.open(f"/proc/self/fd/{self._theirs}", os.O_RDONLY | os.O_NONBLOCK)
        self._pump = Pump(self.files, OUT, pipe, self.gaps.append)

    async def says(self, data: bytes) -> None:
        """The container does, and it is read."""
        os.write(self._ours, data)
        await until(lambda: not select.select([self._theirs], [], [], 0)[0])

    def stops(self, goes_on: bool = True) -> None:
        """The daemon in good order; or else the run."""
        self._pump.close(goes_on)
        self.files.close()

    def dies(self) -> None:
        """The daemon, at once: nothing is told."""
        asyncio.get_running_loop().remove_reader(self._pump._pipe)
        os.close(self._pump._pipe)
        self.files.close()

    def log(self) -> bytes:
        return path_of(self.directory, 7, 1, SUFFIXES[OUT]).read_bytes()


@pytest.mark.parametrize("death", [Lives.stops, Lives.dies])
def test_a_later_life_does_not_tell_again_what_was_told(tmp_path: Path, death: Callable[[Lives], None]) -> None:
    async def main() -> None:
        lives = Lives(tmp_path)
        await lives.says(b"one\n")
        death(lives)
        lives.begins()
        await lives.says(b"two\n")
        death(lives)
        lives.begins()
        lives.stops(goes_on=False)
        assert lives.log() == SHIMS + b"one\ntwo\n" and lives.gaps == [SHIM_BUFFER_BYTES]

    asyncio.run(main())


def test_what_a_life_could_not_tell_the_next_one_does_and_once(tmp_path: Path) -> None:
    async def main() -> None:
        lives = Lives(tmp_path)
        lives.dies()
        lives.begins()
        lives.stops()
        lives.begins()
        lives.stops()
        assert lives.log() == SHIMS and lives.gaps == [SHIM_BUFFER_BYTES]
        # It is full again, and the daemon dies before there is room: how much went nobody knows, but that it did.
        lives.begins(full=True)
        await lives.says(b"gone\n")
        lives.dies()
        lives.begins()
        await lives.says(b"three\n")
        lives.stops()
        assert lives.log() == SHIMS + SHIMS + b"three\n" and lives.gaps == [SHIM_BUFFER_BYTES] * 2

    asyncio.run(main())


def test_a_loss_is_counted_once_over_starts_on_a_disk_that_stays_full(tmp_path: Path) -> None:
    async def main() -> None:
        lives = Lives(tmp_path)
        lives.files.full = True
        await lives.says(b"gone\n")
        lives.stops()
        for _ in range(3):
            lives.begins(full=True)
            lives.stops()
        assert lives.gaps == [5]
        lives.begins(full=True)
        lives.stops(goes_on=False)
        assert lives.gaps == [5, SHIM_BUFFER_BYTES] and lives.log() == b""

    asyncio.run(main())


def test_a_disk_that_takes_no_mark_costs_nothing_but_that_it_is_told_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(fd: int, mode: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    async def main() -> None:
        lives = Lives(tmp_path)
        monkeypatch.setattr(os, "fchmod", refuse)
        await lives.says(b"one\n")
        lives.stops()
        lives.begins()
        await lives.says(b"two\n")
        lives.stops()
        assert lives.log() == SHIMS + b"one\n" + SHIMS + b"two\n"

    asyncio.run(main())


def test_restarts_of_the_daemon_leave_no_word_of_theirs_in_a_silent_runs_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr(recorder_module, "RunFiles", Small)
        made = House(tmp_path)
        made.story.apply(declared("web"))
        cid = container_id("web", made.story["web"].uid, 1)
        logs = [path_of(tmp_path / "web", made.story["web"].uid, 1, SUFFIXES[stream]) for stream in (OUT, ERR)]
        async with asyncio.timeout(20), shim(cid, "gave up", logs[0]) as (pid, _):
            made.starts("web", pid=pid)
            for full in (True, True, False, False, False):
                monkeypatch.setattr(Small, "full", full)
                growth = Growth()
                async with asyncio.TaskGroup() as group:
                    recorder = Recorder(made, tmp_path, growth, SystemClock(), group)  # type: ignore[arg-type]
                    recorder.open()
                    recorder.close()
                    await asyncio.sleep(0)  # what it tells is remembered in the loop's next turn
                growth.close()
            told = [event for event in made.remembered if isinstance(event, WorkloadLogDropped)]
            assert [(event.stream, event.dropped_bytes) for event in told] == [
                ("stdout", SHIM_BUFFER_BYTES), ("stderr", SHIM_BUFFER_BYTES),
            ]  # fmt: skip
            assert [log.read_bytes() for log in logs] == [SHIMS, SHIMS]

    asyncio.run(main())
