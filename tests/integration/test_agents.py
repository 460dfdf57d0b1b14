"""What the daemon does with an agent: its first word, its silence, a channel that is cut, and what it cannot be asked."""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import grpc
import pytest

from capsule.guest.v1 import guest_pb2 as pb
from capsuled.rpc import driver_status
from effects.errors import DriverError, DriverLacks, GuestBusy, GuestFailed, NotRunning, RuntimeUnavailable
from effects.microvms import agent as agents
from effects.microvms import relay as relays
from effects.microvms.agents import Agents
from effects.microvms.copier import MicroVMCopier
from effects.microvms.executor import WINDOW_BYTES, MicroVMExecutor
from effects.microvms.guests import MicroVMGuests
from effects.microvms.meter import MicroVMMeter
from effects.microvms.places import Key
from effects.runs.copy_protocol import CopyIn, CopyOut, CopyPlace
from effects.runs.exec_protocol import ExecRequest
from effects.runs.exec_twin import TwinExecutor
from effects.runs.twin import World
from effects.secrets.protocol import SecretDirectory
from effects.stats.protocol import Cpu, Measured, Memory, Pids, Usage
from projections.storage import Fill
from tests.contract.exec_subjects import NextGuest, twin
from tests.support.twin_guest import KEY, Reached, TwinGuest, reached
from tests.support.until import until

HOUR_NS = 3_600 * 10**9


async def _no_step(point: str) -> None:
    await asyncio.sleep(0)


def guest() -> TwinGuest:
    return TwinGuest(TwinExecutor(World(set()), _no_step))


