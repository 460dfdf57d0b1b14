"""The machine's front over the network: its certificate, tokens over restarts, cut streams, rescue, rates and limits."""

import asyncio
import hashlib
import json
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from capsule.v1 import (
    capsule_pb2,
    history_pb2,
    history_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
    image_pb2,
    machine_pb2,
    machine_pb2_grpc,
    workload_pb2,
    workload_pb2_grpc,
)
from capsuled.condition import Condition
from capsuled.denials import Rate
from capsuled.engine import Caller
from capsuled.limits import Limits, Patience
from capsuled.resolve import Resolver
from capsuled.startup import reset_asked
from capsuled.streams import opened
from journal.entry import LOCAL
from journal.events import CallAccepted, CallDenied, OperatorsReset, StreamOpened
from journal.reader import Reader
from tests.conformance.client import Client, Key, outcome, presented_certificate
from tests.support.entries import keep, newer_release
from tests.support.house import IMAGE, Standing, standing

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


class Adopted:
    """A house, its first operator, and a client with a pinned certificate."""

    def __init__(self, house: Standing) -> None:
        self.house = house
        self.key = Key()
        self.client = Client(house.address)
        self.client.adopt(self.key)

    def channel(self) -> grpc.Channel:
        return self.client.channel

    def metadata(self, key: Key | None = None) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {(key or self.key).token(self.client.capsule_id)}"),)

    def add(self, role: int) -> Key:
        key = Key()
        stub = identity_pb2_grpc.IdentityServiceStub(self.channel())
        stub.KeyAdd(
            identity_pb2.KeyAddRequest(pubkey=key.public, name=f"role {role}", role=role),  # type: ignore[arg-type]
            metadata=self.metadata(),
        )
        return key


@pytest.fixture
def adopted(tmp_path: Path) -> Iterator[Adopted]:
    with standing(tmp_path / "state") as house:
        made = Adopted(house)
        yield made
        made.client.close()


def endpoint(house: Standing) -> tuple[str, int]:
    host, _, port = house.address.rpartition(":")
    return host, int(port)


