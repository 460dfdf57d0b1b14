"""SecretService on a house of twins with a sealed store on the disk: values go in sealed, and come out by name only."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import secret_pb2 as pb
from capsule.v1 import workload_pb2
from capsule.v1.secret_pb2_grpc import SecretServiceStub
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from capsuled.sealing import SealBroken
from capsuled.secrets import is_text, sealed_text, value_of
from journal.events import CallAccepted, SecretCreated, SecretRevealed, WorkloadEnvRevealed
from projections.linux import ENV_BYTES_MAX
from tests.support.house import IMAGE, Standing, standing
from tests.support.refusals import reason_of

VALUE = b"correct horse \xff\x00 battery"


class Asker:
    """The socket's client."""

    def __init__(self, house: Standing) -> None:
        self.house = house
        self.channel = grpc.insecure_channel(f"unix:{house.layout.socket}", [("grpc.default_authority", "localhost")])
        self.secrets: Any = SecretServiceStub(self.channel)
        self.workloads: Any = WorkloadServiceStub(self.channel)

    def create(self, name: str, value: bytes, call_id: str = "") -> pb.Secret:
        metadata = (("capsule-call-id", call_id),) if call_id else ()
        found: pb.Secret = self.secrets.Create(pb.SecretCreateRequest(name=name, value=value), metadata=metadata)
        return found

    def rotate(self, name: str, value: bytes) -> pb.Secret:
        found: pb.Secret = self.secrets.Rotate(pb.SecretRotateRequest(name=name, value=value))
        return found

    def reveal(self, name: str, call_id: str = "") -> bytes:
        metadata = (("capsule-call-id", call_id),) if call_id else ()
        return bytes(self.secrets.Reveal(pb.SecretRevealRequest(name=name), metadata=metadata).value)

    def declare(self, name: str, **env: str) -> workload_pb2.Workload:
        machine = workload_pb2.ContainerSpec(image=IMAGE, env=env)
        wanted = workload_pb2.Workload(name=name, kind=workload_pb2.WORKLOAD_KIND_CONTAINER, container=machine)
        found: workload_pb2.Workload = self.workloads.Apply(workload_pb2.WorkloadApplyRequest(workload=wanted)).workload
        return found

    def sealed(self) -> set[str]:
        return {path.name for path in self.house.layout.sealed.iterdir()}


@pytest.fixture
def asker(tmp_path: Path) -> Iterator[Asker]:
    with standing(tmp_path / "state") as house:
        made = Asker(house)
        yield made
        made.channel.close()


def refusal(error: "pytest.ExceptionInfo[grpc.RpcError]") -> tuple[grpc.StatusCode, str]:
    return error.value.code(), reason_of(error.value)


def test_any_bytes_come_back_as_they_were_and_that_is_a_fact(asker: Asker) -> None:
    told = asker.create("db", VALUE)
    assert (told.name, told.version, told.size_bytes, list(told.used_by)) == ("db", 1, len(VALUE), [])
    assert asker.reveal("db") == VALUE
    events = [event for _, event in asker.house.entries()]
    assert SecretRevealed("db", told.uid, 1) in events
    (created,) = [event for event in events if isinstance(event, SecretCreated)]
    assert asker.sealed() == {created.sealed} and created.size_bytes == len(VALUE) and not created.text


def test_nothing_on_the_disk_and_nothing_in_the_journal_is_the_value(asker: Asker) -> None:
    planted = b"planted-secret-4711"
    asker.create("db", planted, call_id=str(uuid.uuid4()))
    asker.rotate("db", planted + b"-again")
    assert asker.reveal("db") == planted + b"-again"
    for path in asker.house.layout.state.rglob("*"):
        assert not path.is_file() or planted not in path.read_bytes(), path
    accepted = [event for _, event in asker.house.entries() if isinstance(event, CallAccepted)]
    assert dict(accepted[0].arguments) == {"name": "db", "value": "19 bytes"}


def test_a_former_value_and_a_removed_ones_are_destroyed_before_the_answer(asker: Asker) -> None:
    asker.create("db", b"one")
    (first,) = asker.sealed()
    told = asker.rotate("db", b"two")
    assert told.version == 2 and first not in asker.sealed() and len(asker.sealed()) == 1
    assert asker.rotate("db", b"two").version == 2
    asker.secrets.Remove(pb.SecretRemoveRequest(name="db"))
    assert asker.sealed() == set()
    assert not asker.secrets.List(pb.SecretListRequest()).secrets


def test_a_value_that_does_not_open_can_be_given_again(asker: Asker) -> None:
    told = asker.create("db", b"one")
    (name,) = asker.sealed()
    (asker.house.layout.sealed / name).write_bytes(b"")
    with pytest.raises(grpc.RpcError):
        asker.reveal("db")
    assert asker.rotate("db", b"one") == told and asker.reveal("db") == b"one" and asker.sealed() == {name}


