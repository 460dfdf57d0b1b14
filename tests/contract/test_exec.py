"""The contract of an executor, on the twin and on containerd: streams, terminals, ends, and nothing left behind."""

import asyncio
import contextlib
import os
import signal
from typing import Any

import pytest

from effects.errors import (
    BadUser,
    BadWorkingDir,
    DriverError,
    EntrypointMissing,
    NotExecutable,
    NotRunning,
    RuntimeUnavailable,
)
from effects.runs.exec_protocol import ExecRequest, Window
from tests.contract.exec_subjects import BOTH, Subject, everything, run_suite, until, with_container
from tests.support.runtime import runtime


@BOTH
def test_output_and_exit_code_are_the_processs_own(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        assert await everything(await made.open("echo", "a", "b")) == (b"a b\n", b"", 0)
        assert (await everything(await made.open("exit", "7")))[2] == 7
        assert await made.alive() == 0

    run_suite(subject, suite)


@BOTH
def test_input_arrives_whole_and_its_end_is_seen(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        session = await made.open("cat")
        await session.write(b"")  # no end of file
        text = b"x" * 100_000 + b"\n"
        feeding = asyncio.ensure_future(session.write(text))
        feeding.add_done_callback(lambda _: asyncio.ensure_future(session.end_input()))
        assert await everything(session) == (text, b"", 0)

    run_suite(subject, suite)


@BOTH
def test_input_that_ends_at_once_does_not_end_the_process(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        for tty in (False, True):
            session = await made.open("sleep", tty=tty)
            await session.end_input()
            await session.end_input()
            await session.signal(signal.SIGTERM)
            assert (await everything(session))[2] == 143

    run_suite(subject, suite)


@BOTH
def test_without_input_its_end_is_there_from_the_beginning(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        session = await made.open("cat", stdin=False)
        await session.write(b"dropped")
        await session.end_input()
        assert await everything(session) == (b"", b"", 0)
        shown = await made.open("size", tty=True, stdin=False, window=Window(cols=50, rows=20))
        assert await until(shown, b"\n") == b"20 50\r\n"
        await shown.end_input()
        await shown.close()
        assert await made.alive() == 0

    run_suite(subject, suite)


@BOTH
def test_a_terminal_has_its_size_from_the_first_moment_and_hears_of_every_other(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        session = await made.open("size", tty=True, window=Window(cols=111, rows=33))
        assert await until(session, b"\n") == b"33 111\r\n"
        await session.resize(Window(cols=40, rows=10))
        assert await until(session, b"\n") == b"10 40\r\n"
        await session.close()
        usual = await made.open("size", tty=True)
        assert await until(usual, b"\n") == b"24 80\r\n"
        await usual.close()
        assert await made.alive() == 0

    run_suite(subject, suite)


@BOTH
def test_without_a_terminal_a_size_means_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        session = await made.open("cat")
        await session.resize(Window(cols=40, rows=10))
        await session.end_input()
        assert (await everything(session))[2] == 0

    run_suite(subject, suite)


@BOTH
def test_keys_of_a_terminal_reach_the_process_as_signals_and_ends(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        interrupted = await made.open("cat", tty=True)
        await interrupted.write(b"\x03")
        assert (await everything(interrupted))[2] == 130
        ended = await made.open("cat", tty=True)
        await ended.write(b"\x04")
        assert (await everything(ended))[2] == 0

    run_suite(subject, suite)


@BOTH
def test_signals_reach_the_process_and_an_ended_one_minds_none(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        session = await made.open("sleep")
        await session.signal(signal.SIGINT)
        assert await session.wait() == 130
        await session.signal(signal.SIGINT)
        await session.write(b"too late")
        await session.end_input()
        await session.close()

    run_suite(subject, suite)


@BOTH
def test_a_session_that_is_closed_leaves_nothing_however_stubborn(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        for program in ("sleep", "stubborn"):
            for tty in (False, True):
                session = await made.open(program, tty=tty)
                assert await made.alive() > 0
                await session.close()
                assert await made.alive() == 0
                await session.close()

    run_suite(subject, suite)


@BOTH
def test_what_cannot_be_executed_is_named_and_leaves_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        for tty in (False, True):
            with pytest.raises(EntrypointMissing) as missing:
                await made.open("missing", tty=tty)
            with pytest.raises(NotExecutable):
                await made.open("unexecutable", tty=tty)
            assert missing.value.reason == "ENTRYPOINT_MISSING"
        assert await made.alive() == 0

    run_suite(subject, suite)


@BOTH
def test_there_is_no_exec_in_a_container_that_does_not_run(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        with pytest.raises(NotRunning):
            await made.executor.open(ExecRequest("web", 7, 2, ("true",)))
        session = await made.open("sleep")
        await made.containers.stop("web", 7, 1, grace_ms=0)
        assert (await everything(session))[2] == 137
        with pytest.raises(NotRunning):
            await made.open("true")

    run_suite(subject, suite)


@BOTH
def test_the_next_life_of_the_daemon_ends_what_this_one_left_open(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        await made.open("sleep")
        await made.open("stubborn", tty=True)
        before = 1 + made.stubborn
        for _ in range(1_000):
            if await made.alive() == before:
                break
            await asyncio.sleep(0.01)
        await made.executor.sweep()  # its own are no leftovers
        assert await made.alive() == before
        await made.next_life().sweep()
        assert await made.alive() == 0

    run_suite(subject, suite)


@pytest.mark.real
def test_user_directory_and_environment_of_an_exec_are_its_own() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            await with_container(made)

            async def told(script: str, **fields: Any) -> str:
                request = ExecRequest("web", 7, 1, ("sh", "-c", script), **fields)
                return (await everything(await made.executor.open(request)))[0].decode().strip()

            assert await told("id -u; pwd") == "0\n/"
            assert await told("id -u; id -g; pwd", user="web", working_dir="/tmp") == "101\n102\n/tmp"
            assert await told("grep CapEff /proc/self/status", user="1234:5") == "CapEff:\t0000000000000000"
            assert await told("echo $A $TERM", env=(("A", "1"),)) == "1"
            assert await told("echo $TERM", tty=True) == "xterm"
            assert await told("echo $TERM", tty=True, env=(("TERM", "vt100"),)) == "vt100"
            assert await told("test -t 0 && test -t 1 && test -t 2 && echo all", tty=True) == "all"
            with pytest.raises(BadUser):
                await told("true", user="nobody-here")
            with pytest.raises(BadWorkingDir):
                await told("true", working_dir="/no/such")

    asyncio.run(main())


@pytest.mark.real
def test_a_session_outlives_containerd_with_its_streams_and_its_exit_code() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            await with_container(made)
            session = await made.executor.open(ExecRequest("web", 7, 1, ("sh", "-c", "cat; exit 9")))
            os.kill(made.pid(), signal.SIGKILL)
            await session.write(b"word\n")
            await session.end_input()
            assert await everything(session) == (b"word\n", b"", 9)

    asyncio.run(main())


@pytest.mark.real
@pytest.mark.parametrize("after_ms", [0, 5, 15, 30, 60])
def test_an_opening_that_containerd_dies_in_leaves_nothing_behind(after_ms: int) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), runtime() as made:
            subject = await with_container(made)
            opening = asyncio.ensure_future(subject.open("stubborn", tty=after_ms % 2 == 1))
            await asyncio.sleep(after_ms / 1000)
            os.kill(made.pid(), signal.SIGKILL)
            try:
                session = await opening
            except DriverError as error:
                assert error.reason in ("RUNTIME_UNAVAILABLE", "START_FAILED", "NOT_RUNNING"), error
            else:
                with contextlib.suppress(RuntimeUnavailable):
                    await session.close()
            await made.connection.ready()
            while True:
                try:
                    await subject.next_life().sweep()
                    break
                except DriverError:
                    await asyncio.sleep(0.05)
            assert await subject.alive() == 0
            assert list((made.run / "exec").iterdir()) == []
            assert (await everything(await subject.open("exit", "4")))[2] == 4

    asyncio.run(main())
