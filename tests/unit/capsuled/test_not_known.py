"""What a client says that this release does not know is refused, whatever it says it with: with a call that acts or a
read, in the first message of a stream or a later one, as a field, a value or a place. Nothing is dropped in silence."""

import queue
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from capsule.v1 import (
    capsule_pb2,
    capsule_pb2_grpc,
    history_pb2,
    history_pb2_grpc,
    image_pb2,
    image_pb2_grpc,
    machine_pb2,
    machine_pb2_grpc,
    workload_pb2,
    workload_pb2_grpc,
)
from tests.support.house import Standing, standing
from tests.support.refusals import reason_of, trailing

INVALID, UNIMPLEMENTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED
NEWER = bytes([0xC2, 0x25, 0x00])
"""Field 600, with nothing in it."""
FIRST = workload_pb2.WorkloadExecClientMessage(config=workload_pb2.WorkloadExecConfig(name="web", command=["cat"]))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standing]:
    with standing(tmp_path_factory.mktemp("house") / "state") as made, local(made) as channel:
        declaration = workload_pb2.Workload(name="web", container=workload_pb2.ContainerSpec(image="demo:1"))
        workloads(channel).Apply(workload_pb2.WorkloadApplyRequest(workload=declaration))
        made.runs("web")
        yield made


@pytest.fixture
def channel(house: Standing) -> Iterator[grpc.Channel]:
    with local(house) as made:
        yield made


def local(house: Standing) -> grpc.Channel:
    return grpc.insecure_channel(f"unix:{house.layout.socket}", [("grpc.default_authority", "localhost")])


def workloads(channel: grpc.Channel) -> Any:
    return workload_pb2_grpc.WorkloadServiceStub(channel)


def history(channel: grpc.Channel) -> Any:
    return history_pb2_grpc.HistoryServiceStub(channel)


def newer(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString() + NEWER)