def test_nothing_of_a_refused_value_is_kept(asker: Asker) -> None:
    asker.create("db", b"one")
    kept = asker.sealed()
    with pytest.raises(grpc.RpcError) as taken:
        asker.create("db", b"another")
    assert refusal(taken) == (grpc.StatusCode.ALREADY_EXISTS, "SECRET_EXISTS")
    with pytest.raises(grpc.RpcError) as unknown:
        asker.rotate("bd", b"another")
    assert refusal(unknown) == (grpc.StatusCode.NOT_FOUND, "SECRET_NOT_FOUND")
    assert asker.sealed() == kept


def test_a_repeated_call_is_answered_again_and_adds_nothing(asker: Asker) -> None:
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    told = asker.create("db", b"one", first)
    assert asker.create("db", b"one", first) == told
    with pytest.raises(grpc.RpcError) as other:
        asker.create("db", b"two", first)
    assert refusal(other) == (grpc.StatusCode.INVALID_ARGUMENT, "CALL_ID_REUSED")
    assert asker.reveal("db", second) == asker.reveal("db", second) == b"one"
    assert sum(isinstance(event, SecretRevealed) for _, event in asker.house.entries()) == 1
    asker.rotate("db", b"two")
    with pytest.raises(grpc.RpcError) as gone:
        asker.reveal("db", second)
    assert refusal(gone) == (grpc.StatusCode.FAILED_PRECONDITION, "VERSION_GONE")


def test_an_environment_is_shown_to_who_asks_and_that_is_a_fact(asker: Asker) -> None:
    declared = asker.declare("web", USER="root", MODE="live")
    assert all(value.startswith("sealed:") for value in declared.container.env.values())
    told = asker.secrets.RevealEnv(pb.SecretRevealEnvRequest(name="web"))
    assert dict(told.workload.container.env) == {"USER": "root", "MODE": "live"}
    told.workload.container.env.clear()
    declared.container.env.clear()
    assert told.workload == declared
    shown = [(header.seq, event) for header, event in asker.house.entries() if isinstance(event, WorkloadEnvRevealed)]
    fact = WorkloadEnvRevealed("web", declared.uid, declared.revision, ("MODE", "USER"))
    assert shown == [(told.seq + 1, fact)]


def test_an_environment_without_values_leaves_no_word(asker: Asker) -> None:
    asker.declare("bare")
    told = asker.secrets.RevealEnv(pb.SecretRevealEnvRequest(name="bare"))
    assert told.workload.name == "bare" and not told.workload.container.env
    assert not [event for _, event in asker.house.entries() if isinstance(event, WorkloadEnvRevealed)]
    with pytest.raises(grpc.RpcError) as unknown:
        asker.secrets.RevealEnv(pb.SecretRevealEnvRequest(name="baer"))
    assert refusal(unknown) == (grpc.StatusCode.NOT_FOUND, "WORKLOAD_NOT_FOUND")


def test_a_repeated_call_is_shown_the_environment_that_it_asked_for_or_none(asker: Asker) -> None:
    metadata = (("capsule-call-id", str(uuid.uuid4())),)
    asker.declare("web", MODE="one")
    request = pb.SecretRevealEnvRequest(name="web")
    told = asker.secrets.RevealEnv(request, metadata=metadata)
    assert asker.secrets.RevealEnv(request, metadata=metadata) == told
    assert sum(isinstance(event, WorkloadEnvRevealed) for _, event in asker.house.entries()) == 1
    asker.declare("web", MODE="two")
    with pytest.raises(grpc.RpcError) as gone:
        asker.secrets.RevealEnv(request, metadata=metadata)
    assert refusal(gone) == (grpc.StatusCode.FAILED_PRECONDITION, "VERSION_GONE")
    assert asker.secrets.RevealEnv(request).workload.container.env["MODE"] == "two"


def test_a_value_in_another_secrets_place_is_found_out() -> None:
    assert value_of(sealed_text("db", VALUE), "db") == VALUE
    with pytest.raises(SealBroken, match="not that of secret web"):
        value_of(sealed_text("db", VALUE), "web")
    with pytest.raises(SealBroken):
        value_of("registry.lan\0me\0password", "registry.lan")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"plain", True),
        ("für".encode(), True),
        (b"line\nline\n", True),
        (b"a\0b", False),
        (b"\xff", False),
        (b"x" * ENV_BYTES_MAX, True),
        (b"x" * (ENV_BYTES_MAX + 1), False),
    ],
)
def test_what_a_process_can_be_given_as_a_variable(value: bytes, text: bool) -> None:
    assert is_text(value) is text
