"""The contract of a prober, on the twin and on containerd: well, ill, gone, cut short, and nothing left behind."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from effects.errors import GuestBusy
from effects.health.prober import MachineProber
from effects.health.protocol import Prober, Target
from effects.health.twin import TwinProber
from effects.runs.exec_protocol import ExecRequest, ExecSession
from effects.runs.protocol import RunSpec
from effects.runs.twin import TwinContainers, World
from journal.specs import HealthCheck
from projections.health import Failure, Finding, words
from tests.contract.exec_subjects import with_container
from tests.support.runtime import Runtime, runtime

DIGEST = "sha256:" + "1" * 64
SLOW = "slow"


class Subject:
    """A prober, and what to say to be found well, ill, or not at all in time."""

    def __init__(self, prober: Prober, words: dict[str, tuple[str, ...]], left: Callable[[], Awaitable[int]]) -> None:
        self.prober = prober
        self.words = words
        self.left = left

    async def look(self, how: str, run: int = 1) -> Finding | None:
        check = HealthCheck("exec", self.words[how])
        return await self.prober.look(Target("web", 7, run, check, "127.0.0.1"))


@asynccontextmanager
async def twin() -> AsyncIterator[Subject]:
    world = World({DIGEST})
    wanted = [True]

    async def step(point: str) -> None:
        await asyncio.sleep(3_600 if subject.slow else 0)

    class Twin(Subject):
        slow = False

        async def look(self, how: str, run: int = 1) -> Finding | None:
            wanted[0], self.slow = how == "well", how == SLOW
            return await super().look(how, run)

    async def left() -> int:
        return 0

    subject = Twin(
        TwinProber(world, step, lambda key: wanted[0]), dict.fromkeys(("well", "ill", SLOW), ("look",)), left
    )

    async def at_once(point: str) -> None:
        await asyncio.sleep(0)

    await TwinContainers(world, at_once).ensure_running(RunSpec("web", 7, 7, 1, DIGEST, args=("serve",)))
    yield subject


@asynccontextmanager
async def real() -> AsyncIterator[Subject]:
    async with runtime() as made:
        inside = await with_container(made)
        words = {
            "well": ("true",),
            "ill": ("sh", "-c", "echo broken; exit 3"),
            SLOW: ("sleep", "4711"),
        }
        yield Subject(MachineProber(made.executor), words, inside.alive)


BOTH = pytest.mark.parametrize(
    "subject", [twin, pytest.param(real, marks=pytest.mark.real)], ids=["twin", "containerd"]
)


def run_suite(subject: Any, suite: Callable[[Any], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), subject() as made:
            await suite(made)

    asyncio.run(main())


@BOTH
def test_a_look_finds_it_well_or_says_why_not(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        assert await made.look("well") == Finding()
        found = await made.look("ill")
        assert found is not None and found.failure is Failure.EXITED and found.code == 3
        assert await made.look("well") == Finding()
        assert await made.left() == 0

    run_suite(subject, suite)


@BOTH
def test_of_a_run_that_is_not_there_nothing_is_said(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        assert await made.look("well", run=2) is None

    run_suite(subject, suite)


@BOTH
def test_a_look_that_is_cut_short_leaves_nothing(subject: Any) -> None:
    async def suite(made: Subject) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await made.look(SLOW)
        assert await made.left() == 0
        assert await made.look("well") == Finding()

    run_suite(subject, suite)


# --- the machine's alone: what a command says, and ports ---------------------------------------------------------


@asynccontextmanager
async def machine() -> AsyncIterator[tuple[Runtime, MachineProber]]:
    async with runtime() as made:
        await with_container(made)
        yield made, MachineProber(made.executor)


def inside(*argv: str) -> Target:
    return Target("web", 7, 1, HealthCheck("exec", argv), "127.0.0.1")


SECRET = "s3cret"


def kept(found: Finding | None, target: Target) -> str:
    """All that anybody hears of a look."""
    assert found is not None and found.failure is not None
    return f"{found!r} {words(found, target.check)}"


@pytest.mark.real
def test_of_a_command_its_code_is_told_and_how_much_it_wrote_but_not_what() -> None:
    async def main() -> None:
        async with asyncio.timeout(60), machine() as (_, prober):
            broken = inside("sh", "-c", f"echo {SECRET} >&2; exit 3")
            found = await prober.look(broken)
            assert found == Finding(Failure.EXITED, 3, len(SECRET) + 1) and SECRET not in kept(found, broken)
            loud = await prober.look(inside("sh", "-c", "yes | head -c 4000000; exit 1"))
            assert loud == Finding(Failure.EXITED, 1, 4_000_000)
            absent = await prober.look(inside("no-such-program"))
            assert absent == Finding(Failure.NOT_STARTED, reason="ENTRYPOINT_MISSING")
            kept_open = await prober.look(inside("sh", "-c", "sleep 4711 & exit 2"))
            assert kept_open == Finding(Failure.EXITED, 2)

    asyncio.run(main())


def at(probe: str, port: int, path: str = "/") -> Target:
    return Target("web", 7, 1, HealthCheck(probe, port=port, path=path), "127.0.0.1")  # type: ignore[arg-type]


@asynccontextmanager
async def serving(answer: bytes) -> AsyncIterator[int]:
    """A port of this machine that answers whatever it is asked with the same."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer:
            asked.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


