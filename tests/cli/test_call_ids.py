"""A client whose connection broke repeats its call with the same id, and finds that it was heard."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.json_format import Parse

from capsule.v1 import machine_pb2, machine_pb2_grpc, volume_pb2, volume_pb2_grpc, workload_pb2_grpc
from capsule.v1 import workload_pb2 as pb
from tests.support.daemon import SERVE, Daemon, manifest
from tests.support.refusals import reason_of

pytestmark = pytest.mark.real


@pytest.fixture
def channel(capsule: Daemon) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(f"unix:{capsule.state}/capsule.sock") as made:
        yield made


def request(name: str, **fields: Any) -> machine_pb2.ApplyAllRequest:
    declared = json.loads(manifest(name, SERVE, **fields))
    declared["kind"] = "WORKLOAD_KIND_CONTAINER"
    declared["container"]["networkMode"] = "NETWORK_MODE_NONE"
    return machine_pb2.ApplyAllRequest(workloads=[Parse(json.dumps(declared), pb.Workload())])


def called(call_id: str) -> Any:
    return (("capsule-call-id", call_id),)


def facts(capsule: Daemon) -> int:
    return int(capsule.data("journal", "stats")["lastSeq"])


def test_the_same_call_is_answered_as_it_was_whatever_has_become_of_the_workload(
    capsule: Daemon, channel: grpc.Channel
) -> None:
    apply = machine_pb2_grpc.MachineServiceStub(channel).ApplyAll
    workloads = workload_pb2_grpc.WorkloadServiceStub(channel)
    first = apply(request("repeated", env={"A": "1"}), metadata=called("apply-1"))
    assert first.items[0].outcome == "created" and first.seq > 0
    capsule.good("wait", "repeated")
    apply(request("repeated", env={"A": "2"}), metadata=called("apply-2"))
    deleted = workloads.Delete(pb.WorkloadDeleteRequest(name="repeated"), metadata=called("delete-1"))
    before = facts(capsule)
    assert apply(request("repeated", env={"A": "1"}), metadata=called("apply-1")) == first
    assert workloads.Delete(pb.WorkloadDeleteRequest(name="repeated"), metadata=called("delete-1")) == deleted
    assert facts(capsule) == before, "a repeated call adds nothing"
    assert "repeated" not in capsule.good("list", "-o", "name").split()


def test_a_delete_that_is_repeated_leaves_a_later_workload_of_that_name_alone(
    capsule: Daemon, channel: grpc.Channel
) -> None:
    workloads = workload_pb2_grpc.WorkloadServiceStub(channel)
    capsule.apply(manifest("again", SERVE), "--wait")
    delete = pb.WorkloadDeleteRequest(name="again")
    first = workloads.Delete(delete, metadata=called("delete-2"))
    capsule.apply(manifest("again", SERVE), "--wait")
    assert workloads.Delete(delete, metadata=called("delete-2"), timeout=10) == first
    assert capsule.status("again")["phase"] == "WORKLOAD_PHASE_RUNNING"
    capsule.good("delete", "again", "--yes")


def test_another_call_under_the_same_id_is_told_so_and_stands_in_history(
    capsule: Daemon, channel: grpc.Channel
) -> None:
    apply = machine_pb2_grpc.MachineServiceStub(channel).ApplyAll
    apply(request("other", env={"A": "1"}), metadata=called("apply-3"))
    with pytest.raises(grpc.RpcError) as caught:
        apply(request("other", env={"A": "2"}), metadata=called("apply-3"))
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(error) == "CALL_ID_REUSED"
    refused = capsule.history("--type", "call.refused")[-1]["body"]
    assert refused["reason"] == "CALL_ID_REUSED" and refused["method"] == "MachineService.ApplyAll"
    capsule.good("delete", "other", "--yes")


def test_an_id_is_remembered_over_a_restart_of_the_daemon(capsule: Daemon, channel: grpc.Channel) -> None:
    apply = machine_pb2_grpc.MachineServiceStub(channel).ApplyAll
    first = apply(request("kept"), metadata=called("apply-4"))
    assert capsule.stop() == 0
    capsule.start()
    with grpc.insecure_channel(f"unix:{capsule.state}/capsule.sock") as fresh:
        assert machine_pb2_grpc.MachineServiceStub(fresh).ApplyAll(request("kept"), metadata=called("apply-4")) == first
    capsule.good("delete", "kept", "--yes")


def test_calls_on_volumes_are_answered_again_as_they_were(capsule: Daemon, channel: grpc.Channel) -> None:
    volumes: Any = volume_pb2_grpc.VolumeServiceStub(channel)
    snapshots: Any = volume_pb2_grpc.SnapshotServiceStub(channel)
    capsule.good("volume", "create", "repeated", "16MiB")
    take = volume_pb2.SnapshotTakeRequest(volume="repeated")
    taken = snapshots.Take(take, metadata=called("take-1"))
    restore = volume_pb2.SnapshotRestoreRequest(volume="repeated", name=taken.name)
    safeties = [snapshots.Restore(restore, metadata=called(f"restore-{number}")).safety for number in range(3)]
    assert len(set(safeties)) == 3, "also within a second each has a name of its own"
    assert snapshots.Restore(restore, metadata=called("restore-0"), timeout=10).safety == safeties[0]
    assert snapshots.Take(take, metadata=called("take-1"), timeout=10).name == taken.name
    delete = volume_pb2.VolumeDeleteRequest(name="repeated")
    volumes.Delete(delete, metadata=called("delete-volume"))
    capsule.good("volume", "create", "repeated", "16MiB")
    volumes.Delete(delete, metadata=called("delete-volume"), timeout=10)
    capsule.good("volume", "get", "repeated")
    capsule.good("volume", "delete", "repeated", "--yes")


def test_what_could_not_be_made_is_refused_again_as_it_was(capsule: Daemon, channel: grpc.Channel) -> None:
    volumes: Any = volume_pb2_grpc.VolumeServiceStub(channel)
    huge = 1 << 30  # MiB: more than any disk has
    told = []
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as caught:
            volumes.Create(volume_pb2.VolumeCreateRequest(name="huge", size_mib=huge), metadata=called("huge-1"))
        told.append((caught.value.code(), caught.value.details()))
    assert told[0] == told[1] and told[0][0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    capsule.good("volume", "create", "small", "16MiB")
    grow = volume_pb2.VolumeResizeRequest(name="small", new_size_mib=huge)
    for _ in range(2):
        with pytest.raises(grpc.RpcError) as caught:
            volumes.Resize(grow, metadata=called("grow-1"))
        assert "Nothing was changed" in str(caught.value.details())
        volumes.Resize(volume_pb2.VolumeResizeRequest(name="small", new_size_mib=32))
    capsule.good("volume", "delete", "small", "--yes")
