"""What a newer client says and this release does not know is refused by its number, and nothing is done: it might have
said that nothing should be. Reads: tests/unit/capsuled/test_not_known.py."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from capsule.v1 import capsule_pb2, image_pb2, machine_pb2, retention_pb2, workload_pb2
from capsule.v1.capsule_pb2_grpc import CapsuleServiceStub
from capsule.v1.image_pb2_grpc import ImageServiceStub
from capsule.v1.machine_pb2_grpc import MachineServiceStub
from capsule.v1.retention_pb2_grpc import RetentionServiceStub
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from tests.support.daemon import Daemon, daemon

pytestmark = pytest.mark.real

NEWER = bytes([0xAA, 0xD0, 0x01, 0x00])
"""Field 3333, with nothing in it."""


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        yield made


def newer(message: Any) -> Any:
    return type(message).FromString(message.SerializeToString() + NEWER)


def pushed(channel: grpc.Channel) -> Any:
    metadata = newer(image_pb2.ImagePushMetadata(total_bytes=1))
    return ImageServiceStub(channel).Push(iter([image_pb2.ImagePushRequest(metadata=metadata)]), timeout=20)


def stopped(channel: grpc.Channel) -> Any:
    return WorkloadServiceStub(channel).Stop(newer(workload_pb2.WorkloadStopRequest(name="web")), timeout=20)


def truncated(channel: grpc.Channel) -> Any:
    return RetentionServiceStub(channel).Truncate(newer(retention_pb2.TruncateRequest()), timeout=20)


def declared(channel: grpc.Channel) -> Any:
    volume = newer(machine_pb2.DeclaredVolume(name="data"))
    return MachineServiceStub(channel).ApplyAll(machine_pb2.ApplyAllRequest(volumes=[volume]), timeout=20)


@pytest.mark.parametrize("call", [stopped, truncated, pushed, declared])
def test_it_is_refused_by_name_and_remembered(capsule: Daemon, call: Callable[[grpc.Channel], Any]) -> None:
    options = [("grpc.default_authority", "localhost")]
    with (
        grpc.insecure_channel(f"unix:{capsule.state}/capsule.sock", options) as channel,
        pytest.raises(grpc.RpcError) as raised,
    ):
        call(channel)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert "3333: a newer client sent it" in (raised.value.details() or "")
    assert capsule.history("--failed")[-1]["body"]["reason"] == "UNKNOWN_FIELD"


def test_who_asks_for_the_release_is_told_all_the_same(capsule: Daemon) -> None:
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix:{capsule.state}/capsule.sock", options) as channel:
        assert CapsuleServiceStub(channel).GetInfo(newer(capsule_pb2.GetInfoRequest()), timeout=20).capsule_id
