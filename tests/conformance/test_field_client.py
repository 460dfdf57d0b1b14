"""A client written from the contract's table alone adopts a real daemon and drives it: what clients in the field do."""

import io
import itertools
import tarfile
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest

from tests.conformance.client import Client, Key, once, outcome
from tests.support.daemon import Daemon, daemon
from tests.support.trees import member, tar
from tools.demo_image import archive

pytestmark = pytest.mark.real

RUNNING, STOPPED = 2, 4
SERVE = "trap 'exit 0' TERM; echo ready; while :; do sleep 1 & wait $!; done"


class Field:
    """The client, its key, and which methods it has called."""

    def __init__(self, machine: Daemon) -> None:
        self.client = Client(machine.data("capsule", "info")["addresses"][0])
        self.key = Key()
        self.called: set[str] = set()

    def message(self, kind: str, /, **fields: Any) -> Any:
        return self.client.message(kind, **fields)

    def call(self, method: str, request: Any) -> Any:
        self.called.add(method)
        return self.client.signed(self.key, method, request)

    def phase(self, name: str) -> int:
        found: int = self.call("WorkloadService/Get", self.message("WorkloadGetRequest", name=name)).status.phase
        return found


@pytest.fixture(scope="module")
def machine() -> Iterator[Daemon]:
    with daemon(start=False) as made:
        made.start("--listen", "127.0.0.1:0")
        yield made


@pytest.fixture(scope="module")
def field(machine: Daemon) -> Iterator[Field]:
    made = Field(machine)
    answer = made.client.adopt(made.key, "field")
    made.called.add("IdentityService/Adopt")
    assert answer.capsule_id == machine.data("capsule", "info")["capsuleId"]
    yield made
    made.client.close()


def workload(field: Field, name: str, script: str = SERVE, **more: Any) -> Any:
    spec = field.message("ContainerSpec", image="demo:1", command=["sh", "-c", script], env={"A": "one"})
    return field.message("Workload", name=name, kind=1, container=spec, **more)


def test_it_knows_itself_and_manages_keys(field: Field) -> None:
    assert field.call("IdentityService/WhoAmI", field.message("WhoAmIRequest")).name == "field"
    second = Key()
    request = field.message("KeyAddRequest", pubkey=second.public, name="second")
    added = field.call("IdentityService/KeyAdd", request).key
    assert (added.kid, added.name, added.added_by_kid) == (second.kid, "second", field.key.kid)
    keys = field.call("IdentityService/KeyList", field.message("KeyListRequest")).keys
    assert [key.kid for key in keys] == [field.key.kid, second.kid] and keys[0].added_at_unix > 1_700_000_000
    # A client that knows no roles adds its equals.
    third = field.message("KeyAddRequest", pubkey=Key().public, name="third")
    kid = field.client.signed(second, "IdentityService/KeyAdd", third).key.kid
    field.call("IdentityService/KeyRemove", field.message("KeyRemoveRequest", kid=kid))
    field.call("IdentityService/KeyRemove", field.message("KeyRemoveRequest", kid=second.kid))
    refused = outcome(
        lambda: field.client.signed(second, "IdentityService/WhoAmI", field.message("WhoAmIRequest")), False
    )
    assert refused[0] is grpc.StatusCode.UNAUTHENTICATED
    last = outcome(
        lambda: field.call("IdentityService/KeyRemove", field.message("KeyRemoveRequest", kid=field.key.kid)), False
    )
    assert last[0] is grpc.StatusCode.FAILED_PRECONDITION


def test_it_pushes_an_image_and_lists_it(field: Field) -> None:
    content = archive("demo:1")
    chunks = [content[at : at + (1 << 20)] for at in range(0, len(content), 1 << 20)]
    metadata = field.message("ImagePushMetadata", total_bytes=len(content))
    messages = itertools.chain(
        once(field.message("ImagePushRequest", metadata=metadata)),
        (field.message("ImagePushRequest", chunk=chunk) for chunk in chunks),
    )
    answer = field.call("ImageService/Push", messages)
    assert answer.bytes_received == len(content) and answer.image_refs[0].endswith("demo:1")
    assert field.call("ImageService/List", field.message("ImageListRequest")).images[0].digest.startswith("sha256:")


def test_it_runs_a_container_through_its_life(field: Field, machine: Daemon) -> None:
    applied = field.call(
        "WorkloadService/Apply", field.message("WorkloadApplyRequest", workload=workload(field, "web"))
    )
    assert (applied.workload.name, applied.workload.kind) == ("web", 1)
    machine.until(lambda: field.phase("web") == RUNNING, "it runs")
    listed = field.call("WorkloadService/List", field.message("WorkloadListRequest")).workloads
    assert [one.name for one in listed] == ["web"]
    # The output of get, status and all, is applied again and changes nothing.
    again = field.call("WorkloadService/Apply", field.message("WorkloadApplyRequest", workload=listed[0]))
    assert again.workload.status.restart_count == 0
    logs = field.call("WorkloadService/Logs", field.message("WorkloadLogsRequest", name="web"))
    assert b"".join(chunk.data for chunk in logs) == b"ready\n"
    field.call("WorkloadService/Restart", field.message("WorkloadRestartRequest", name="web"))
    field.call("WorkloadService/Stop", field.message("WorkloadStopRequest", name="web"))
    machine.until(lambda: field.phase("web") == STOPPED, "it has stopped")
    field.call("WorkloadService/Start", field.message("WorkloadStartRequest", name="web"))
    machine.until(lambda: field.phase("web") == RUNNING, "it runs again")


