"""Whoever knocks for long, or with what has no end, fills neither the disk nor an answer."""

from functools import partial
from pathlib import Path

import grpc

from capsule.v1 import (
    workload_pb2,
    workload_pb2_grpc,
)
from capsuled.caller import Caller
from capsuled.denials import Rate
from capsuled.streams import opened
from journal.entry import LOCAL
from journal.events import CallAccepted, CallDenied, StreamOpened
from journal.reader import Reader
from tests.conformance.client import Key, outcome
from tests.support.adopted import Adopted
from tests.support.house import standing

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


def test_whoever_knocks_for_long_fills_no_disk_and_is_counted(tmp_path: Path) -> None:
    with standing(tmp_path, rate=Rate(burst=5, every_s=3_600)) as house:
        adopted = Adopted(house)
        request = adopted.client.message("WorkloadListRequest")
        for _ in range(300):
            assert outcome(lambda: adopted.client.call("WorkloadService/List", request), False)[0] is UNAUTHENTICATED
        reader = adopted.add(3)
        denied = outcome(
            lambda: adopted.client.signed(
                reader, "WorkloadService/Stop", adopted.client.message("WorkloadStopRequest")
            ),
            False,
        )
        assert denied[0] is grpc.StatusCode.PERMISSION_DENIED
        told = [(header, event) for header, event in house.entries() if isinstance(event, CallDenied)]
        assert [event.reason for _, event in told] == ["NO_TOKEN"] * 5 + ["ROLE_LACKS"]
        adopted.client.close()
    with standing(tmp_path) as house:
        events = [event for _, event in house.entries() if isinstance(event, CallDenied) and event.reason == "NO_TOKEN"]
        assert [event.count for event in events] == [1] * 5 + [295]


def test_adoption_that_is_refused_or_changes_nothing_fills_no_disk_either(tmp_path: Path) -> None:
    with standing(tmp_path, rate=Rate(burst=5, every_s=3_600)) as house:
        adopted = Adopted(house)
        for _ in range(50):
            stranger = adopted.client.message("AdoptRequest", pubkey=Key().public)
            code, _ = outcome(partial(adopted.client.call, "IdentityService/Adopt", stranger), False)
            assert code is grpc.StatusCode.FAILED_PRECONDITION
            adopted.client.adopt(adopted.key)
        events = [event for _, event in house.entries()]
        assert sum(isinstance(event, CallDenied) for event in events) == 5
        assert sum(isinstance(event, CallAccepted) for event in events) == 1
        adopted.client.close()


def test_bytes_that_are_no_adoption_fill_no_disk_either(tmp_path: Path) -> None:
    with standing(tmp_path, rate=Rate(burst=5, every_s=3_600)) as house:
        adopted = Adopted(house)
        before = len(house.entries())
        call = adopted.channel().unary_unary("/capsule.v1.IdentityService/Adopt", bytes, bytes)
        for _ in range(50):
            code, _ = outcome(lambda: call(b"\xff\xff\xff"), False)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
        told = [event for _, event in house.entries()[before:]]
        assert [(type(event), getattr(event, "reason", "")) for event in told] == [(CallDenied, "BAD_MESSAGE")] * 5
        adopted.client.close()


def test_a_name_without_end_does_not_fill_the_journal(adopted: Adopted) -> None:
    endless = "x" * (3 << 20)
    for method, request in (
        ("WorkloadService/Delete", adopted.client.message("WorkloadDeleteRequest", name=endless)),
        ("WorkloadService/Stop", adopted.client.message("WorkloadStopRequest", name=endless)),
        ("IdentityService/KeyRemove", adopted.client.message("KeyRemoveRequest", kid=endless)),
    ):
        outcome(partial(adopted.client.signed, adopted.key, method, request), streams=False)

    async def streamed() -> None:
        caller = Caller(LOCAL, "WorkloadService.Exec")
        async with opened(adopted.house.house.engine, caller, endless, ("sh", "-c", endless, endless), user=endless):
            pass

    adopted.house.do(streamed)
    for header, event in adopted.house.entries():
        assert len(repr(event)) < (4_000 if not isinstance(event, StreamOpened) else 5_300), header.type
    (stream,) = (event for _, event in adopted.house.entries() if isinstance(event, StreamOpened))
    assert stream.argv[:2] == ("sh", "-c") and stream.argv[-1] == "… and 1 more"


def test_a_read_of_a_name_without_end_does_not_fill_it_either(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        adopted = Adopted(house)
        request = workload_pb2.WorkloadLogsRequest(name="x" * (3 << 20))
        logs = workload_pb2_grpc.WorkloadServiceStub(adopted.channel()).Logs(request, metadata=adopted.metadata())
        assert outcome(lambda: logs, streams=True)[0] is grpc.StatusCode.NOT_FOUND
        adopted.client.close()
        journal = house.layout.journal
    reader = Reader.open(journal)
    (read,) = reader.entries(stream="audit")
    assert len(read.body) < 1_000
    reader.close()


def test_a_refusal_that_names_what_has_no_end_arrives(adopted: Adopted) -> None:
    """A status is metadata: a client throws one that is too large away, and says that its own resources are."""
    logs = workload_pb2_grpc.WorkloadServiceStub(adopted.channel()).Logs
    for name in ("x" * (3 << 20), "ü" * (1 << 20), "\U0001f4e6" * (1 << 19)):
        call = logs(workload_pb2.WorkloadLogsRequest(name=name), metadata=adopted.metadata())
        code, message = outcome(lambda: call, streams=True)  # noqa: B023
        assert code is grpc.StatusCode.NOT_FOUND and message.endswith("…")
    names = {f"{number}={'x' * 90}": "value" for number in range(30_000)}
    spec = workload_pb2.ContainerSpec(image="demo:1", command=["sh"], env=names)
    code, message = outcome(
        lambda: workload_pb2_grpc.WorkloadServiceStub(adopted.channel()).Apply(
            workload_pb2.WorkloadApplyRequest(
                workload=workload_pb2.Workload(name="web", kind=workload_pb2.WORKLOAD_KIND_CONTAINER, container=spec)
            ),
            metadata=adopted.metadata(),
        ),
        streams=False,
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT and message
    assert all(len(repr(event)) < 20_000 for _, event in adopted.house.entries())
