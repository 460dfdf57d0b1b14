"""The agent's service on a socket of its own: what lasts is bounded and leaves room for what is short, and what nobody
hears any more holds nothing."""

import errno
import os
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, cast

import grpc
import pytest

from capsule.guest.v1 import guest_pb2 as pb
from capsule.guest.v1 import guest_pb2_grpc
from guest import cgroups
from guest.service.clock import Clock
from guest.service.execution import Execution
from guest.service.link import Introduction, Link, Process
from guest.service.servicer import Servicer

BOUND = 3
WAIT_S = 30.0
HOUR_NS = 3_600 * 10**9


class QuietLink:
    """PID 1, as far as a process is concerned that says nothing and ends when it is hung up on."""

    introduction = Introduction("web", 7, 1, "", {}, [])
    stopping = False

    def __init__(self) -> None:
        self.alive = 0
        self.processes: dict[int, Process] = {}
        self._theirs: dict[int, list[int]] = {}

    def start(self, what: dict[str, Any], fds: Iterable[int]) -> Process:
        process = self.processes[len(self._theirs) + 1] = Process(len(self._theirs) + 1)
        self._theirs[process.number] = [os.dup(fd) for fd in fds]
        process.started.set()
        return process

    def write(self, process: int, data: bytes) -> None:
        os.write(self._theirs[process][1], data)

    def exit(self, process: int, code: int) -> int:
        """It ends, and a child of it has its output."""
        child = os.dup(self._theirs[process][1])
        self.processes[process].code = code
        self.processes[process].ended.set()
        return child

    def end(self, process: Process) -> None:
        for fd in self._theirs[process.number]:
            os.close(fd)
        self._theirs[process.number] = []
        process.ended.set()
        process.gone.set()

    def at_end(self, leave: Any) -> None:
        pass

    def not_at_end(self, leave: Any) -> None:
        pass


class WrongClock(Clock):
    """One that is an hour behind, unless told otherwise. What slewing would make up for is noted only."""

    def __init__(self, may_be_set: bool = True) -> None:
        super().__init__()
        self.behind_ns = HOUR_NS
        self.slewed: list[int] = []
        self._may_be_set = may_be_set

    def now_ns(self) -> int:
        return time.time_ns() - self.behind_ns

    def _set(self, time_ns: int) -> None:
        if not self._may_be_set:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        self.behind_ns = time.time_ns() - time_ns

    def _slew(self, behind_ns: int) -> None:
        self.slewed.append(behind_ns)


class Client:
    """The daemon's end."""

    def __init__(self, path: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix:{path}", options=[("grpc.default_authority", "guest")])
        self.stub = guest_pb2_grpc.GuestServiceStub(self._channel)
        self.stub.Hello(pb.HelloRequest(version_min=1, version_max=1), timeout=WAIT_S)
        self._saying: list[SimpleQueue[Any]] = []
        self._open: list[Any] = []

    def exec(self) -> tuple[Any, pb.ExecServerMessage]:
        """A call, and the first that is said there."""
        saying: SimpleQueue[Any] = SimpleQueue()
        saying.put(pb.ExecClientMessage(start=pb.ExecStart(argv=["sleep"])))
        self._saying.append(saying)
        call = self.stub.Exec(iter(saying.get, None), timeout=WAIT_S)
        self._open.append(call)  # a call that nobody holds is cancelled
        return call, next(call)

    def admitted(self) -> Any:
        """A call that is let in, once there is a place."""
        deadline = time.monotonic() + WAIT_S
        while time.monotonic() < deadline:
            call, first = self.exec()
            if first.HasField("started"):
                return call
        raise AssertionError("no place has become free")

    def hush(self) -> None:
        """All has been said."""
        for saying in self._saying:
            saying.put(None)

    def close(self) -> None:
        self.hush()
        self._channel.close()


@pytest.fixture
def clock() -> WrongClock:
    return WrongClock()


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: WrongClock) -> Iterator[Client]:
    monkeypatch.setattr(cgroups, "oom_kills", lambda: 0)
    server = grpc.server(ThreadPoolExecutor(BOUND + 1))
    servicer = Servicer(cast(Link, QuietLink()), "1", BOUND, clock)
    guest_pb2_grpc.add_GuestServiceServicer_to_server(servicer, server)
    server.add_insecure_port(f"unix:{tmp_path / 'agent'}")
    server.start()
    made = Client(tmp_path / "agent")
    yield made
    made.close()
    server.stop(None).wait()


