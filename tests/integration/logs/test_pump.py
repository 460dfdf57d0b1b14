"""When the daemon steps in for a shim, and when it must not."""

import asyncio
import os
import sys
import textwrap
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from capsuled.logs.files import SUFFIXES, RunFiles, path_of
from capsuled.logs.index import OUT
from capsuled.logs.pump import SHIM_BUFFER_BYTES, Pump, abandoned_pipe
from tests.support.until import until

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