def test_it_runs_a_command_inside_with_input(field: Field) -> None:
    config = field.message(
        "WorkloadExecConfig", name="web", command=["sh", "-c", 'read line; echo "got $line $B"; exit 7'], env={"B": "b"}
    )
    messages = [
        field.message("WorkloadExecClientMessage", config=config),
        field.message("WorkloadExecClientMessage", stdin=b"hello\n"),
    ]
    answers = list(field.call("WorkloadService/Exec", iter(messages)))
    assert b"".join(one.stdout for one in answers) == b"got hello b\n"
    assert answers[-1].WhichOneof("payload") == "exit" and answers[-1].exit.exit_code == 7


def test_it_copies_files_in_and_out(field: Field) -> None:
    content = tar(member("one", content=b"1" * 40_000))
    target = field.message("WorkloadCopyToMetadata", name="web", dest_path="/copied/")
    messages = itertools.chain(
        once(field.message("WorkloadCopyToRequest", metadata=target)),
        (
            field.message("WorkloadCopyToRequest", chunk=content[at : at + 4_096])
            for at in range(0, len(content), 4_096)
        ),
    )
    assert field.call("WorkloadService/CopyTo", messages).bytes_received == len(content)
    request = field.message("WorkloadCopyFromRequest", name="web", src_path="/copied/one")
    found = b"".join(chunk.data for chunk in field.call("WorkloadService/CopyFrom", request))
    with tarfile.open(fileobj=io.BytesIO(found)) as archive_out:
        assert archive_out.extractfile("one").read() == b"1" * 40_000  # type: ignore[union-attr]


def test_it_deletes_and_nothing_is_left(field: Field) -> None:
    for _ in range(2):  # deleting what does not exist succeeds
        field.call("WorkloadService/Delete", field.message("WorkloadDeleteRequest", name="web"))
    gone = outcome(lambda: field.call("WorkloadService/Get", field.message("WorkloadGetRequest", name="web")), False)
    assert gone[0] is grpc.StatusCode.NOT_FOUND
    field.call("VolumeService/Delete", field.message("VolumeDeleteRequest", name="nothing"))


def test_it_asks_the_machine_about_itself(field: Field) -> None:
    info = field.call("CapsuleService/GetInfo", field.message("GetInfoRequest"))
    assert info.short_id == f"capsule-{field.client.capsule_id[:4]}" and info.local_time_unix > 1_700_000_000
    assert 0 < info.memory_available_bytes <= info.memory_total_bytes
    logs = field.call("CapsuleService/StreamLogs", field.message("CapsuleLogsRequest", tail_lines=0))
    assert field.client.fingerprint.encode() in b"".join(chunk.data for chunk in logs)
    assert not list(field.call("VolumeService/List", field.message("VolumeListRequest")).volumes)


def test_every_other_method_is_there_and_says_what_it_lacks(field: Field) -> None:
    """Whatever a later release brings answers in its own words; nothing is unknown, nothing breaks."""
    for method in field.client.contract.methods:
        name = f"{method.service}/{method.name}"
        if name in field.called:
            continue
        request: Any = field.message(method.request)
        sent = once(request) if method.client_streams else request
        code, message = outcome(partial(field.call, name, sent), method.server_streams)
        assert message or code is grpc.StatusCode.OK, name
        allowed = (
            grpc.StatusCode.OK,
            grpc.StatusCode.UNIMPLEMENTED,
            grpc.StatusCode.NOT_FOUND,
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.FAILED_PRECONDITION,
        )
        assert code in allowed, (name, code, message)


def test_a_client_that_was_refused_while_it_streams_hears_why(field: Field) -> None:
    """The status comes once all is said: until then a client would see only that its stream has ended."""
    said: list[str] = []

    def messages() -> Iterator[Any]:
        metadata = field.message("UpdateOSMetadata", total_bytes=3 << 20, sha256_hex="0" * 64)
        yield field.message("UpdateOSRequest", metadata=metadata)
        for _ in range(3):
            time.sleep(0.1)
            yield field.message("UpdateOSRequest", chunk=bytes(1 << 20))
        said.append("all")

    code, message = outcome(lambda: field.call("CapsuleService/UpdateOS", messages()), False)
    assert code is grpc.StatusCode.UNIMPLEMENTED and message and said == ["all"]
    denied = outcome(lambda: field.client.call("CapsuleService/UpdateOS", messages()), False)
    assert denied[0] is grpc.StatusCode.UNAUTHENTICATED and said == ["all", "all"]


def test_what_it_did_is_remembered_as_its_own(field: Field, machine: Daemon) -> None:
    accepted = machine.history("--type", "call.accepted", f"--actor={field.key.kid}")
    methods = {event["body"]["method"] for event in accepted}
    assert {"WorkloadService.Apply", "WorkloadService.Delete", "IdentityService.KeyAdd"} <= methods
    opened = machine.history("--type", "stream.opened", f"--actor={field.key.kid}")
    assert {event["body"]["method"] for event in opened} == {
        "ImageService.Push", "WorkloadService.Exec", "WorkloadService.CopyTo", "WorkloadService.CopyFrom",
    }  # fmt: skip
    assert "one" not in repr([event["body"] for event in accepted])
    closed = machine.history("--type", "stream.closed")
    assert all(event["body"]["outcome"] == "ok" for event in closed)
