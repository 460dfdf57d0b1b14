"""A key that is removed, or whose role is lowered, while its calls are under way."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from capsule.v1 import (
    identity_pb2,
    identity_pb2_grpc,
    machine_pb2,
    machine_pb2_grpc,
    workload_pb2,
    workload_pb2_grpc,
)
from capsuled.resolve import Resolver
from tests.conformance.client import outcome
from tests.support.adopted import Adopted
from tests.support.house import IMAGE
from tests.support.until import wait_until

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
LOWERED = "this key was lowered from operator to reader while the call was under way: call again"


def test_removing_a_key_cuts_its_open_streams_also_of_a_client_that_does_not_read(adopted: Adopted) -> None:
    reader, other = adopted.add(3), adopted.add(3)
    watch = machine_pb2_grpc.MachineServiceStub(adopted.channel()).Watch
    followed = watch(machine_pb2.WatchRequest(), metadata=adopted.metadata(reader))
    unread = watch(machine_pb2.WatchRequest(), metadata=adopted.metadata(reader))
    stays = watch(machine_pb2.WatchRequest(), metadata=adopted.metadata(other))
    assert next(followed).synced and next(stays).synced
    adopted.client.signed(
        adopted.key, "IdentityService/KeyRemove", adopted.client.message("KeyRemoveRequest", kid=reader.kid)
    )
    for stream in (followed, unread):
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        assert caught.value.code() is UNAUTHENTICATED and "removed" in (caught.value.details() or "")
    assert stays.is_active()
    stays.cancel()


def test_lowering_a_role_cuts_what_it_does_not_suffice_for_any_more(adopted: Adopted) -> None:
    operator = adopted.add(2)
    watch = machine_pb2_grpc.MachineServiceStub(adopted.channel()).Watch(
        machine_pb2.WatchRequest(), metadata=adopted.metadata(operator)
    )
    assert next(watch).synced
    messages: list[Any] = []
    hold = threading.Event()

    def pushed() -> Iterator[Any]:
        yield adopted.client.message("ImagePushRequest", metadata={"total_bytes": 0})
        hold.wait(30)

    push = threading.Thread(
        target=lambda: messages.append(
            outcome(lambda: adopted.client.signed(operator, "ImageService/Push", pushed()), streams=False)
        )
    )
    push.start()
    wait_until(lambda: adopted.house.entries() and adopted.house.house.engine.machine.streams, "the push has begun")
    identity_pb2_grpc.OperatorServiceStub(adopted.channel()).SetRole(
        identity_pb2.SetRoleRequest(kid=operator.kid, role=identity_pb2.OPERATOR_ROLE_READER),
        metadata=adopted.metadata(),
    )
    push.join(30)
    hold.set()
    assert messages == [(grpc.StatusCode.PERMISSION_DENIED, LOWERED)]
    assert watch.is_active()
    watch.cancel()


def test_a_call_whose_key_loses_its_right_before_it_is_judged_is_refused(
    adopted: Adopted, monkeypatch: pytest.MonkeyPatch
) -> None:
    lowered, removed = adopted.add(2), adopted.add(2)
    begun, go_on = threading.Barrier(3), threading.Event()
    pins = Resolver._pins

    async def slow(self: Resolver, *arguments: Any) -> Any:
        """A registry that takes its time."""
        await asyncio.to_thread(begun.wait, 30)
        await asyncio.to_thread(go_on.wait, 30)
        return await pins(self, *arguments)

    monkeypatch.setattr(Resolver, "_pins", slow)
    answers: dict[str, Any] = {}

    def apply(key: Any) -> None:
        spec = workload_pb2.ContainerSpec(image=IMAGE)
        request = workload_pb2.WorkloadApplyRequest(
            workload=workload_pb2.Workload(name="late", kind=workload_pb2.WORKLOAD_KIND_CONTAINER, container=spec)
        )
        stub = workload_pb2_grpc.WorkloadServiceStub(adopted.channel())
        answers[key.kid] = outcome(lambda: stub.Apply(request, metadata=adopted.metadata(key)), streams=False)

    threads = [threading.Thread(target=apply, args=(key,)) for key in (lowered, removed)]
    for thread in threads:
        thread.start()
    begun.wait(30)
    identity_pb2_grpc.OperatorServiceStub(adopted.channel()).SetRole(
        identity_pb2.SetRoleRequest(kid=lowered.kid, role=identity_pb2.OPERATOR_ROLE_READER),
        metadata=adopted.metadata(),
    )
    adopted.client.signed(
        adopted.key, "IdentityService/KeyRemove", adopted.client.message("KeyRemoveRequest", kid=removed.kid)
    )
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert answers[lowered.kid] == (grpc.StatusCode.PERMISSION_DENIED, LOWERED)
    assert answers[removed.kid] == (UNAUTHENTICATED, "this key was removed while the call was under way")
    assert "late" not in adopted.house.house.engine.machine.workloads
