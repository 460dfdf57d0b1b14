"""Streams that are refused: their clients are told once they have said all, and are not waited for long."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import (
    capsule_pb2,
    image_pb2,
    workload_pb2,
    workload_pb2_grpc,
)
from capsuled.limits import Limits, Patience
from tests.conformance.client import outcome
from tests.support.adopted import Adopted
from tests.support.house import standing

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
PRIVILEGED = {"image": "demo:1", "command": ["sh"], "privileged": True}
MORE: dict[str, Any] = {
    "CapsuleService/UpdateOS": capsule_pb2.UpdateOSRequest(chunk=b"x"),
    "WorkloadService/CopyTo": workload_pb2.WorkloadCopyToRequest(chunk=b"x"),
    "WorkloadService/Exec": workload_pb2.WorkloadExecClientMessage(stdin=b"x"),
    "ImageService/Push": image_pb2.ImagePushRequest(chunk=b"x"),
}
"""What a client goes on with."""

UPDATE = capsule_pb2.UpdateOSRequest(metadata=capsule_pb2.UpdateOSMetadata(total_bytes=3))
COPY = workload_pb2.WorkloadCopyToRequest(metadata=workload_pb2.WorkloadCopyToMetadata(name="root", dest_path="/etc/"))
EXEC = workload_pb2.WorkloadExecClientMessage(config=workload_pb2.WorkloadExecConfig(name="root", command=["sh"]))
PUSH = image_pb2.ImagePushRequest(metadata=image_pb2.ImagePushMetadata())
MISNAMED = image_pb2.ImagePushRequest(metadata=image_pb2.ImagePushMetadata(ref="Not A Name"))
Code = grpc.StatusCode
EARLY: dict[str, tuple[str, str, Any, grpc.StatusCode]] = {
    "an update": ("CapsuleService/UpdateOS", "admin", UPDATE, Code.UNIMPLEMENTED),
    "a copy into what has never run": ("WorkloadService/CopyTo", "admin", COPY, Code.FAILED_PRECONDITION),
    "exec into what is not for the role": ("WorkloadService/Exec", "operator", EXEC, Code.PERMISSION_DENIED),
    "exec of what does not run": ("WorkloadService/Exec", "admin", EXEC, Code.FAILED_PRECONDITION),
    "a push without metadata": ("ImageService/Push", "admin", MORE["ImageService/Push"], Code.INVALID_ARGUMENT),
    "a push under a name that is none": ("ImageService/Push", "admin", MISNAMED, Code.INVALID_ARGUMENT),
    "a message that is none": ("ImageService/Push", "admin", b"\xff\xff\xff", Code.INVALID_ARGUMENT),
    "a push by a reader": ("ImageService/Push", "reader", PUSH, Code.PERMISSION_DENIED),
    "a push by nobody": ("ImageService/Push", "", PUSH, UNAUTHENTICATED),
}
"""(method, who calls it, with what first, how it is refused)"""


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Adopted]:
    """A house that waits for long pauses, so that a test need not be quick."""
    slow = Patience(quiet_s=60, chat_s=60)
    with standing(tmp_path / "state", limits=Limits(known=slow, unknown=slow)) as house:
        made = Adopted(house)
        yield made
        made.client.close()


@pytest.mark.parametrize("case", EARLY)
def test_who_is_refused_while_he_streams_is_told_once_he_has_said_all(patient: Adopted, case: str) -> None:
    """A client that sends on after it was answered hears only that its stream has ended."""
    method, who, first, code = EARLY[case]
    root = workload_pb2.Workload(name="root", kind=1, container=workload_pb2.ContainerSpec(**PRIVILEGED))  # type: ignore[arg-type]
    workload_pb2_grpc.WorkloadServiceStub(patient.channel()).Apply(
        workload_pb2.WorkloadApplyRequest(workload=root), metadata=patient.metadata()
    )
    keys = {"admin": patient.key, "operator": patient.add(2), "reader": patient.add(3)}
    answered = threading.Event()
    early: list[bool] = []

    def messages() -> Iterator[bytes]:
        yield first if isinstance(first, bytes) else first.SerializeToString()
        for _ in range(4):
            early.append(answered.wait(0.2))
            yield MORE[method].SerializeToString()
        early.append(answered.wait(0.2))

    call = patient.channel().stream_stream(f"/capsule.v1.{method}", bytes, bytes)(
        messages(), metadata=patient.metadata(keys[who]) if who else (), timeout=60
    )
    call.add_callback(answered.set)
    assert outcome(lambda: call, streams=True)[0] is code
    assert early == [False] * 5


def test_who_says_nothing_more_and_does_not_hang_up_is_not_waited_for_long(tmp_path: Path) -> None:
    short = Patience(first_s=0.1, quiet_s=0.1, chat_s=0.1)
    with standing(tmp_path / "state", limits=Limits(known=short, unknown=short)) as house:
        adopted = Adopted(house)
        hold = threading.Event()

        def pushed(first: Any) -> Iterator[bytes]:
            yield first.SerializeToString()
            hold.wait(60)

        for method, _, first, code in (EARLY["an update"], EARLY["a push by nobody"]):
            signed = code is not UNAUTHENTICATED
            call = adopted.channel().stream_stream(f"/capsule.v1.{method}", bytes, bytes)(
                pushed(first), metadata=adopted.metadata() if signed else (), timeout=30
            )
            assert outcome(lambda: call, streams=True)[0] is code  # noqa: B023
        hold.set()
        adopted.client.close()


def test_a_call_of_one_message_that_proves_nothing_is_not_waited_for(patient: Adopted) -> None:
    hold = threading.Event()

    def nothing() -> Iterator[bytes]:
        hold.wait(60)
        yield from ()

    delete = patient.channel().stream_unary("/capsule.v1.WorkloadService/Delete", bytes, bytes)
    token = patient.metadata()[0][1]
    other = patient.metadata()[0][1].rpartition(".")[2]
    for proof in ((), (("authorization", f"{token.rpartition('.')[0]}.{other}"),)):
        with pytest.raises(grpc.RpcError) as caught:
            delete(nothing(), metadata=proof, timeout=30)
        assert caught.value.code() is UNAUTHENTICATED
    hold.set()


def test_a_call_of_one_message_that_sends_none_is_told_so(patient: Adopted) -> None:
    delete = patient.channel().stream_unary("/capsule.v1.WorkloadService/Delete", bytes, bytes)
    with pytest.raises(grpc.RpcError, match="the call sent no message") as caught:
        delete(iter(()), metadata=patient.metadata(), timeout=30)
    assert caught.value.code() is Code.INVALID_ARGUMENT