def run(tmp: Path, service: TwinGuest, suite: Callable[[Reached], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), reached(tmp, service) as made:
            await suite(made)

    asyncio.run(main())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is believed after moments."""
    for name, value in (("BEAT_S", 0.01), ("BEAT_WAIT_S", 0.1), ("AGAIN_S", 0.01)):
        monkeypatch.setattr(agents, name, value)


def test_an_agent_that_falls_silent_is_reported_once_and_a_missed_answer_is_not(
    tmp_path: Path, hasty: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "BEAT_WAIT_S", 1.0)  # no answer is missed but those that are swallowed
    service = guest()

    async def suite(made: Reached) -> None:
        await until(lambda: service.asked.count("Status") > 3)
        service.swallows = 1
        await until(lambda: not service.swallows)
        asked = service.asked.count("Status")
        await until(lambda: service.asked.count("Status") > asked + 5)
        assert not made.silent
        service.mute = True
        await until(lambda: made.silent)
        asked = len(service.asked)
        await asyncio.sleep(0.3)
        assert len(made.silent) == 1 and len(service.asked) == asked
        assert "has not answered for" in made.silent[0]

    run(tmp_path, service, suite)


@pytest.mark.parametrize("behind_ns", [HOUR_NS, -HOUR_NS], ids=["behind", "ahead"])
def test_a_guests_clock_that_is_off_is_put_right_by_the_next_beat_and_left_alone_then(
    tmp_path: Path, hasty: None, monkeypatch: pytest.MonkeyPatch, behind_ns: int
) -> None:
    monkeypatch.setattr(agents, "BEAT_WAIT_S", 10.0)
    service = guest()
    service.behind_ns = behind_ns

    async def suite(made: Reached) -> None:
        await until(lambda: bool(service.told_ns))
        assert abs(service.told_ns[0] - behind_ns) < 10**9
        left_ns = service.behind_ns
        assert left_ns is not None and abs(left_ns) < 10**9
        asked = service.asked.count("Status")
        await until(lambda: service.asked.count("Status") > asked + 5)
        assert all(abs(told) < 10**9 for told in service.told_ns[1:])

    run(tmp_path, service, suite)


def test_a_guest_that_does_not_say_what_time_it_has_is_told_nothing(tmp_path: Path, hasty: None) -> None:
    service = guest()

    async def suite(made: Reached) -> None:
        await until(lambda: service.asked.count("Status") > 5)
        assert not service.told_ns

    run(tmp_path, service, suite)


def test_an_agent_that_never_comes_is_waited_for_longer_and_then_reported(tmp_path: Path, hasty: None) -> None:
    async def suite(made: Reached) -> None:
        made.away = True
        began = asyncio.get_running_loop().time()
        await until(lambda: made.silent)
        assert asyncio.get_running_loop().time() - began >= agents.FIRST_MISSES * 0.1

    run(tmp_path, guest(), suite)


@pytest.fixture
def lacking(hasty: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What lacks is looked for again and again while a question waits. What is said of it."""
    monkeypatch.setattr(relays, "DIAL_S", 0.01)
    caplog.set_level(logging.WARNING)
    return caplog


MISSED_S = 2 * agents.FIRST_MISSES * 0.1
"""Twice as long as it takes to believe that an agent never comes."""


def test_without_a_place_for_the_channels_socket_no_guest_is_blamed(
    tmp_path: Path, lacking: pytest.LogCaptureFixture
) -> None:
    async def suite(made: Reached) -> None:
        full, silent = tmp_path / "full", list[str]()
        full.touch()
        others = Agents(full / "agents", lambda key, why: silent.append(why))
        others.add(KEY, made.dial)
        await asyncio.sleep(MISSED_S)
        assert not silent
        full.unlink()
        assert await others.of(*KEY).call("Stats", pb.StatsRequest()) == pb.StatsResponse()
        await others.close()

    run(tmp_path, guest(), suite)
    (told,) = (record.getMessage() for record in lacking.records if record.name == relays.log.name)
    assert "no way can be made to the guest of web" in told and "Not a directory" in told


def test_without_a_descriptor_to_dial_with_no_guest_is_blamed(
    tmp_path: Path, lacking: pytest.LogCaptureFixture
) -> None:
    async def suite(made: Reached) -> None:
        for _ in range(2):
            assert await made.agents.of(*KEY).call("Stats", pb.StatsRequest()) == pb.StatsResponse()
            made.lack = errno.EMFILE
            made.cut()
            await asyncio.sleep(MISSED_S)
            assert not made.silent
            made.lack = 0

    run(tmp_path, guest(), suite)
    told = [record.getMessage() for record in lacking.records if record.name == relays.log.name]
    assert len(told) == 2 and all("Too many open files" in one for one in told), "once, each time"


def test_without_a_descriptor_for_grpcs_own_end_no_guest_is_blamed(tmp_path: Path, hasty: None) -> None:
    async def suite(made: Reached) -> None:
        agent = made.agents.of(*KEY)
        path, agent._path = agent._path, tmp_path / "nowhere"
        await asyncio.sleep(MISSED_S)
        assert not made.silent
        agent._path = path
        assert await agent.call("Stats", pb.StatsRequest()) == pb.StatsResponse()

    run(tmp_path, guest(), suite)


def test_what_nobody_foresaw_on_the_way_to_an_agent_is_logged_and_no_guest_is_blamed(
    tmp_path: Path, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    async def suite(made: Reached) -> None:
        async def dial() -> socket.socket:
            raise ZeroDivisionError

        made.agents.remove(KEY)
        made.agents.add(KEY, dial)
        await asyncio.sleep(MISSED_S)
        assert not made.silent

    run(tmp_path, guest(), suite)
    assert "the way to an agent failed" in caplog.text and "ZeroDivisionError" in caplog.text


def test_who_waits_for_the_agent_of_a_microvm_that_ends_waits_no_longer(tmp_path: Path) -> None:
    async def suite(made: Reached) -> None:
        made.away = True
        asking = asyncio.ensure_future(made.agents.of(*KEY).stream("Exec"))
        await asyncio.sleep(0.1)
        began = asyncio.get_running_loop().time()
        made.agents.remove(KEY)
        with pytest.raises(NotRunning, match="web has ended"):
            await asking
        assert asyncio.get_running_loop().time() - began < agents.WAY_S / 2

    run(tmp_path, guest(), suite)


def test_a_channel_that_is_cut_ends_what_was_asked_and_serves_what_is_asked_next(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), twin() as within:
            service = TwinGuest(within.executor)
            async with reached(tmp_path, service) as made:
                executor = MicroVMExecutor(made.agents)
                session = await executor.open(ExecRequest(*KEY, ("sleep",)))
                asking = asyncio.ensure_future(made.agents.of(*KEY).call("Stats", pb.StatsRequest()))
                service.mute = True
                await until(lambda: "Stats" in service.asked)
                service.mute = False
                made.cut()
                with pytest.raises(RuntimeUnavailable):
                    await asking
                with pytest.raises(NotRunning, match="the way into web was cut"):
                    await session.wait()
                await session.close()
                await NextGuest(made, within.alive).sweep()
                again = await executor.open(ExecRequest(*KEY, ("exit", "3")))
                assert await again.wait() == 3
                await again.close()
                assert service.asked.count("Hello") >= 2, "a first word on each channel"

    asyncio.run(main())


def test_a_guest_that_speaks_no_version_of_ours_runs_on_and_can_be_stopped(
    tmp_path: Path, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    service = guest()
    service.versions = (7, 9)

    async def suite(made: Reached) -> None:
        with pytest.raises(DriverLacks, match="`capsulectl restart web`"):
            await MicroVMExecutor(made.agents).open(ExecRequest(*KEY, ("true",)))
        await made.agents.stop(KEY, 15, 2_000)
        assert service.asked[-1] == "Stop 15 2000"
        await asyncio.sleep(0.5)
        assert not made.silent

    with caplog.at_level(logging.WARNING):
        run(tmp_path, service, suite)
    (told,) = (record.getMessage() for record in caplog.records if record.name == agents.log.name)
    assert "speaks versions 7 to 9, this release 1 to 1" in told and "\x1b" not in told


def test_another_ones_guest_is_not_believed(tmp_path: Path) -> None:
    service = guest()
    service.key = Key("db", 7, 1)

    async def suite(made: Reached) -> None:
        with pytest.raises(GuestFailed, match="says that it is another's"):
            await made.agents.of(*KEY).call("Stats", pb.StatsRequest())

    run(tmp_path, service, suite)


def test_words_without_end_and_numbers_without_bound_are_not_taken(tmp_path: Path) -> None:
    service = guest()

    async def suite(made: Reached) -> None:
        executor = MicroVMExecutor(made.agents)
        for reason, words in (("BAD_USER", "x\x1b]0;y\x07" * 1_000), ("?", "x" * (2 << 20))):
            service.script = (pb.ExecServerMessage(refused=pb.Refused(reason=reason, message=words)),)
            with pytest.raises(DriverError) as raised:
                await executor.open(ExecRequest(*KEY, ("true",)))
            assert len(raised.value.message) < 500 and raised.value.message.isprintable()
        service.stats = pb.StatsResponse(pids=2**64 - 1, memory_working_set_bytes=5, layer_bytes=2**64 - 1)
        meter = MicroVMMeter(MeterOfOne(), made.agents, lambda *_: tmp_path / "none")
        (usage,) = await meter.measure((Measured(*KEY),))
        assert usage.memory == Memory(5) and usage.pids == Pids((1 << 62) - 1) and usage.cpu == Cpu(9)
        assert await meter.layer_bytes("web", 7, 7) == (1 << 62) - 1

    run(tmp_path, service, suite)


class BusyCopier:
    """Of a guest that has as many copies and sessions as it carries."""

    async def into(self, place: CopyPlace) -> CopyIn:
        raise GuestBusy("end some of them first")

    async def out_of(self, place: CopyPlace) -> CopyOut:
        raise GuestBusy("end some of them first")


def test_what_a_guest_carries_no_more_of_is_refused_alike_for_sessions_and_copies(tmp_path: Path) -> None:
    service = TwinGuest(TwinExecutor(World(set()), _no_step), BusyCopier())
    refused = pb.Refused(reason="GUEST_BUSY", message="end some of them first")
    service.script = (pb.ExecServerMessage(refused=refused),)

    async def suite(made: Reached) -> None:
        copier, place = MicroVMCopier(made.agents), CopyPlace("web", 7, 7, 1, "/")
        executor = MicroVMExecutor(made.agents)
        for asking in (executor.open(ExecRequest(*KEY, ("true",))), copier.into(place), copier.out_of(place)):
            with pytest.raises(GuestBusy, match="end some") as raised:
                await asking
            assert driver_status(raised.value.reason) is grpc.StatusCode.RESOURCE_EXHAUSTED

    run(tmp_path, service, suite)


class MeterOfOne:
    """A machine on which one run lives."""

    async def measure(self, runs: tuple[Measured, ...]) -> tuple[Usage, ...]:
        return (Usage(*KEY, 1, cpu=Cpu(9), memory=Memory(1 << 30), pids=Pids(4)),)

    async def layer_bytes(self, name: str, uid: int, revision: int) -> int | None:
        raise AssertionError("that is a container's")


def test_without_an_answer_a_microvm_has_no_figures_but_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effects.microvms.meter.LOOK_S", 0.1)
    layer = tmp_path / "layer"
    layer.write_bytes(bytes(8_192))
    service = guest()

    async def suite(made: Reached) -> None:
        service.mute = True
        meter = MicroVMMeter(MeterOfOne(), made.agents, lambda *_: layer)
        (usage,) = await meter.measure((Measured(*KEY),))
        assert usage == Usage(*KEY, 1, cpu=Cpu(9), whole=False)
        assert await meter.layer_bytes("web", 7, 7) == 8_192
        made.agents.remove(KEY)
        (usage,) = await meter.measure((Measured(*KEY),))
        assert usage == Usage(*KEY, 1, cpu=Cpu(9)), "it has ended: nobody is missed"
        assert await meter.layer_bytes("web", 7, 7) == 8_192
        layer.unlink()
        assert await meter.layer_bytes("web", 7, 7) is None

    run(tmp_path, service, suite)


def test_a_guest_that_hangs_holds_up_whoever_asks_how_full_its_volume_is_no_longer_than_the_meter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effects.microvms.guests.LOOK_S", 0.1)
    service = guest()

    async def suite(made: Reached) -> None:
        service.mute = True
        began = asyncio.get_running_loop().time()
        with pytest.raises(RuntimeUnavailable, match="does not answer"):
            await MicroVMGuests(made.agents).usage(*KEY, "/data")
        assert asyncio.get_running_loop().time() - began < agents.ASK_S / 2

    run(tmp_path, service, suite)


def test_secrets_go_into_a_guest_as_they_lie_in_memory_and_a_volume_is_held_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "key").write_bytes(b"\0secret")
    (tmp_path / "one" / "key").chmod(0o440)
    service = guest()

    async def suite(made: Reached) -> None:
        guests = MicroVMGuests(made.agents)
        await guests.renew_secrets(*KEY, (SecretDirectory(str(tmp_path / "one"), "/run/secrets"),))
        placed = service.secrets["/run/secrets/key"]
        assert (placed.mode, placed.uid, placed.gid, placed.content) == (0o440, 0, 0, b"\0secret")
        async with guests.frozen(*KEY, "/data"):
            assert service.asked[-1] == "Freeze /data"
        assert service.asked[-1] == "Thaw /data"
        with pytest.raises(ZeroDivisionError):
            async with guests.frozen(*KEY, "/late"):
                raise ZeroDivisionError
        assert service.asked[-1] == "Thaw /late"
        with pytest.raises(NotRunning, match="was ended while /late was copied"):
            async with guests.frozen(*KEY, "/late"):
                pass
        with monkeypatch.context() as shorter, pytest.raises(GuestFailed, match="may not be whole"):
            shorter.setattr("effects.microvms.guests.FREEZE_S", 0.05)
            async with guests.frozen(*KEY, "/late"):
                await asyncio.sleep(0.1)
        service.stats = pb.StatsResponse(volumes=[pb.VolumeFill(path="/data", total_bytes=9, used_bytes=4)])
        assert await guests.usage(*KEY, "/data") == Fill(9, 4) and await guests.usage(*KEY, "/other") is None
        made.agents.remove(KEY)
        with pytest.raises(NotRunning):
            async with guests.frozen(*KEY, "/data"):
                raise AssertionError("nobody holds it still")

    run(tmp_path, service, suite)


def test_a_guest_that_says_what_has_no_place_in_an_exec_ends_that_exec_and_no_other(tmp_path: Path) -> None:
    service = guest()
    started = pb.ExecServerMessage(started=pb.ExecStarted(pid=1))
    text, ended = pb.ExecServerMessage(stdout=b"x"), pb.ExecServerMessage(exit=3)

    async def told(made: Reached, *script: pb.ExecServerMessage) -> tuple[bytes, int]:
        service.script = script
        session = await MicroVMExecutor(made.agents).open(ExecRequest(*KEY, ("true",)))
        try:
            written = b"".join([data async for _, data in session.output()])
            return written, await session.wait()
        finally:
            await session.close()

    async def suite(made: Reached) -> None:
        assert await told(made, started, text, ended) == (b"x", 3)
        assert await told(made, started, ended, text) == (b"", 3), "it had ended"
        assert (await told(made, started, pb.ExecServerMessage(exit=-5)))[1] == 251
        for nonsense in (
            started,
            pb.ExecServerMessage(taken=1),
            pb.ExecServerMessage(),
            pb.ExecServerMessage(refused=pb.Refused()),
        ):
            with pytest.raises(GuestFailed, match="has no place in an exec"):
                await told(made, started, text, nonsense)
        with pytest.raises(NotRunning):
            await told(made, started, text)
        with pytest.raises(GuestFailed, match="did not say that the process began"):
            await told(made, text)

    run(tmp_path, service, suite)


def test_a_guest_that_does_not_read_what_an_exec_is_told_holds_up_nobody_who_closes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effects.microvms.executor.CLOSE_S", 0.5)
    service = guest()
    service.deaf = True

    async def suite(made: Reached) -> None:
        session = await MicroVMExecutor(made.agents).open(ExecRequest(*KEY, ("true",)))
        saying = [asyncio.ensure_future(session.write(bytes(WINDOW_BYTES))), asyncio.ensure_future(session.signal(15))]
        _, held_up = await asyncio.wait(saying, timeout=0.5)
        assert len(held_up) == 2
        async with asyncio.timeout(10):
            with pytest.raises(RuntimeUnavailable, match="has not ended a process of exec"):
                await session.close()
            assert await asyncio.gather(*saying) == [None, None]
        with pytest.raises(NotRunning):
            await session.wait()
        assert await made.agents.of(*KEY).call("Stats", pb.StatsRequest()) == pb.StatsResponse(), "on its own channel"

    run(tmp_path, service, suite)


def test_a_guest_in_which_something_else_answers_is_none_that_answers(tmp_path: Path, hasty: None) -> None:
    chance = Random(7)
    preface = b"\0\0\0\4\0\0\0\0\0"

    async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(chance.choice((b"", preface)) + chance.randbytes(chance.randrange(100_000)))
        with contextlib.suppress(OSError):
            await reader.read(1 << 16)
            await writer.drain()
        writer.close()

    async def suite(made: Reached) -> None:
        target = str(tmp_path / "nonsense")
        server = await asyncio.start_unix_server(nonsense, target)
        made.target = target
        made.agents.remove(KEY)
        made.agents.add(KEY, made.dial)
        for _ in range(20):
            with pytest.raises(RuntimeUnavailable):
                await made.agents.of(*KEY).call("Stats", pb.StatsRequest(), 0.2)
        await until(lambda: made.silent)
        server.close()

    run(tmp_path, guest(), suite)


class Garbled(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """An agent whose answers to the methods of `names` are no messages."""

    def __init__(self) -> None:
        self.names: frozenset[str] = frozenset()

    def service(self, details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        method = details.method.rpartition("/")[2]
        hello = pb.HelloResponse(version=1, version_min=1, version_max=1, name=KEY[0], uid=KEY[1], run=KEY[2])
        sound = hello.SerializeToString() if method == "Hello" else b""

        def said() -> bytes:
            return b"\xff" * 9 if method in self.names else sound

        async def answer(request: bytes, context: object) -> bytes:
            return said()

        async def stream(requests: object, context: object) -> AsyncIterator[bytes]:
            yield said()

        if method == "Exec":
            return grpc.stream_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(answer)


@asynccontextmanager
async def garbled(made: Reached, directory: Path, *names: str) -> AsyncIterator[Garbled]:
    """The guest has such an agent instead of its own."""
    agent = Garbled()
    agent.names = frozenset(names)
    server = grpc.aio.server(handlers=[agent])
    made.target = str(directory / "garbled")
    server.add_insecure_port(f"unix:{made.target}")
    await server.start()
    made.agents.remove(KEY)
    made.agents.add(KEY, made.dial)
    try:
        yield agent
    finally:
        await server.stop(None)


def test_answers_that_are_no_messages_are_the_guests_failure_and_nobody_elses(
    tmp_path: Path, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    async def suite(made: Reached) -> None:
        async with garbled(made, tmp_path) as service:
            agent = made.agents.of(*KEY)
            assert await agent.call("Stats", pb.StatsRequest()) == pb.StatsResponse()
            service.names = frozenset({"Stats", "Exec"})
            with pytest.raises(GuestFailed, match="bytes that are no message"):
                await agent.call("Stats", pb.StatsRequest())
            with pytest.raises(GuestFailed, match="bytes that are no message"):
                await MicroVMExecutor(made.agents).open(ExecRequest(*KEY, ("true",)))
            meter = MicroVMMeter(MeterOfOne(), made.agents, lambda *_: tmp_path / "none")
            assert await meter.measure((Measured(*KEY),)) == (Usage(*KEY, 1, cpu=Cpu(9), whole=False),), (
                "of the machine"
            )
            assert not made.silent
            service.names = frozenset({"Hello"})
            made.cut()
            await until(lambda: made.silent)

    run(tmp_path, guest(), suite)
    assert not [record for record in caplog.records if record.name.startswith("grpc")], "a guest could fill the log"


def test_a_guest_that_answers_its_beat_with_what_is_no_answer_is_silent(tmp_path: Path, hasty: None) -> None:
    async def suite(made: Reached) -> None:
        async with garbled(made, tmp_path, "Status"):
            await until(lambda: made.silent)

    run(tmp_path, guest(), suite)


def test_a_guest_that_talks_without_being_asked_loses_its_channel(tmp_path: Path) -> None:
    ping = b"\0\0\x08\6\0\0\0\0\0" + bytes(8)

    async def pinging(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\0\0\0\4\0\0\0\0\0")
        with contextlib.suppress(OSError):
            while True:
                writer.write(ping * 1_000)
                await writer.drain()

    async def suite(made: Reached) -> None:
        target = str(tmp_path / "pinging")
        server = await asyncio.start_unix_server(pinging, target)
        made.target = target
        made.agents.remove(KEY)
        made.agents.add(KEY, made.dial)
        with pytest.raises(RuntimeUnavailable):
            await made.agents.of(*KEY).call("Stats", pb.StatsRequest(), 5)
        assert made.agents.of(*KEY).faults
        server.close()

    run(tmp_path, guest(), suite)
