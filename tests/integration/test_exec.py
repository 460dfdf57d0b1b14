"""Exec as clients in the field speak it, and what becomes of a session when the daemon or its runtime dies."""

import os
import queue
import signal
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from capsule.v1 import workload_pb2 as pb
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from tests.support.daemon import CTL, SERVE, Daemon, daemon, manifest
from tests.support.refusals import reason_of
from tests.support.terminal import window

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        made.apply(manifest("web", SERVE), "--wait")
        yield made


class Wire:
    """One exec, message by message. `close` is the half-close."""

    def __init__(self, capsule: Daemon) -> None:
        self._channel = grpc.insecure_channel(capsule.environment["CAPSULE_HOST"])
        self._messages: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.call: Any = WorkloadServiceStub(self._channel).Exec(iter(self._messages.get, None), timeout=30)

    def config(self, script: str, **fields: Any) -> None:
        self.send(config=pb.WorkloadExecConfig(name="web", command=["sh", "-c", script], **fields))

    def send(self, **payload: Any) -> None:
        self._messages.put(pb.WorkloadExecClientMessage(**payload))

    def close(self) -> None:
        self._messages.put(None)

    def hears(self, text: bytes) -> None:
        heard = b""
        while text not in heard:
            heard += next(self.call).stdout

    def rest(self) -> tuple[bytes, bytes, list[int]]:
        """Standard output, standard error, and every exit message, which must be the last of all."""
        messages = list(self.call)
        self.close()
        self._channel.close()
        kinds = [message.WhichOneof("payload") for message in messages]
        assert "exit" not in kinds[:-1]
        codes = [message.exit.exit_code for message in messages if message.WhichOneof("payload") == "exit"]
        return b"".join(one.stdout for one in messages), b"".join(one.stderr for one in messages), codes


@pytest.fixture
def wire(capsule: Daemon) -> Wire:
    return Wire(capsule)


def test_a_size_that_comes_before_the_process_is_its_size(wire: Wire) -> None:
    wire.config("stty size", tty=True)
    wire.send(resize=pb.WorkloadExecResize(cols=91, rows=29))
    assert wire.rest() == (b"29 91\r\n", b"", [0])


def test_a_terminal_has_a_size_whatever_the_client_says(wire: Wire) -> None:
    wire.config("stty size; echo to-standard-error >&2", tty=True)
    wire.send(resize=pb.WorkloadExecResize())
    assert wire.rest() == (b"24 80\r\nto-standard-error\r\n", b"", [0])


@pytest.mark.parametrize("tty", [False, True])
def test_a_half_close_behind_the_config_closes_input_and_no_more(wire: Wire, tty: bool) -> None:
    wire.config("sleep 0.3; echo lived; exit 6", tty=tty)
    wire.close()
    assert wire.rest() == (b"lived\r\n" if tty else b"lived\n", b"", [6])


def test_an_empty_chunk_is_no_end_of_input(wire: Wire) -> None:
    wire.config("read a; echo got $a; cat; echo end")
    wire.send(stdin=b"")
    wire.send(stdin=b"word\n")
    wire.hears(b"got word\n")
    wire.send(stdin=b"")
    wire.send(stdin=b"more\n")
    wire.hears(b"more\n")
    wire.close()
    assert wire.rest() == (b"end\n", b"", [0])


def test_the_exit_waits_for_the_output_and_for_nobody_else(wire: Wire) -> None:
    wire.config("head -c 3000000 /dev/zero; echo bad >&2; exit 3")
    out, err, codes = wire.rest()
    assert (len(out), err, codes) == (3_000_000, b"bad\n", [3])


def test_a_child_that_keeps_the_output_open_does_not_hold_up_the_exit(wire: Wire) -> None:
    wire.config("sleep 600 & echo started; exit 2")
    assert wire.rest() == (b"started\n", b"", [2])


@pytest.mark.parametrize(
    "child", ["while :; do echo x; sleep 0.2; done", "yes x"], ids=["now and then", "all the time"]
)
def test_a_child_that_writes_on_does_not_hold_up_the_exit_either(wire: Wire, child: str) -> None:
    wire.config(f"head -c 3000000 /dev/zero; {child} & exit 2")
    out, err, codes = wire.rest()
    assert (out[:3_000_000], err, codes) == (bytes(3_000_000), b"", [2]) and not out[3_000_000:].strip(b"x\n")