class NoExecutor:
    """Ports are asked without it."""


PROBER = MachineProber(NoExecutor())  # type: ignore[arg-type]


class BusyExecutor:
    """Of a guest that has as many sessions as it carries."""

    async def open(self, request: ExecRequest) -> ExecSession:
        raise GuestBusy("48 execs are open")

    async def sweep(self) -> None:
        raise NotImplementedError


def test_of_a_guest_that_carries_no_further_command_nothing_is_said() -> None:
    assert asyncio.run(MachineProber(BusyExecutor()).look(inside("true"))) is None


@pytest.mark.parametrize(
    ("status", "ok"), [("200 OK", True), ("302 Found", True), ("404 Not Found", False), ("503 Busy", False)]
)
def test_a_request_is_judged_by_its_status_and_its_body_is_not_read(status: str, ok: bool) -> None:
    async def main() -> None:
        # A body that never comes: who reads it waits for ever.
        answer = f"HTTP/1.1 {status}\r\nlocation: /elsewhere\r\ncontent-length: 1000000000\r\n\r\n".encode()
        async with asyncio.timeout(20), serving(answer) as port:
            found = await PROBER.look(at("http", port, "/ready?now"))
            assert found is not None and (found.failure is None) is ok
            assert ok or found == Finding(Failure.STATUS, int(status[:3]))

    asyncio.run(main())


@pytest.mark.parametrize("location", ["https://nas.home:port/login", "/a\tb", "http://-\u00fc_.home/login"])
def test_where_an_answer_leads_to_is_not_looked_at(location: str) -> None:
    async def main() -> None:
        answer = f"HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode()
        async with asyncio.timeout(20), serving(answer) as port:
            assert await PROBER.look(at("http", port)) == Finding()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (f"HTTP/1.1 503 {SECRET}\r\nx-{SECRET}: {SECRET}\r\ncontent-length: 6\r\n\r\n{SECRET}", Failure.STATUS),
        (f"HTTP/1.1 200 OK\r\n{SECRET}\r\n\r\n", Failure.NO_ANSWER),
        (f"HTTP/1.1 200 OK\r\ncontent-length: {SECRET}\r\n\r\n", Failure.NO_ANSWER),
        (f"{SECRET}\r\n\r\n", Failure.NO_ANSWER),
    ],
    ids=["a status", "a header that is none", "a length that is none", "not HTTP"],
)
def test_of_an_answer_nothing_but_its_status_is_told(answer: str, failure: Failure) -> None:
    async def main() -> None:
        async with asyncio.timeout(20), serving(answer.encode()) as port:
            found = await PROBER.look(at("http", port))
            assert SECRET not in kept(found, at("http", port))
            assert found is not None and found.failure is failure

    asyncio.run(main())


def test_a_port_takes_a_connection_or_says_why_not() -> None:
    async def main() -> None:
        async with asyncio.timeout(20):
            async with serving(b"") as port:
                assert await PROBER.look(at("tcp", port)) == Finding()
            for probe in ("tcp", "http"):
                found = await PROBER.look(at(probe, port))
                assert found == Finding(Failure.NO_CONNECTION) and str(port) in kept(found, at(probe, port))

    asyncio.run(main())
