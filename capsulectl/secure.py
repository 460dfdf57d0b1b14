"""The way over the network: TLS to a certificate that was pinned when the capsule was adopted, a token with every call.

The pinned certificate is kept beside the configuration, so that a dial needs no handshake ahead of it: gRPC is given it
as the only certificate to trust. A file counts only if it has the fingerprint that the context pins.
"""

import base64
import contextlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from capsulectl.contexts import Target, config_dir
from capsulectl.errors import Failure, Impostor
from capsulectl.files import replace_file
from capsulectl.handshake import endpoint, fingerprint_of, met, pem_of, presented, sentence

_pins: dict[str, Target] = {}
"""The capsules that this process dials, by address: a failure is explained by what was pinned."""


def secure_channel(target: Target, options: list[tuple[str, Any]]) -> Any:
    """A channel whose every call carries a token of its own. Raises Failure, loudly when the certificate is not the
    pinned one."""
    from capsulectl.operator_key import load

    key = load(Path(target.key_path))
    channel = grpc.secure_channel(target.address, _trusting(_pinned(target)), [*options, *_TLS])
    _pins[target.address] = target
    return _SignedChannel(channel, lambda: key.token(target.capsule_id))


class _SignedChannel:
    """What a stub needs of a channel. gRPC's own way to add metadata (call credentials) hops through a thread of its
    own, which takes longer than the call."""

    def __init__(self, channel: grpc.Channel, token: Callable[[], str]) -> None:
        self._channel = channel
        self._token = token

    def unary_unary(self, *arguments: Any, **named: Any) -> "_SignedCall":
        return _SignedCall(self._channel.unary_unary(*arguments, **named), self._token)

    def unary_stream(self, *arguments: Any, **named: Any) -> "_SignedCall":
        return _SignedCall(self._channel.unary_stream(*arguments, **named), self._token)

    def stream_unary(self, *arguments: Any, **named: Any) -> "_SignedCall":
        return _SignedCall(self._channel.stream_unary(*arguments, **named), self._token)

    def stream_stream(self, *arguments: Any, **named: Any) -> "_SignedCall":
        return _SignedCall(self._channel.stream_stream(*arguments, **named), self._token)

    def close(self) -> None:
        self._channel.close()


class _SignedCall:
    def __init__(self, call: Any, token: Callable[[], str]) -> None:
        self._call = call
        self._token = token

    def __call__(self, request: Any, timeout: float | None = None, metadata: Any = (), **named: Any) -> Any:
        return self._call(request, timeout=timeout, metadata=self._signed(metadata), **named)

    def future(self, request: Any, timeout: float | None = None, metadata: Any = (), **named: Any) -> Any:
        return self._call.future(request, timeout=timeout, metadata=self._signed(metadata), **named)

    def with_call(self, request: Any, timeout: float | None = None, metadata: Any = (), **named: Any) -> Any:
        return self._call.with_call(request, timeout=timeout, metadata=self._signed(metadata), **named)

    def _signed(self, metadata: Any) -> tuple[tuple[str, str], ...]:
        return (*(metadata or ()), ("authorization", f"Bearer {self._token()}"))


def unproven_channel(address: str, der: bytes) -> grpc.Channel:
    """A channel to whoever has this certificate, for calls that need no token."""
    return grpc.secure_channel(address, _trusting(pem_of(der)), _TLS)


_TLS: list[tuple[str, Any]] = [
    ("grpc.ssl_target_name_override", "capsule"),
    ("grpc.enable_http_proxy", 0),
]


def _trusting(pem: bytes) -> grpc.ChannelCredentials:
    return grpc.ssl_channel_credentials(root_certificates=pem)


def _pinned(target: Target) -> bytes:
    """The pinned certificate as PEM: from its file, or from the machine if that shows the right one."""
    file = config_dir() / "certificates" / f"{target.fingerprint}.pem"
    try:
        pem = file.read_bytes()
    except OSError:
        pem = b""
    if pem and fingerprint_of(_der(pem)) == target.fingerprint:
        return pem
    try:
        der = presented(*endpoint(target.address))
    except ValueError as error:
        raise Failure(f"the context {target.name}: {error}") from error
    except OSError as error:
        raise Failure(f"the capsule does not answer at {target.address}: {sentence(error)}") from error
    if fingerprint_of(der) != target.fingerprint:
        raise Impostor(_changed(target, fingerprint_of(der)))
    with contextlib.suppress(Failure):  # it is the right one, and is asked for again
        keep(der)
    return pem_of(der)


def keep(der: bytes) -> None:
    """Keep a certificate that is pinned."""
    replace_file(config_dir() / "certificates" / f"{fingerprint_of(der)}.pem", pem_of(der))


def _der(pem: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(pem.splitlines()[1:-1]))
    except ValueError:
        return b""


def why_unreachable(address: str, resolved: bool = True) -> str:
    """What a failed dial means: nobody is there, or somebody whose certificate is not the pinned one. `resolved`: gRPC
    found an address of that name."""
    target = _pins.get(address)
    try:
        der, goes_on = met(*endpoint(address))
    except (OSError, ValueError) as error:
        return sentence(error)
    shown = fingerprint_of(der)
    if target is not None and shown != target.fingerprint:
        raise Impostor(_changed(target, shown))
    if not goes_on:
        return "what answers there is no capsule: is it the right port?"
    if not resolved:
        return "its name was not found, and is found now: ask again, or give its address in place of the name"
    return "it can be reached, but gives no answer; `capsulectl capsule logs` on the machine itself may say why"


def _changed(target: Target, shown: str) -> str:
    name = shlex.quote(target.name)
    return (
        f"REFUSED: THE CERTIFICATE AT {target.address} IS NOT THE ONE THAT WAS PINNED\n"
        f"  pinned for {target.name}: {target.fingerprint}\n"
        f"  shown now:  {shown}\n"
        "Either this is another machine (or the same one installed anew), or somebody stands in between. Nothing was\n"
        "sent. Compare with the fingerprint on the machine's console or in its start-up log; only if they agree:\n"
        f"  capsulectl context rm {name} && capsulectl adopt {target.address} --name {name}"
    )