def test_what_comes_first_must_be_the_config_and_is_told_to_clients_that_send_on(wire: Wire) -> None:
    wire.send(stdin=b"early")
    wire.send(stdin=b"and more")
    with pytest.raises(grpc.RpcError) as refused:
        next(wire.call)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({"name": "nobody", "command": ["true"]}, grpc.StatusCode.NOT_FOUND, "WORKLOAD_NOT_FOUND"),
        ({"name": "web", "command": []}, grpc.StatusCode.INVALID_ARGUMENT, "NO_COMMAND"),
        ({"name": "web", "command": ["a\0b"]}, grpc.StatusCode.INVALID_ARGUMENT, "BAD_TEXT"),
        ({"name": "web", "command": ["true"], "env": {"A=": "b"}}, grpc.StatusCode.INVALID_ARGUMENT, "BAD_ENV"),
        ({"name": "web", "command": ["/no"]}, grpc.StatusCode.INVALID_ARGUMENT, "ENTRYPOINT_MISSING"),
        ({"name": "web", "command": ["/etc"]}, grpc.StatusCode.INVALID_ARGUMENT, "NOT_EXECUTABLE"),
    ],
)
def test_refusals_say_why_to_people_and_machines(
    wire: Wire, fields: dict[str, Any], status: grpc.StatusCode, reason: str
) -> None:
    wire.send(config=pb.WorkloadExecConfig(**fields))
    wire.send(resize=pb.WorkloadExecResize(cols=80, rows=24))
    with pytest.raises(grpc.RpcError) as refused:
        next(wire.call)
    assert refused.value.code() is status and reason_of(refused.value) == reason


def test_a_message_that_is_refused_in_the_middle_ends_the_process(wire: Wire) -> None:
    wire.config("trap '' HUP TERM; echo ready; while :; do sleep 1; done")
    wire.hears(b"ready")
    wire.send(signal=99)
    with pytest.raises(grpc.RpcError) as raised:
        wire.rest()
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT and reason_of(raised.value) == "BAD_SIGNAL"


def test_a_session_goes_on_while_the_runtime_dies_and_comes_back(capsule: Daemon, wire: Wire) -> None:
    wire.config("read a; echo got $a; read b; echo got $b; exit 8")
    wire.send(stdin=b"one\n")
    wire.hears(b"got one\n")
    os.kill(capsule.containerd_pid(), signal.SIGKILL)
    wire.send(stdin=b"two\n")
    assert wire.rest() == (b"got two\n", b"", [8])


def test_a_daemon_that_is_stopped_ends_sessions_in_order(capsule: Daemon) -> None:
    with window() as made:
        script = "trap 'echo hung up > /tmp/told; exit' HUP; echo ready; while :; do sleep 0.1; done"
        made.run([CTL, "exec", "-it", "web", "sh", "-c", script], capsule.environment)
        made.sees("ready")
        opened = capsule.history("--type", "stream.opened")[-1]["seq"]
        assert capsule.stop() == 0
        assert made.ends() == 125
        assert made.restored
        assert b"capsuled is being stopped" in made.screen
    capsule.start()
    assert capsule.good("exec", "web", "cat", "/tmp/told") == "hung up\n"
    closed = capsule.closed(opened)
    assert (closed["outcome"], closed["reason"]) == ("failed", "STOPPING")


def test_a_daemon_can_be_told_to_forget_command_lines(capsule: Daemon) -> None:
    capsule.stop()
    capsule.start("--forget-commands")
    capsule.good("exec", "web", "true")
    body = capsule.history("--type", "stream.opened")[-1]["body"]
    assert body["method"] == "WorkloadService.Exec" and "argv" not in body
    capsule.stop()
    capsule.start()


def test_a_daemon_that_dies_under_a_session_costs_no_window(capsule: Daemon) -> None:
    with window() as made:
        made.run([CTL, "exec", "-it", "web", "sh"], capsule.environment)
        made.sees("# ")
        assert made.raw
        opened = capsule.history("--type", "stream.opened")[-1]["seq"]
        capsule.kill()
        assert made.ends() == 125
        assert made.restored
        assert b"connection to the capsule" in made.screen and b"was lost" in made.screen
    capsule.start()
    assert capsule.closed(opened)["outcome"] == "lost"
