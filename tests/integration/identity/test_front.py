"""The machine's front over the network: its certificate, tokens over restarts, rescue, and what a refusal carries."""

import hashlib
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from capsule.v1 import (
    history_pb2,
    history_pb2_grpc,
    identity_pb2,
    identity_pb2_grpc,
)
from capsuled.condition import Condition
from capsuled.reflection import V1, V1ALPHA
from capsuled.startup import reset_asked
from journal.entry import Actor
from journal.events import OperatorsReset
from tests.conformance.client import Client, Key, outcome, presented_certificate
from tests.support.adopted import Adopted, endpoint
from tests.support.entries import keep, newer_release
from tests.support.house import standing
from tests.support.refusals import reason_of, trailing

UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


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


def test_what_an_operator_did_in_a_newer_release_freezes_the_capsule_and_lets_no_token_in_again(tmp_path: Path) -> None:
    with standing(tmp_path) as house:
        adopted = Adopted(house)
        other, unread = adopted.add(1), adopted.add(1)
        capsule_id = adopted.client.capsule_id
        adopted.client.close()
    future, now = newer_release(tmp_path / "journal"), time.time_ns()

    def told(key: Key, tag: str, body: dict[str, object], version: int = 1) -> None:
        future.forge(tag, body, version=version, actor=Actor("operator", key.kid, "joe", "admin"), at=now)

    used = adopted.key.token(capsule_id)
    claims = jwt.decode(used, options={"verify_signature": False})
    told(adopted.key, "workload.teleported", {"name": "web"})
    told(
        adopted.key,
        "call.accepted",
        {"type": "call.accepted", "method": {"new": "form"}, "jti": claims["jti"], "token_exp": claims["exp"]},
        version=9,
    )
    told(unread, "stream.opened", {"type": "stream.opened", "jti": [claims["jti"]]}, version=9)
    keep(tmp_path / "journal", future.entries)
    with standing(tmp_path) as house:
        assert house.house.about.condition.condition is Condition.FROZEN
        client = Client(house.address)
        client.capsule_id = capsule_id
        asked = client.message("WhoAmIRequest")
        code, message = outcome(lambda: client.call("IdentityService/WhoAmI", asked, f"Bearer {used}"), False)
        assert code is UNAUTHENTICATED and "used before" in message
        code, message = outcome(lambda: client.signed(unread, "IdentityService/WhoAmI", asked), False)
        assert code is UNAUTHENTICATED and "used before" in message, "whichever it was, it may be this one"
        for key in (adopted.key, other):
            assert client.signed(key, "IdentityService/WhoAmI", asked).kid == key.kid
        client.close()


def test_errors_carry_an_error_info(adopted: Adopted) -> None:
    request = adopted.client.message("KeyRemoveRequest", kid=adopted.key.kid)
    with pytest.raises(grpc.RpcError) as caught:
        adopted.client.signed(adopted.key, "IdentityService/KeyRemove", request)
    told = trailing(caught.value)
    status = status_pb2.Status.FromString(told["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain, info.metadata["fields"]) == ("LAST_ADMIN", "capsule.v1", "kid")
    assert told["capsule-reason"] == "LAST_ADMIN" and status.message == caught.value.details()


def test_health_is_told_to_anybody(adopted: Adopted) -> None:
    check = health_pb2_grpc.HealthStub(adopted.channel()).Check
    assert check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    assert check(health_pb2.HealthCheckRequest(service="capsule.v1.WorkloadService")).status == 1
    assert outcome(lambda: check(health_pb2.HealthCheckRequest(service="no")), False)[0] is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("protocol", [V1, V1ALPHA])
def test_reflection_is_for_admins_and_in_both_of_its_protocols(adopted: Adopted, protocol: str) -> None:
    method = adopted.channel().stream_stream(
        f"/{protocol}/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )

    def asked(key: Key, **request: str) -> Any:
        ask = iter([reflection_pb2.ServerReflectionRequest(**request)])
        (answer,) = method(ask, metadata=adopted.metadata(key))
        return answer

    told = asked(adopted.key, list_services="").list_services_response.service
    assert {"capsule.v1.WorkloadService", "grpc.health.v1.Health", V1, V1ALPHA} <= {one.name for one in told}
    for name in (protocol, "capsule.v1.WorkloadService"):
        (file,) = asked(adopted.key, file_containing_symbol=name).file_descriptor_response.file_descriptor_proto
        assert descriptor_pb2.FileDescriptorProto.FromString(file).service
    code, _ = outcome(lambda: asked(adopted.add(2), list_services=""), False)
    assert code is grpc.StatusCode.PERMISSION_DENIED


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
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert reason_of(caught.value) == "BAD_HEAD"


def test_a_key_that_is_added_again_by_its_call_id_is_answered_also_when_it_has_gone(adopted: Adopted) -> None:
    stub = identity_pb2_grpc.IdentityServiceStub(adopted.channel())
    request = identity_pb2.KeyAddRequest(pubkey=Key().public, name="passing", role=3)  # type: ignore[arg-type]

    def add() -> identity_pb2.KeyAddResponse:
        answer: identity_pb2.KeyAddResponse = stub.KeyAdd(
            request, metadata=(*adopted.metadata(), ("capsule-call-id", "add-1"))
        )
        return answer

    first = add()
    stub.KeyRemove(identity_pb2.KeyRemoveRequest(kid=first.key.kid), metadata=adopted.metadata())
    assert add() == first
    assert first.key.kid not in {
        key.kid for key in stub.KeyList(identity_pb2.KeyListRequest(), metadata=adopted.metadata()).keys
    }


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