def test_a_guest_with_as_many_execs_as_it_carries_refuses_more_and_answers(client: Client) -> None:
    for _ in range(BOUND):
        assert client.exec()[1].HasField("started")
    call, first = client.exec()
    assert first.refused.reason == "GUEST_BUSY" and list(call) == []
    assert first.refused.message == (
        "web has 3 execs and copies open, and its guest carries no more at once: end some of them first"
    )
    for copies in (
        client.stub.CopyOut(pb.CopyStart(path="/"), timeout=WAIT_S),
        client.stub.CopyIn(iter([pb.CopyInClientMessage(start=pb.CopyStart(path="/"))]), timeout=WAIT_S),
    ):
        (said,) = copies
        assert said.refused.reason == "GUEST_BUSY"
    assert client.stub.Status(pb.StatusRequest(), timeout=WAIT_S).phase == pb.PHASE_RUNNING


def status(client: Client, behind_ns: int) -> int:
    """The guest's clock, once it was told how far it is behind."""
    return int(client.stub.Status(pb.StatusRequest(clock_behind_ns=behind_ns), timeout=WAIT_S).time_ns)


def test_a_clock_that_is_far_off_is_set_before_it_is_told_and_little_is_made_up_for_slowly(
    client: Client, clock: WrongClock
) -> None:
    assert status(client, 0) < time.time_ns() - HOUR_NS // 2, "a daemon that does not say sets nothing"
    assert abs(time.time_ns() - status(client, HOUR_NS)) < WAIT_S * 10**9
    assert abs(time.time_ns() + HOUR_NS - status(client, HOUR_NS)) < WAIT_S * 10**9
    assert abs(time.time_ns() - status(client, -HOUR_NS)) < WAIT_S * 10**9
    for little in (10**9, -60_000_000):
        status(client, little)
    assert clock.slewed == [10**9, -60_000_000] and abs(clock.behind_ns) < 10**9


def test_a_clock_that_may_not_be_set_is_told_of_once_and_ends_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    clock = WrongClock(may_be_set=False)
    for _ in range(2):
        clock.make_up(HOUR_NS)
    assert capfd.readouterr().err == "capsule-guest: the clock cannot be set: Operation not permitted\n"


def test_what_has_ended_or_was_cancelled_gives_its_place_back(client: Client) -> None:
    calls = [client.exec()[0] for _ in range(BOUND)]
    for call in calls[1:]:
        call.cancel()  # its process has nothing to say just now
    calls = [calls[0], *(client.admitted() for _ in calls[1:])]
    assert client.exec()[1].refused.reason == "GUEST_BUSY"
    client.hush()
    for call in calls:
        assert [message.WhichOneof("message") for message in call] == ["exit"]
    for _ in range(BOUND):
        client.admitted()


def test_an_exec_or_a_copy_that_does_not_come_to_be_gives_its_place_back(client: Client) -> None:
    for _ in range(BOUND):
        nothing = pb.ExecClientMessage(start=pb.ExecStart())
        (said,) = client.stub.Exec(iter([nothing]), timeout=WAIT_S)
        assert said.refused.reason == "ENTRYPOINT_MISSING"
    for _ in range(BOUND):
        client.admitted()


@pytest.mark.parametrize("said", [0, 1, 100], ids=["nothing", "a word", "more than is kept"])
@pytest.mark.parametrize("waits", [True, False], ids=["while somebody waits", "before anybody does"])
def test_whoever_takes_the_words_of_an_exec_is_let_go_when_it_is_deserted(said: int, waits: bool) -> None:
    link = QuietLink()
    execution = Execution(cast(Link, link), pb.ExecStart(argv=["sleep"]))
    messages = execution.messages()
    assert next(messages).HasField("started")
    taking = threading.Thread(target=lambda: list(messages), daemon=True)
    if waits:
        taking.start()
    for _ in range(said):
        link.write(1, b"word")
    execution.desert()
    if not waits:
        taking.start()
    taking.join(WAIT_S)
    assert not taking.is_alive()
    execution.end()
    assert list(execution.messages())[1:] == []


@pytest.mark.parametrize("every_s", [0.05, 0], ids=["now and then", "all the time"])
@pytest.mark.parametrize("pause_s", [0, 0.02], ids=["taken at once", "taken slowly"])
def test_a_child_that_writes_on_holds_up_no_exit_and_costs_nothing_of_the_process(
    every_s: float, pause_s: float
) -> None:
    link, own, deadline = QuietLink(), b"own" * 20_000, time.monotonic() + WAIT_S
    execution = Execution(cast(Link, link), pb.ExecStart(argv=["sleep"]))
    link.write(1, own)
    output = link.exit(1, 3)

    def write_on() -> None:
        """Until nobody reads, or has waited long enough."""
        with suppress(BrokenPipeError):
            while time.monotonic() < deadline:
                os.write(output, b"x")
                time.sleep(every_s)
        os.close(output)

    child = threading.Thread(target=write_on)
    child.start()
    out = b""
    for message in execution.messages():
        out += message.stdout
        time.sleep(pause_s)
        if message.HasField("exit"):
            break
    assert message.exit == 3 and time.monotonic() < deadline - WAIT_S / 2
    assert out.startswith(own) and not out.removeprefix(own).strip(b"x")
    execution.end()
    child.join()
