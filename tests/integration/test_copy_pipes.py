"""Pipes that a daemon offers for copies: who is told of one, and what a client has that asks and does not come for it,
or that mixes pipe and messages."""

import os
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from capsule.v1 import workload_pb2 as pb
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from copies.handing import METADATA, TAKE_S, take
from tests.support.daemon import SERVE, Daemon, daemon, manifest
from tests.support.trees import member, tar

pytestmark = pytest.mark.real

ASKED = ((METADATA, "wanted"),)
FILE = tar(member("one", content=b"1" * 100_000))


@pytest.fixture(scope="module")
def capsule() -> Iterator[Daemon]:
    with daemon() as made:
        made.push_image()
        made.apply(manifest("web", SERVE), "--wait")
        yield made


@pytest.fixture
def stub(capsule: Daemon) -> Iterator[WorkloadServiceStub]:
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix:{capsule.state}/capsule.sock", options) as channel:
        yield WorkloadServiceStub(channel)


def offered(call: Any) -> str:
    return str(dict(call.initial_metadata() or ()).get(METADATA, ""))


def closed(capsule: Daemon) -> Any:
    return capsule.history("--type", "stream.closed")[-1]["body"]


def test_who_asks_and_does_not_come_has_the_messages(capsule: Daemon, stub: WorkloadServiceStub) -> None:
    def messages() -> Iterator[pb.WorkloadCopyToRequest]:
        yield pb.WorkloadCopyToRequest(metadata=pb.WorkloadCopyToMetadata(name="web", dest_path="/asked/"))
        yield pb.WorkloadCopyToRequest(chunk=FILE)

    call = stub.CopyTo.future(messages(), metadata=ASKED, timeout=60)
    path = offered(call)
    assert call.result().bytes_received == len(FILE)
    assert path and take(path) is None and not os.path.exists(path)
    reading = stub.CopyFrom(pb.WorkloadCopyFromRequest(name="web", src_path="/asked/one"), metadata=ASKED, timeout=60)
    path = offered(reading)
    assert oct(os.stat(os.path.dirname(path)).st_mode)[-3:] == "700"
    size = len(b"".join(chunk.data for chunk in reading))
    assert not os.path.exists(path) and closed(capsule)["bytes_out"] == size > 100_000
    assert closed(capsule)["took_ms"] >= TAKE_S * 1e3


def test_who_takes_the_pipe_sends_no_messages(capsule: Daemon, stub: WorkloadServiceStub) -> None:
    taken: list[int] = []
    begun = threading.Event()

    def messages() -> Iterator[pb.WorkloadCopyToRequest]:
        yield pb.WorkloadCopyToRequest(metadata=pb.WorkloadCopyToMetadata(name="web", dest_path="/mixed/"))
        begun.wait()
        pipe = take(offered(call))
        assert pipe is not None
        taken.append(os.write(pipe, FILE[:30_000]))
        os.close(pipe)
        yield pb.WorkloadCopyToRequest(chunk=FILE[30_000:])

    call = stub.CopyTo.future(messages(), metadata=ASKED, timeout=60)
    begun.set()
    with pytest.raises(grpc.RpcError) as raised:
        call.result()
    assert taken == [30_000] and raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert closed(capsule)["reason"] == "BAD_ARCHIVE"
    assert capsule.ctl("exec", "web", "--", "ls", "/mixed").returncode == 1


def test_a_pipe_that_was_taken_and_left_is_a_copy_that_failed(capsule: Daemon, stub: WorkloadServiceStub) -> None:
    reading = stub.CopyFrom(pb.WorkloadCopyFromRequest(name="web", src_path="/bin"), metadata=ASKED, timeout=60)
    pipe = take(offered(reading))
    assert pipe is not None
    os.read(pipe, 1_000)
    os.close(pipe)
    with pytest.raises(grpc.RpcError) as raised:
        list(reading)
    assert raised.value.code() is grpc.StatusCode.ABORTED
    told = closed(capsule)
    assert told["reason"] == "CALLED_OFF" and told["bytes_out"] > 0
