"""A call that is repeated by a client of the socket, with its id: the same answer, whatever has changed meanwhile."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import image_cache_pb2, registry_pb2, workload_pb2
from capsule.v1.image_cache_pb2_grpc import ImageCacheServiceStub
from capsule.v1.registry_pb2_grpc import RegistryServiceStub
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from capsuled.rpc import Refused
from capsuled.terms import CALL_ID_CHARS, check_call_id
from journal.events import CallRefused, WorkloadRemoved
from tests.support.house import IMAGE, Standing, standing
from tests.support.refusals import reason_of
from tests.support.until import until

HOST = "registry.example:5000"


class Client:
    """Of the socket's."""

    def __init__(self, house: Standing) -> None:
        self.house = house
        self.channel = grpc.insecure_channel(f"unix:{house.layout.socket}", [("grpc.default_authority", "localhost")])
        self.workloads: Any = WorkloadServiceStub(self.channel)
        self.images: Any = ImageCacheServiceStub(self.channel)
        self.registries: Any = RegistryServiceStub(self.channel)

    def twice(self, method: Any, request: Any, between: Any = lambda: None) -> Any:
        """The answer, which is the same the second time."""
        call_id = uuid.uuid4().hex
        first = method(request, metadata=called(call_id))
        between()
        assert method(request, metadata=called(call_id)) == first
        return first

    def declare(self, name: str) -> None:
        container = workload_pb2.ContainerSpec(image=IMAGE)
        wanted = workload_pb2.Workload(name=name, kind=workload_pb2.WORKLOAD_KIND_CONTAINER, container=container)
        self.workloads.Apply(workload_pb2.WorkloadApplyRequest(workload=wanted))

    def removed(self, name: str) -> None:
        """Nothing is left of it; the runner would say so."""

        async def tell() -> None:
            engine = self.house.house.engine
            engine.record((WorkloadRemoved(name, engine.machine.workloads[name].uid),))

        self.house.do(tell)


def called(call_id: str) -> tuple[tuple[str, str], ...]:
    return (("capsule-call-id", call_id),)


def refusal(error: "pytest.ExceptionInfo[grpc.RpcError]") -> tuple[grpc.StatusCode, str]:
    return error.value.code(), reason_of(error.value)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with standing(tmp_path / "state") as house:
        made = Client(house)
        yield made
        made.channel.close()


def test_what_was_not_there_to_be_deleted_is_told_so_again_and_by_a_dry_run(client: Client) -> None:
    delete = workload_pb2.WorkloadDeleteRequest(name="web")
    assert client.twice(client.workloads.Delete, delete, lambda: client.declare("web")).absent
    dry = workload_pb2.WorkloadDeleteRequest(name="web", dry_run=True)
    assert not client.workloads.Delete(dry).absent
    assert client.workloads.Delete(workload_pb2.WorkloadDeleteRequest(name="db", dry_run=True)).absent


def test_what_was_there_to_be_deleted_is_told_so_again_whatever_has_its_name_since(client: Client) -> None:
    client.declare("web")
    delete = workload_pb2.WorkloadDeleteRequest(name="web")
    call_id = uuid.uuid4().hex
    deleting = client.workloads.Delete.future(delete, metadata=called(call_id))
    again = client.workloads.Delete.future(delete, metadata=called(call_id))
    machine = client.house.house.engine.machine
    client.house.do(lambda: until(lambda: machine.workloads["web"].desired == "deleting"))
    client.removed("web")
    first = deleting.result(10)
    assert not first.absent and again.result(10) == first
    assert client.workloads.Delete(delete, metadata=called(call_id)) == first
    client.declare("web")
    assert client.workloads.Delete(delete, metadata=called(call_id), timeout=10) == first
    assert machine.workloads["web"].desired == "running"


def test_what_left_the_image_cache_is_told_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    store = client.house.house.images
    real = store.remove

    async def remove(records: Any) -> int:
        return await real(records) + 4711

    monkeypatch.setattr(store, "remove", remove)
    client.house.do(client.house.house.cache.look)
    removal = client.twice(client.images.Remove, image_cache_pb2.ImageRemoveRequest(ref=IMAGE))
    assert (removal.names, removal.freed_bytes) == ([IMAGE], 4711)
    collected = client.twice(client.images.Collect, image_cache_pb2.ImageCollectRequest(all=True))
    assert collected.names and collected.digests and collected.freed_bytes == 4711


def test_a_login_that_was_answered_asks_no_registry_again(client: Client) -> None:
    login = registry_pb2.RegistryLoginRequest(host=HOST, username="ada", password="one")

    def shut() -> None:
        client.house.registries.door = "down"

    assert client.twice(client.registries.Login, login, shut).seq
    with pytest.raises(grpc.RpcError) as caught:
        client.registries.Login(login, metadata=called("another"))
    assert refusal(caught) == (grpc.StatusCode.UNAVAILABLE, "REGISTRY_UNREACHABLE")


def test_a_call_id_that_is_too_long_to_be_remembered_is_refused_before_anything_is_done(client: Client) -> None:
    long = "x" * CALL_ID_CHARS
    client.declare("web")
    stop = workload_pb2.WorkloadStopRequest(name="web")
    with pytest.raises(grpc.RpcError) as caught:
        client.workloads.Stop(stop, metadata=called(long + "1"))
    assert refusal(caught) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_CALL_ID")
    assert client.house.house.engine.machine.workloads["web"].desired == "running"
    (said,) = (event for _, event in client.house.entries() if isinstance(event, CallRefused))
    assert (said.method, said.reason, said.fields) == ("WorkloadService.Stop", "BAD_CALL_ID", ("capsule-call-id",))
    exec_config = workload_pb2.WorkloadExecConfig(name="web", command=["true"])
    with pytest.raises(grpc.RpcError) as caught:
        list(
            client.workloads.Exec(
                iter([workload_pb2.WorkloadExecClientMessage(config=exec_config)]), metadata=called(long + "1")
            )
        )
    assert refusal(caught) == (grpc.StatusCode.INVALID_ARGUMENT, "BAD_CALL_ID")
    assert client.workloads.Stop(stop, metadata=called(long)).seq


@pytest.mark.parametrize("call_id", ["x" * 129, "nächste", "a\tb", "a\x7f"])
def test_what_is_no_call_id(call_id: str) -> None:
    with pytest.raises(Refused) as caught:
        check_call_id(call_id)
    assert (caught.value.refusal.code, caught.value.reason) == ("INVALID_ARGUMENT", "BAD_CALL_ID")
    check_call_id("")
    check_call_id(str(uuid.uuid4()))
