"""Recording and following, on real files and a state that is told by hand."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Unpack

import pytest

from capsule.v1 import workload_pb2 as pb
from capsuled.logs import recorder
from capsuled.logs.cutting import remove
from capsuled.logs.files import INDEX_SUFFIX, path_of
from capsuled.logs.growth import BURST, PAUSE_S, Growth
from capsuled.logs.index import Cursor
from capsuled.logs.plain import BOOTS_KEPT, PlainLog, earlier_boots, forget_boots
from capsuled.logs.recorder import Recorder
from capsuled.logs.retention import RUNS_KEPT
from capsuled.logs.stream import LogStreams
from journal.clock import SystemClock
from journal.events import Event
from projections.intents import Stop
from projections.state import Machine, Workload
from tests.support.story import Declaring, Story, declared
from tests.support.until import until


class House:
    """An engine's face on a story; `on_change` is called by hand."""

    def __init__(self, directory: Path) -> None:
        self.story = Story()
        self.directory = directory
        self.remembered: list[Event] = []
        self._wakers: list[Callable[[str, int], None]] = []

    @property
    def machine(self) -> Machine:
        return self.story.machine

    def workload(self, name: str) -> Workload | None:
        return self.machine.workloads.get(name)

    def on_change(self, waker: Callable[[str, int], None]) -> None:
        self._wakers.append(waker)

    async def durable(self, seq: int | None = None) -> None:
        await asyncio.sleep(0)

    def record(self, events: tuple[Event, ...], cause: int = 0, reserved: bool = False, *, vital: bool = False) -> int:
        self.remembered += events
        return 1

    def changed(self, name: str) -> None:
        for waker in self._wakers:
            waker(name, self.machine.seq)

    def starts(self, name: str, pid: int = 0, **fields: Unpack[Declaring]) -> None:
        """A run begins, with its files."""
        if name not in self.machine.workloads:
            self.story.apply(declared(name, **fields))
        number = self.story.run_starts(name, pid=pid)
        (self.directory / name).mkdir(exist_ok=True)
        for suffix in (".out", ".err"):
            path_of(self.directory / name, self.story[name].uid, number, suffix).touch()
        self.changed(name)

    def writes(self, name: str, data: bytes, suffix: str = ".out") -> None:
        workload = self.story[name]
        assert workload.run is not None
        with path_of(self.directory / name, workload.uid, workload.run.number, suffix).open("ab") as file:
            file.write(data)

    def ends(self, name: str, exit_code: int = 1) -> None:
        self.story.run_ends(name, exit_code)
        self.changed(name)
        self.story.cleaned(name)
        self.changed(name)

    def stops(self, name: str) -> None:
        self.story.call(Stop(name))
        self.ends(name, 0)


@asynccontextmanager
async def house(directory: Path) -> AsyncIterator[tuple[House, LogStreams]]:
    made = House(directory)
    growth = Growth()
    try:
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            recorder = Recorder(made, directory, growth, SystemClock(), group)  # type: ignore[arg-type]
            recorder.open()
            yield made, LogStreams(made, recorder, directory)  # type: ignore[arg-type]
            recorder.close()
    finally:
        growth.close()


def run(main: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(main())  # type: ignore[arg-type]


async def text(made: House, streams: LogStreams, name: str, **fields: object) -> bytes:
    request = pb.WorkloadLogsRequest(name=name, **fields)  # type: ignore[arg-type]
    return b"".join([chunk.data async for chunk in streams.stream(made.story[name], request)])


def test_a_followed_log_goes_on_over_runs_and_ends_with_the_workload(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, streams):
            made.starts("web")
            made.writes("web", b"one\n")
            got: list[bytes] = []

            async def follow() -> None:
                request = pb.WorkloadLogsRequest(name="web", follow=True)
                async for chunk in streams.stream(made.story["web"], request):
                    got.append(chunk.data)

            follower = asyncio.create_task(follow())
            await until(lambda: got == [b"one\n"])
            made.writes("web", b"half")
            await until(lambda: got[-1] == b"half")
            made.ends("web")
            made.starts("web")
            made.writes("web", b"two\n")
            await until(lambda: got[-1] == b"two\n")
            made.writes("web", b"three\n", ".err")
            made.stops("web")
            await follower
            assert got == [b"one\n", b"half", b"two\n", b"three\n"]

    run(main)


def test_a_log_that_cannot_be_taken_up_leaves_none_of_its_files_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiled(directory: Path, uid: int) -> list[int]:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(directory))

    async def main() -> None:
        async with house(tmp_path) as (made, _):
            made.starts("web")
            made.ends("web")
            monkeypatch.setattr(recorder, "runs_of", spoiled)
            made.starts("web")
            opened = [one.resolve() for one in Path("/proc/self/fd").iterdir()]
            assert not [path for path in opened if path.is_relative_to(tmp_path / "web")]

    run(main)