def test_the_certificate_is_made_once_and_is_what_the_contract_says(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        first = presented_certificate(*endpoint(house))  # a bare handshake, without ALPN
        capsule_id = house.house.about.identity.capsule_id
    with standing(tmp_path) as house:
        assert presented_certificate(*endpoint(house)) == first
        assert house.house.about.fingerprint == hashlib.sha256(first).hexdigest()
    certificate = x509.load_der_x509_certificate(first)
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name == "secp256r1"
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["capsule", "localhost", capsule_id]
    assert (tmp_path / "identity" / "tls.pem").stat().st_mode & 0o777 == 0o600


def test_no_client_certificate_is_asked_for_and_plain_text_gets_nothing(adopted: Adopted) -> None:
    with grpc.insecure_channel(adopted.house.address) as channel:
        call = channel.unary_unary("/capsule.v1.IdentityService/WhoAmI", bytes, bytes)
        code, _ = outcome(lambda: call(b"", timeout=5), streams=False)
        assert code is grpc.StatusCode.UNAVAILABLE


def test_a_token_that_acted_is_remembered_over_a_restart(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        adopted = Adopted(house)
        token = f"Bearer {adopted.key.token(adopted.client.capsule_id)}"
        stop = adopted.client.message("WorkloadStopRequest", name="nobody")
        code, _ = outcome(lambda: adopted.client.call("WorkloadService/Stop", stop, token), streams=False)
        assert code is grpc.StatusCode.NOT_FOUND
        adopted.client.close()
    with standing(tmp_path) as house:
        client = Client(house.address)
        for _ in range(2):
            code, message = outcome(lambda: client.call("WorkloadService/Stop", stop, token), streams=False)
            assert code is UNAUTHENTICATED and "used before" in message
        client.close()


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Adopted]:
    """A house that waits for long pauses, so that a test need not be quick."""
    slow = Patience(quiet_s=60, chat_s=60)
    with standing(tmp_path / "state", limits=Limits(known=slow, unknown=slow)) as house:
        made = Adopted(house)
        yield made
        made.client.close()


PRIVILEGED = {"image": "demo:1", "command": ["sh"], "privileged": True}
EARLY: dict[str, tuple[str, str, Any, Any, grpc.StatusCode]] = {
    "an update": (
        "CapsuleService/UpdateOS",
        "admin",
        capsule_pb2.UpdateOSRequest(metadata=capsule_pb2.UpdateOSMetadata(total_bytes=3)),
        capsule_pb2.UpdateOSRequest(chunk=b"x"),
        grpc.StatusCode.UNIMPLEMENTED,
    ),
    "a copy": (
        "WorkloadService/CopyTo",
        "admin",
        workload_pb2.WorkloadCopyToRequest(metadata=workload_pb2.WorkloadCopyToMetadata(name="root")),
        workload_pb2.WorkloadCopyToRequest(chunk=b"x"),
        grpc.StatusCode.UNIMPLEMENTED,
    ),
    "exec into what is not for the role": (
        "WorkloadService/Exec",
        "operator",
        workload_pb2.WorkloadExecClientMessage(config=workload_pb2.WorkloadExecConfig(name="root", command=["sh"])),
        workload_pb2.WorkloadExecClientMessage(stdin=b"x"),
        grpc.StatusCode.PERMISSION_DENIED,
    ),
    "exec of what does not run": (
        "WorkloadService/Exec",
        "admin",
        workload_pb2.WorkloadExecClientMessage(config=workload_pb2.WorkloadExecConfig(name="root", command=["sh"])),
        workload_pb2.WorkloadExecClientMessage(stdin=b"x"),
        grpc.StatusCode.FAILED_PRECONDITION,
    ),
    "a push without metadata": (
        "ImageService/Push",
        "admin",
        image_pb2.ImagePushRequest(chunk=b"x"),
        image_pb2.ImagePushRequest(chunk=b"x"),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "a push under a name that is none": (
        "ImageService/Push",
        "admin",
        image_pb2.ImagePushRequest(metadata=image_pb2.ImagePushMetadata(ref="Not A Name")),
        image_pb2.ImagePushRequest(chunk=b"x"),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "a message that is none": (
        "ImageService/Push",
        "admin",
        b"\xff\xff\xff",
        image_pb2.ImagePushRequest(chunk=b"x"),
        grpc.StatusCode.INVALID_ARGUMENT,
    ),
    "a push by a reader": (
        "ImageService/Push",
        "reader",
        image_pb2.ImagePushRequest(metadata=image_pb2.ImagePushMetadata()),
        image_pb2.ImagePushRequest(chunk=b"x"),
        grpc.StatusCode.PERMISSION_DENIED,
    ),
    "a push by nobody": (
        "ImageService/Push",
        "",
        image_pb2.ImagePushRequest(metadata=image_pb2.ImagePushMetadata()),
        image_pb2.ImagePushRequest(chunk=b"x"),
        UNAUTHENTICATED,
    ),
}


@pytest.mark.parametrize("case", EARLY)
def test_who_is_refused_while_he_streams_is_told_once_he_has_said_all(patient: Adopted, case: str) -> None:
    """A client that sends on after it was answered hears only that its stream has ended."""
    method, who, first, more, code = EARLY[case]
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
            yield more.SerializeToString()
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

        for method, _, first, _, code in (EARLY["an update"], EARLY["a push by nobody"]):
            signed = code is not UNAUTHENTICATED
            call = adopted.channel().stream_stream(f"/capsule.v1.{method}", bytes, bytes)(
                pushed(first), metadata=adopted.metadata() if signed else (), timeout=30
            )
            assert outcome(lambda: call, streams=True)[0] is code  # noqa: B023
        hold.set()
        adopted.client.close()


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
        assert caught.value.code() is UNAUTHENTICATED and "removed" in caught.value.details()  # type: ignore[attr-defined]
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
    while not adopted.house.house.engine.machine.streams:
        adopted.house.entries()
    identity_pb2_grpc.OperatorServiceStub(adopted.channel()).SetRole(
        identity_pb2.SetRoleRequest(kid=operator.kid, role=identity_pb2.OPERATOR_ROLE_READER),
        metadata=adopted.metadata(),
    )
    push.join(30)
    hold.set()
    ((code, words),) = messages
    assert code is grpc.StatusCode.PERMISSION_DENIED and "lowered from operator to reader" in words
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
        request = workload_pb2.WorkloadApplyRequest(workload=workload_pb2.Workload(name="late", kind=1, container=spec))
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
    code, words = answers[lowered.kid]
    assert code is grpc.StatusCode.PERMISSION_DENIED and "lowered from operator to reader" in words
    code, words = answers[removed.kid]
    assert code is UNAUTHENTICATED and "removed" in words
    assert "late" not in adopted.house.house.engine.machine.workloads


def test_in_rescue_the_copy_of_the_operators_lets_them_look_and_nobody_adopt(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        adopted = Adopted(house)
        reader, gone = adopted.add(3), adopted.add(1)
        adopted.client.signed(
            adopted.key, "IdentityService/KeyRemove", adopted.client.message("KeyRemoveRequest", kid=gone.kid)
        )
        adopted.client.close()
    data = tmp_path / "journal" / "data.mdb"
    content = bytearray(data.read_bytes())
    at = content.find(b"daemon.started")
    while at >= 0:
        content[at] ^= 1
        at = content.find(b"daemon.started", at)
    data.write_bytes(bytes(content))
    with standing(tmp_path) as house:
        assert house.house.memory.journal is None
        client = Client(house.address)
        client.capsule_id = house.house.about.identity.capsule_id
        for key in (adopted.key, reader):
            assert client.signed(key, "IdentityService/WhoAmI", client.message("WhoAmIRequest")).kid == key.kid
        keys = client.signed(adopted.key, "IdentityService/KeyList", client.message("KeyListRequest")).keys
        assert {key.kid for key in keys} == {adopted.key.kid, reader.kid}
        code, _ = outcome(lambda: client.signed(gone, "IdentityService/WhoAmI", client.message("WhoAmIRequest")), False)
        assert code is UNAUTHENTICATED
        stranger = client.message("AdoptRequest", pubkey=Key().public)
        code, message = outcome(lambda: client.call("IdentityService/Adopt", stranger), False)
        assert code is grpc.StatusCode.FAILED_PRECONDITION and "adoption window closed" in message
        assert client.adopt(adopted.key).capsule_id == client.capsule_id
        code, message = outcome(
            lambda: client.signed(
                adopted.key, "WorkloadService/Start", client.message("WorkloadStartRequest", name="x")
            ),
            False,
        )
        assert code is not grpc.StatusCode.OK and "nothing can be changed" in message
        client.close()


def test_a_frozen_capsule_lets_in_whom_the_newer_release_left_in_its_copy(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        adopted = Adopted(house)
        reader, gone = adopted.add(3), adopted.add(1)
        adopted.client.close()
    future = newer_release(tmp_path / "journal")
    future.forge("operator.key_rotated", {"kid": gone.kid})  # whatever that may be: the newer release acted on it
    keep(tmp_path / "journal", future.entries)
    file = tmp_path / "identity" / "operators.json"
    copy = json.loads(file.read_bytes())
    copy["seq"] += 1
    copy["operators"] = [one for one in copy["operators"] if one["kid"] != gone.kid]
    file.write_text(json.dumps(copy))
    with standing(tmp_path) as house:
        assert house.house.about.condition.condition is Condition.FROZEN
        client = Client(house.address)
        client.capsule_id = house.house.about.identity.capsule_id
        for key in (adopted.key, reader):
            assert client.signed(key, "IdentityService/WhoAmI", client.message("WhoAmIRequest")).kid == key.kid
        code, _ = outcome(lambda: client.signed(gone, "IdentityService/WhoAmI", client.message("WhoAmIRequest")), False)
        assert code is UNAUTHENTICATED
        for who, request in ((Key(), "AdoptRequest"), (adopted.key, "KeyAddRequest")):
            method = f"IdentityService/{request.removesuffix('Request')}"
            message = client.message(request, pubkey=who.public, name="new")
            code, why = outcome(partial(client.signed, who, method, message), False)
            assert code is not grpc.StatusCode.OK and ("window closed" in why or "nothing can be changed" in why)
        code, _ = outcome(
            lambda: client.signed(reader, "WorkloadService/Stop", client.message("WorkloadStopRequest", name="x")),
            False,
        )
        assert code is grpc.StatusCode.PERMISSION_DENIED
        client.close()
    assert json.loads(file.read_bytes()) == copy, "it is the newer release's"


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


def test_errors_carry_an_error_info(adopted: Adopted) -> None:
    request = adopted.client.message("KeyRemoveRequest", kid=adopted.key.kid)
    with pytest.raises(grpc.RpcError) as caught:
        adopted.client.signed(adopted.key, "IdentityService/KeyRemove", request)
    trailing = dict(caught.value.trailing_metadata())  # type: ignore[attr-defined]
    status = status_pb2.Status.FromString(trailing["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, info.metadata["fields"]) == ("LAST_ADMIN", "capsule.v1", "kid")
    assert trailing["capsule-reason"] == "LAST_ADMIN" and status.message == caught.value.details()  # type: ignore[attr-defined]


def test_health_is_told_to_anybody_and_reflection_to_admins(adopted: Adopted) -> None:
    check = health_pb2_grpc.HealthStub(adopted.channel()).Check
    assert check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    assert check(health_pb2.HealthCheckRequest(service="capsule.v1.WorkloadService")).status == 1
    assert outcome(lambda: check(health_pb2.HealthCheckRequest(service="no")), False)[0] is grpc.StatusCode.NOT_FOUND
    ask = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (answer,) = reflection_pb2_grpc.ServerReflectionStub(adopted.channel()).ServerReflectionInfo(
        ask, metadata=adopted.metadata()
    )
    names = {service.name for service in answer.list_services_response.service}
    assert {"capsule.v1.WorkloadService", "grpc.health.v1.Health"} <= names


def test_bytes_that_are_no_message_are_the_clients_error(adopted: Adopted) -> None:
    for service, method in (("WorkloadService", "Get"), ("IdentityService", "KeyAdd")):
        call = adopted.channel().unary_unary(f"/capsule.v1.{service}/{method}", bytes, bytes)
        code, message = outcome(lambda: call(b"\xff\xff\xff", metadata=adopted.metadata()), False)  # noqa: B023
        assert code is grpc.StatusCode.INVALID_ARGUMENT and "no message of its type" in message


def test_a_hash_that_is_none_is_the_clients_error(adopted: Adopted) -> None:
    history = history_pb2_grpc.HistoryServiceStub(adopted.channel())
    head = history_pb2.VerifyRequest
    for request in (head(head_seq=1, head_hash="zz"), head(head_seq=1), head(head_seq=1, head_hash="00" * 31)):
        with pytest.raises(grpc.RpcError) as caught:
            history.Verify(request, metadata=adopted.metadata())
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT  # type: ignore[attr-defined]
        assert dict(caught.value.trailing_metadata())["capsule-reason"] == "BAD_HEAD"  # type: ignore[attr-defined]


def test_a_key_that_is_added_again_by_its_call_id_is_answered_also_when_it_has_gone(adopted: Adopted) -> None:
    stub = identity_pb2_grpc.IdentityServiceStub(adopted.channel())
    request = identity_pb2.KeyAddRequest(pubkey=Key().public, name="passing", role=3)  # type: ignore[arg-type]

    def add() -> identity_pb2.KeyAddResponse:
        return stub.KeyAdd(request, metadata=(*adopted.metadata(), ("capsule-call-id", "add-1")))

    first = add()
    stub.KeyRemove(identity_pb2.KeyRemoveRequest(kid=first.key.kid), metadata=adopted.metadata())
    assert add() == first
    assert first.key.kid not in {
        key.kid for key in stub.KeyList(identity_pb2.KeyListRequest(), metadata=adopted.metadata()).keys
    }


def test_what_is_too_large_is_refused_and_others_are_served(adopted: Adopted) -> None:
    call = adopted.channel().unary_unary("/capsule.v1.WorkloadService/Get", bytes, bytes)
    exhausted = grpc.StatusCode.RESOURCE_EXHAUSTED
    large = b"\x0a" + b"\x80\x80\x80\x04" + b"x" * (8 << 20)
    assert outcome(lambda: call(large, metadata=adopted.metadata()), False)[0] is exhausted
    heavy = (*adopted.metadata(), ("padding", "x" * (64 << 10)))
    assert outcome(lambda: call(b"", metadata=heavy), False)[0] is exhausted
    adopted.client.signed(adopted.key, "IdentityService/WhoAmI", adopted.client.message("WhoAmIRequest"))


def test_silent_clients_hold_nobody_up_and_leave_room(tmp_path: Path) -> None:
    """More of them than there is room for calls; of those that show no token and stream, too."""
    with standing(tmp_path / "state", limits=Limits(calls=20, unknown=Patience(first_s=3_600, all_s=3_600))) as house:
        adopted = Adopted(house)
        silent = [socket.create_connection(endpoint(house), 10) for _ in range(64)]
        adopt = adopted.channel().stream_unary("/capsule.v1.IdentityService/Adopt", bytes, bytes)
        push = adopted.channel().stream_unary("/capsule.v1.ImageService/Push", bytes, bytes)
        hold = threading.Event()

        def nothing() -> Iterator[bytes]:
            hold.wait(60)
            yield from ()

        waiting = [call.future(nothing()) for call in (adopt, push) for _ in range(30)]
        gone = threading.Semaphore(0)
        for call in waiting:
            call.add_done_callback(lambda _: gone.release())
        for _ in range(len(waiting) - Limits().strangers_each):
            assert gone.acquire(timeout=30)
        fresh = Client(house.address)
        fresh.capsule_id = adopted.client.capsule_id
        for _ in range(20):
            fresh.adopt(adopted.key)  # whoever has something to say is heard, also without a token
            fresh.signed(adopted.key, "IdentityService/WhoAmI", fresh.message("WhoAmIRequest"))
        fresh.close()
        hold.set()
        assert {call.exception().code() for call in waiting} <= {
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            UNAUTHENTICATED,
        }
        for one in silent:
            one.close()
        adopted.client.close()


def test_connections_are_bounded_on_the_network_and_the_socket_stays_free(tmp_path: Path) -> None:
    with standing(tmp_path / "state", limits=Limits(connections=4)) as house:
        held = [socket.create_connection(endpoint(house), 5) for _ in range(4)]
        with socket.create_connection(endpoint(house), 5) as one_more:
            assert one_more.recv(1) == b""  # well before the time for a handshake is up
        with grpc.insecure_channel(f"unix:{house.layout.socket}") as channel:
            identity_pb2_grpc.IdentityServiceStub(channel).WhoAmI(identity_pb2.WhoAmIRequest(), timeout=10)
        for one in held:
            one.setblocking(False)
            with pytest.raises(BlockingIOError):
                one.recv(1)
            one.close()


def let_in(house: Standing) -> bool:
    with socket.create_connection(endpoint(house), 5) as one:
        one.settimeout(0.3)
        try:
            return one.recv(1) != b""
        except TimeoutError:
            return True


def test_a_handshake_that_takes_too_long_makes_room(tmp_path: Path) -> None:
    with standing(tmp_path / "state", limits=Limits(connections=1, handshake_ms=1_000)) as house:
        with socket.create_connection(endpoint(house), 30) as silent:
            assert not let_in(house)
            assert silent.recv(1) == b""
        while not let_in(house):  # the place is free a moment after the connection is closed
            pass


def test_a_connection_without_a_call_is_closed_and_the_next_call_opens_another(tmp_path: Path) -> None:
    with standing(tmp_path / "state", limits=Limits(idle_ms=1_500)) as house:
        adopted = Adopted(house)
        busy = Client(house.address)
        watch = machine_pb2_grpc.MachineServiceStub(busy.channel).Watch(
            machine_pb2.WatchRequest(), metadata=adopted.metadata()
        )
        assert next(watch).synced
        closed = threading.Event()
        adopted.channel().subscribe(lambda state: closed.set() if state is grpc.ChannelConnectivity.IDLE else None)
        closed.clear()
        who = adopted.client.message("WhoAmIRequest")
        adopted.client.signed(adopted.key, "IdentityService/WhoAmI", who)
        assert closed.wait(30)
        assert adopted.client.signed(adopted.key, "IdentityService/WhoAmI", who).kid == adopted.key.kid
        assert watch.is_active()
        watch.cancel()
        for client in (busy, adopted.client):
            client.close()


def test_a_file_takes_the_keys_off_only_while_it_is_fresh(tmp_path: Path) -> None:
    import os

    file = tmp_path / "RESET_AUTH"
    assert reset_asked(file) == ()
    file.touch()
    assert reset_asked(file) == (OperatorsReset("RESET_AUTH"),)
    made = file.stat().st_mtime
    for at, counts in ((made - 290, True), (made - 310, False), (made + 310, False)):
        os.utime(file, (at, at))
        assert bool(reset_asked(file)) is counts


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
        assert len(repr(event)) < 6_000, header.type
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
            workload_pb2.WorkloadApplyRequest(workload=workload_pb2.Workload(name="web", kind=1, container=spec)),
            metadata=adopted.metadata(),
        ),
        streams=False,
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT and message
    assert all(len(repr(event)) < 20_000 for _, event in adopted.house.entries())