def refused(call: Callable[[], Any]) -> tuple[grpc.StatusCode, str, str]:
    """(status, reason, fields)."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value.code(), reason_of(raised.value), str(trailing(raised.value).get("capsule-fields", ""))


def execs(channel: grpc.Channel, *messages: Any) -> Any:
    """All that an exec answers whose client does not half-close."""
    said: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for one in messages:
        said.put(one)
    try:
        return list(workloads(channel).Exec(iter(said.get, None), timeout=20))
    finally:
        said.put(None)


# --- fields ------------------------------------------------------------------------------------------------------


def test_a_read_with_a_field_that_is_not_known_is_refused(channel: grpc.Channel) -> None:
    machine = machine_pb2_grpc.MachineServiceStub(channel)
    for call in (
        lambda: workloads(channel).List(newer(workload_pb2.WorkloadListRequest())),
        lambda: list(workloads(channel).Logs(newer(workload_pb2.WorkloadLogsRequest(name="web")))),
        lambda: list(history(channel).List(newer(history_pb2.HistoryListRequest()))),
        lambda: machine.Diff(newer(machine_pb2.DiffRequest())),
    ):
        assert refused(call) == (UNIMPLEMENTED, "UNKNOWN_FIELD", "600")
    asked = history_pb2.AsOfRequest(at=newer(history_pb2.Moment()))
    assert refused(lambda: history(channel).AsOf(asked)) == (UNIMPLEMENTED, "UNKNOWN_FIELD", "at")


def test_who_asks_for_the_release_is_answered_whatever_else_he_says(channel: grpc.Channel) -> None:
    info = capsule_pb2_grpc.CapsuleServiceStub(channel).GetInfo(newer(capsule_pb2.GetInfoRequest()))
    assert info.capsule_version


def test_what_grpcs_own_messages_hold_is_grpcs(channel: grpc.Channel) -> None:
    check = health_pb2_grpc.HealthStub(channel).Check
    assert check(newer(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING


def test_every_message_of_a_stream_is_looked_at(channel: grpc.Channel) -> None:
    later = newer(workload_pb2.WorkloadExecClientMessage(stdin=b"x"))
    assert refused(lambda: execs(channel, FIRST, later)) == (UNIMPLEMENTED, "UNKNOWN_FIELD", "600")
    resize = newer(workload_pb2.WorkloadExecResize(cols=80, rows=24))
    within = workload_pb2.WorkloadExecClientMessage(resize=resize)
    assert refused(lambda: execs(channel, FIRST, within)) == (UNIMPLEMENTED, "UNKNOWN_FIELD", "resize")


@pytest.mark.parametrize("tty", [False, True])
def test_what_a_stream_is_about_is_said_once(channel: grpc.Channel, tty: bool) -> None:
    config = workload_pb2.WorkloadExecConfig(name="web", command=["cat"], tty=tty)
    first = workload_pb2.WorkloadExecClientMessage(config=config)
    assert refused(lambda: execs(channel, first, first)) == (INVALID, "TWICE", "config")
    pushed = image_pb2.ImagePushRequest(metadata=image_pb2.ImagePushMetadata(total_bytes=1))
    images: Any = image_pb2_grpc.ImageServiceStub(channel)
    assert refused(lambda: images.Push(iter([pushed, pushed]))) == (INVALID, "TWICE", "metadata")
    place = workload_pb2.WorkloadCopyToMetadata(name="web", dest_path="/")
    into = workload_pb2.WorkloadCopyToRequest(metadata=place)
    assert refused(lambda: workloads(channel).CopyTo(iter([into, into]))) == (INVALID, "TWICE", "metadata")


def test_an_exec_that_was_refused_in_its_middle_leaves_nothing(house: Standing, channel: grpc.Channel) -> None:
    assert refused(lambda: execs(channel, FIRST, FIRST))[1] == "TWICE"
    assert not house.world.processes


# --- values ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 32, 65, 99])
def test_a_signal_that_is_none_is_refused(channel: grpc.Channel, number: int) -> None:
    sent = workload_pb2.WorkloadExecClientMessage(signal=number)
    assert refused(lambda: execs(channel, FIRST, sent)) == (INVALID, "BAD_SIGNAL", "signal")


@pytest.mark.parametrize("number", [15, 35, 64])
def test_a_signal_that_is_one_is_sent(channel: grpc.Channel, number: int) -> None:
    sent = workload_pb2.WorkloadExecClientMessage(signal=number)
    assert execs(channel, FIRST, sent)[-1].exit.exit_code == 128 + number


@pytest.mark.parametrize(("field", "reason"), [("source", "BAD_SOURCE"), ("stream", "BAD_STREAM")])
def test_a_log_of_no_kind_is_refused(channel: grpc.Channel, field: str, reason: str) -> None:
    asked = workload_pb2.WorkloadLogsRequest(name="web", **{field: 7})  # type: ignore[arg-type]
    assert refused(lambda: list(workloads(channel).Logs(asked))) == (INVALID, reason, field)


def test_a_level_that_is_none_is_refused(channel: grpc.Channel) -> None:
    asked = capsule_pb2.CapsuleLogsRequest(level=9)  # type: ignore[arg-type]
    logs = capsule_pb2_grpc.CapsuleServiceStub(channel).StreamLogs
    assert refused(lambda: list(logs(asked))) == (INVALID, "BAD_LEVEL", "level")


@pytest.mark.parametrize("end", ["upto", "until_unix_ns"])
def test_what_goes_on_for_ever_has_no_end_to_go_to(channel: grpc.Channel, end: str) -> None:
    asked = history_pb2.HistoryListRequest(follow=True, **{end: 3})  # type: ignore[arg-type]
    found = refused(lambda: list(history(channel).List(asked, timeout=20)))
    assert found == (INVALID, "FOLLOWS_TO_AN_END", f"follow,{end}")


@pytest.mark.parametrize("method", ["WorkloadService/Logs", "CapsuleService/StreamLogs"])
def test_a_log_that_is_followed_has_no_end_to_go_to(channel: grpc.Channel, method: str) -> None:
    asked: Any = {
        "WorkloadService/Logs": workload_pb2.WorkloadLogsRequest(name="web", follow=True, until_unix_ns=3),
        "CapsuleService/StreamLogs": capsule_pb2.CapsuleLogsRequest(follow=True, until_unix_ns=3),
    }[method]
    logs = channel.unary_stream(f"/capsule.v1.{method}", bytes, bytes)
    found = refused(lambda: list(logs(asked.SerializeToString(), timeout=20)))
    assert found == (INVALID, "FOLLOWS_TO_AN_END", "follow,until_unix_ns")


# --- places ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("Ä", "container.env.\\xc4"),
        ("A\nB", "container.env.A\\nB"),
        ("x" * 3_000, f"container.env.{'x' * 361}..."),
        ("Ä" * 3_000, "container.env.\\xc4\\xc4"),
    ],
    ids=["not ASCII", "two lines", "long", "long and not ASCII"],
)
def test_a_place_that_the_client_named_is_told_as_metadata_can(channel: grpc.Channel, name: str, told: str) -> None:
    container = workload_pb2.ContainerSpec(image="demo:1", env={name: "sealed:00"})
    asked = workload_pb2.WorkloadApplyRequest(workload=workload_pb2.Workload(name="db", container=container))
    code, reason, fields = refused(lambda: workloads(channel).Apply(asked))
    assert (code, reason) == (INVALID, "UNKNOWN_SEALED_VALUE")
    assert fields.startswith(told) and len(fields) <= 378 and fields.isascii() and fields.isprintable()