def test_what_the_runtime_copies_after_it_told_of_an_end_is_not_missed(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, streams):
            made.starts("web", restart="never")
            made.writes("web", b"begin\n")
            follower = asyncio.create_task(text(made, streams, "web", follow=True))
            await asyncio.sleep(0)
            made.story.run_ends("web", 0)
            made.changed("web")
            for _ in range(20):
                await asyncio.sleep(0)
            made.writes("web", b"the last words\n")
            made.story.cleaned("web")
            made.changed("web")
            assert await follower == b"begin\nthe last words\n"
            path = path_of(tmp_path / "web", made.story["web"].uid, 1, INDEX_SUFFIX)
            assert list(Cursor().feed(path.read_bytes()))[-1].end == 21

    run(main)


def test_a_follower_that_takes_nothing_holds_up_nobody(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, streams):
            made.starts("web")
            made.writes("web", b"begin\n")
            slow = aiter(streams.stream(made.story["web"], pb.WorkloadLogsRequest(name="web", follow=True)))
            await anext(slow)
            others = [asyncio.create_task(text(made, streams, "web", follow=True)) for _ in range(100)]
            for number in range(200):
                made.writes("web", b"%d\n" % number)
                await asyncio.sleep(0)
            made.stops("web")
            whole = b"begin\n" + b"".join(b"%d\n" % number for number in range(200))
            assert set(await asyncio.gather(*others)) == {whole}
            assert b"".join([chunk.data async for chunk in slow]) == whole.removeprefix(b"begin\n")

    run(main)


def test_with_a_time_to_begin_the_runs_before_belong_to_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, streams):
            for number in range(1, 4):
                made.starts("web")
                made.writes("web", b"run %d\nand %d\n" % (number, number))
                made.ends("web")
            assert await text(made, streams, "web") == b"run 3\nand 3\n"
            assert await text(made, streams, "web", previous=True) == b"run 2\nand 2\n"
            assert await text(made, streams, "web", run=1, since_unix_ns=1) == b"run 1\nand 1\n"
            whole = b"".join(b"run %d\nand %d\n" % (number, number) for number in range(1, 4))
            assert await text(made, streams, "web", since_unix_ns=1) == whole
            assert await text(made, streams, "web", since_unix_ns=1, tail_lines=3) == b"and 2\nrun 3\nand 3\n"
            assert await text(made, streams, "web", since_unix_ns=SystemClock().wall_ns() + 10**9) == b""

    run(main)


def test_with_a_time_to_end_alone_the_runs_before_belong_to_it_too(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, streams):
            made.starts("web")
            made.writes("web", b"run 1\n")
            made.ends("web")
            assert await text(made, streams, "web") == b"run 1\n", "it is seen by then"
            await asyncio.sleep(0.02)
            until_ns = SystemClock().wall_ns()
            await asyncio.sleep(0.02)
            made.starts("web")
            made.writes("web", b"run 2\n")
            assert await text(made, streams, "web", until_unix_ns=until_ns) == b"run 1\n"
            assert await text(made, streams, "web", until_unix_ns=1 << 62, tail_lines=1) == b"run 2\n"
            assert await text(made, streams, "web", until_unix_ns=until_ns, run=2) == b""

    run(main)


@pytest.mark.parametrize("asked", [{}, {"tail_lines": 1_000}, {"until_unix_ns": 1 << 62}], ids=str)
def test_a_slow_client_of_many_runs_holds_few_files(tmp_path: Path, asked: dict[str, int]) -> None:
    """Each client may choose how long it takes, and all of them together have the daemon's files."""

    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))

    async def main() -> None:
        async with house(tmp_path) as (made, streams):
            for number in range(1, RUNS_KEPT + 1):
                if number > 1:
                    made.ends("web")
                made.starts("web")
                made.writes("web", b"run %d\n" % number)
            before, most, got = open_files(), 0, b""
            request = pb.WorkloadLogsRequest(name="web", follow=True, since_unix_ns=1, **asked)  # type: ignore[arg-type]
            async with aclosing(streams.stream(made.story["web"], request)) as chunks:
                async for chunk in chunks:
                    most = max(most, open_files() - before)
                    got += chunk.data
                    if chunk.run == RUNS_KEPT:
                        break
            assert got == b"".join(b"run %d\n" % number for number in range(1, RUNS_KEPT + 1))
            assert most <= 6, "one that is read, and the last one"
            assert open_files() == before

    run(main)


