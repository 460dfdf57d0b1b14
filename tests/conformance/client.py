"""A client written from the contract's table alone: dynamic messages, its own TLS and JWT, nothing of this project."""

import base64
import hashlib
import os
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

from tests.conformance.table import PACKAGE, Contract, load


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    """An operator's key, and the tokens it makes."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        self.public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.kid = base64url(hashlib.sha256(self.public).digest())

    def token(self, audience: str, made_at: float | None = None, **claims: Any) -> str:
        """A token as clients make it; `claims` replaces some of them."""
        iat = int(time.time() if made_at is None else made_at)
        payload = {
            "sub": self.kid,
            "aud": audience,
            "iat": iat,
            "exp": iat + 60,
            "jti": base64url(os.urandom(16)),
        } | claims
        return jwt.encode(payload, self.private, algorithm="EdDSA", headers={"kid": self.kid})


def presented_certificate(host: str, port: int) -> bytes:
    """The DER of the leaf, by a bare TLS handshake without ALPN that is closed at once."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    with socket.create_connection((host, port), 10) as plain, context.wrap_socket(plain) as secure:
        found = secure.getpeercert(binary_form=True)
    assert found is not None
    return found


class Client:
    """One channel with a pinned certificate. Messages are made by name: `client.message("AdoptRequest", name="x")`."""

    def __init__(self, address: str, contract: Contract | None = None, options: Iterable[tuple[str, Any]] = ()) -> None:
        self.contract = contract or load()
        host, _, port = address.rpartition(":")
        self.der = presented_certificate(host, int(port))
        self.fingerprint = hashlib.sha256(self.der).hexdigest()
        self.capsule_id = ""
        pool = DescriptorPool()
        for file in self.contract.files.values():
            pool.Add(file)
        self._pool = pool
        self._methods = {f"{one.service}/{one.name}": one for one in self.contract.methods}
        self.channel = grpc.secure_channel(
            address,
            grpc.ssl_channel_credentials(ssl.DER_cert_to_PEM_cert(self.der).encode()),
            options=[("grpc.ssl_target_name_override", "capsule"), ("grpc.enable_retries", 0), *options],
        )

    def message(self, kind: str, /, **fields: Any) -> Any:
        return GetMessageClass(self._pool.FindMessageTypeByName(f"{PACKAGE}.{kind}"))(**fields)

    def call(self, method: str, request: Any, authorization: str | None = None, timeout: float = 30) -> Any:
        """Call with one request or an iterable of them; answers one message or, of a stream, an iterator."""
        one = self._methods[method]
        kind = f"{'stream' if one.client_streams else 'unary'}_{'stream' if one.server_streams else 'unary'}"
        response = GetMessageClass(self._pool.FindMessageTypeByName(f"{PACKAGE}.{one.response}"))
        stub = getattr(self.channel, kind)(
            one.path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        metadata = () if authorization is None else (("authorization", authorization),)
        return stub(request, metadata=metadata, timeout=timeout)

    def signed(self, key: Key, method: str, request: Any, timeout: float = 30) -> Any:
        """Call with a fresh token of this key."""
        return self.call(method, request, f"Bearer {key.token(self.capsule_id)}", timeout)

    def adopt(self, key: Key, name: str = "tester") -> Any:
        """Adopt, and check what a client in the field checks."""
        answer = self.call("IdentityService/Adopt", self.message("AdoptRequest", pubkey=key.public, name=name))
        assert answer.tls_fingerprint_sha256 == self.fingerprint and answer.kid == key.kid
        self.capsule_id = answer.capsule_id
        return answer

    def close(self) -> None:
        self.channel.close()


def once(*messages: Any) -> Iterator[Any]:
    """A request stream of these."""
    yield from messages


def outcome(call: Any, streams: bool) -> tuple[grpc.StatusCode, str]:
    """What a call ended with: its status and its message."""
    try:
        result = call()
        if streams:
            drain(result)
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    return grpc.StatusCode.OK, ""


def drain(stream: Iterable[Any]) -> list[Any]:
    return list(stream)
