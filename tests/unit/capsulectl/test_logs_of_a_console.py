"""A console's log has no times: it is data without them, and only who insists on times is refused."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl import logs
from capsulectl.errors import NO_TIMES, Failure

ADVICE = "nobody notes when a console's lines were written: ask for a tail"


class Machine:
    """Its workload has a kernel of its own: the console is its log."""

    workloads = SimpleNamespace(Logs="Logs", Get="Get")

    def __init__(self, reason: str = NO_TIMES) -> None:
        self.reason = reason
        self.asked: list[tuple[bool, bool, int]] = []

    def stream(self, method: str, request: Any) -> Iterator[Any]:
        self.asked.append((request.timestamps, request.follow, request.source))
        if request.timestamps or request.since_unix_ns:
            raise Failure(ADVICE, reason=self.reason)
        yield pb.WorkloadLogChunk(data=b"Linux\nlog", run=1)
        if request.follow:
            yield pb.WorkloadLogChunk(data=b"in: \n", run=1)


def told(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(logs, "Connection", lambda capsule: made)
    return made


def test_a_console_as_json_is_not_asked_for_times(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    logs.logs(("own",), serial=True, output="json")
    stream = {"workload": "own", "stream": "serial"}
    assert told(capsys) == [{**stream, "text": "Linux"}, {**stream, "text": "log"}]
    assert machine.asked == [(False, False, pb.LOG_SOURCE_SERIAL)]


def test_a_log_that_turns_out_to_be_a_console_is_asked_for_again_without_times(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.logs(("own",), follow=True, output="json")
    assert [(one["text"], "time" in one) for one in told(capsys)] == [("Linux", False), ("login: ", False)]
    assert [times for times, _, _ in machine.asked] == [True, False]


def test_only_what_comes_of_a_console_comes(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    logs.logs(("own",), follow=True, tail=0, output="json")
    assert [one["text"] for one in told(capsys)] == ["in: "]
    assert machine.asked[1:] == [(False, False, 0), (False, True, 0)]


@pytest.mark.parametrize("serial", [False, True])
@pytest.mark.parametrize("output", ["text", "json"])
def test_who_insists_on_times_is_refused_with_advice(machine: Machine, serial: bool, output: Any) -> None:
    with pytest.raises(Failure, match=ADVICE):
        logs.logs(("own",), timestamps=True, serial=serial, output=output)
    assert len(machine.asked) == 1


def test_a_moment_and_any_other_refusal_stay_refused(machine: Machine) -> None:
    with pytest.raises(Failure, match=ADVICE):
        logs.logs(("own",), since="1m", output="json")
    machine.reason, machine.asked = "NO_SUCH_LOG", []
    with pytest.raises(Failure, match=ADVICE):
        logs.logs(("own",), output="json")
    assert len(machine.asked) == 1


def test_what_was_held_back_is_told_also_when_the_log_breaks_off(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Breaks(Machine):
        def stream(self, method: str, request: Any) -> Iterator[Any]:
            yield pb.WorkloadLogChunk(data=b"its last wor", run=1)
            raise Failure("the connection broke off")

    monkeypatch.setattr(logs, "Connection", lambda capsule: Breaks())
    with pytest.raises(Failure, match="broke off"):
        logs.logs(("own",), output="json")
    assert [one["text"] for one in told(capsys)] == ["its last wor"]