def test_who_comes_too_late_to_a_run_is_told_what_is_not_kept_any_more(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, streams):
            for number in range(1, 4):
                made.starts("web")
                made.writes("web", b"run %d\n" % number)
                made.ends("web")
            request = pb.WorkloadLogsRequest(name="web", since_unix_ns=1)
            slow = aiter(streams.stream(made.story["web"], request))
            assert (await anext(slow)).data == b"run 1\n"
            remove(tmp_path / "web", made.story["web"].uid, 2)
            told = [chunk async for chunk in slow]
            missed = b"[capsule] 6 bytes of stdout are gone: the log of run 2 is not kept any more\n"
            assert [(chunk.data, chunk.dropped_bytes) for chunk in told] == [(missed, 6), (b"run 3\n", 0)]

    run(main)


def test_a_flood_is_noted_now_and_then_and_a_quiet_log_line_by_line(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, streams):
            made.starts("web")
            path = path_of(tmp_path / "web", made.story["web"].uid, 1, INDEX_SUFFIX)

            def marks() -> int:
                return len(list(Cursor().feed(path.read_bytes())))

            for number in range(5):
                made.writes("web", b"line %d\n" % number)
                await until(lambda number=number: marks() == number + 1)  # type: ignore[misc]
            began = asyncio.get_running_loop().time()
            for _ in range(2_000):
                made.writes("web", b"flood\n")
                await asyncio.sleep(0)
            took = asyncio.get_running_loop().time() - began
            assert 5 < marks() <= 5 + BURST + took / PAUSE_S + 2
            assert len(await text(made, streams, "web")) == 5 * 7 + 2_000 * 6

    run(main)


def test_a_deleted_workload_leaves_no_file_behind(tmp_path: Path) -> None:
    async def main() -> None:
        async with house(tmp_path) as (made, _):
            made.starts("web")
            made.writes("web", b"one\n")
            uid = made.story["web"].uid
            made.stops("web")
            for path in (tmp_path / "web").iterdir():
                path.unlink()
            del made.machine.workloads["web"]
            made.changed("web")
            assert list((tmp_path / "web").glob(f"{uid}.*")) == []

    run(main)


def test_the_daemon_s_own_log_is_bounded_and_followed(tmp_path: Path) -> None:
    async def main() -> None:
        growth = Growth()
        path = tmp_path / "own.log"
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            log = PlainLog(growth, group, path, max_bytes=64 << 10)
            got = bytearray()

            async def follow() -> None:
                async for data in log.stream(follow=True, tail_lines=0):
                    got.extend(data)

            follower = asyncio.create_task(follow())
            lines = [b"%d " % number + b"x" * 8_000 + b"\n" for number in range(40)]
            whole = b"".join(lines)
            for line in lines:
                reach = len(got) + len(line)
                with path.open("ab") as file:
                    file.write(line)
                await until(lambda reach=reach: len(got) == reach)  # type: ignore[misc]
            assert got == whole
            await until(lambda: path.stat().st_blocks * 512 <= 64 << 10)
            tail = b"".join([data async for data in log.stream(follow=False, tail_lines=2)])
            assert tail == b"".join(whole.splitlines(keepends=True)[-2:])
            kept = b"".join([data async for data in log.stream(follow=False, tail_lines=0)])
            assert whole.endswith(kept) and kept.split(b" ")[0].isdigit() and len(kept) > 32 << 10
            follower.cancel()
            log.close()
        growth.close()

    run(main)


def test_the_logs_of_the_newest_boots_are_kept(tmp_path: Path) -> None:
    boots = [tmp_path / f"{number:08d}-0000-0000-0000-000000000000.log" for number in range(12)]
    for number, path in enumerate(boots):
        path.write_text("boot")
        os.utime(path, (number, number))
    (tmp_path / "containerd.log").write_text("other")
    forget_boots(boots[0])
    assert {path.name for path in tmp_path.iterdir()} == {
        "containerd.log",
        boots[0].name,
        *(path.name for path in boots[5:]),
    }


def test_the_last_boots_log_is_kept_and_is_the_newest_where_the_clock_begins_in_the_past(tmp_path: Path) -> None:
    boots = [tmp_path / f"{number:08d}-0000-0000-0000-000000000000.log" for number in range(3 * BOOTS_KEPT)]
    for number, path in enumerate(boots):
        path.write_text("boot")
        forget_boots(path)
        assert earlier_boots(path) == boots[max(0, number - BOOTS_KEPT + 1) : number][::-1]
        # By turns the network tells the time, it does not, and the clock is in the future.
        os.utime(path, ((1_800_000_000 + number, 9, 4_000_000_000)[number % 3],) * 2)
        forget_boots(path)  # the daemon is started again in the same boot


def test_logs_that_cannot_be_put_in_order_keep_no_daemon_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    present, earlier = (tmp_path / f"{number:08d}-0000-0000-0000-000000000000.log" for number in range(2))
    earlier.write_text("boot")

    def refuse(path: Path, mode: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(Path, "chmod", refuse)
    forget_boots(present)
    assert "the logs of earlier boots stay as they are: Read-only file system" in caplog.text
