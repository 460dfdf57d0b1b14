"""A connection to a capsule: its channel, the stubs that a command needs, and its errors as sentences."""

import getpass
import importlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from capsulectl.contexts import target
from capsulectl.errors import FAILED, INTERRUPTED, TIMED_OUT, Failure

UNARY_S = 60.0
"""A call that must answer soon. Deletes answer within 25 seconds, whatever happens."""

_WORDS = {
    grpc.StatusCode.UNAVAILABLE: "the capsule does not answer",
    grpc.StatusCode.DEADLINE_EXCEEDED: "the capsule did not answer in time",
}


class Connection:
    """One channel. Stubs are imported by name, each only when it is asked for."""

    def __init__(self, capsule: str = "") -> None:
        self.address = target(capsule)
        self._channel = grpc.insecure_channel(
            self.address,
            options=[
                ("grpc.max_receive_message_length", 16 << 20),
                ("grpc.enable_retries", 0),
                ("grpc.default_authority", "localhost"),
                # A capsule that vanishes without a word is missed within half a minute, in the longest stream too.
                ("grpc.keepalive_time_ms", 15_000),
                ("grpc.keepalive_timeout_ms", 10_000),
            ],
        )

    def stub(self, module: str, service: str) -> Any:
        """`stub("workload", "WorkloadService")`."""
        generated = importlib.import_module(f"capsule.v1.{module}_pb2_grpc")
        return getattr(generated, f"{service}Stub")(self._channel)

    @property
    def workloads(self) -> Any:
        """WorkloadService."""
        return self.stub("workload", "WorkloadService")

    @property
    def machine(self) -> Any:
        """MachineService."""
        return self.stub("machine", "MachineService")

    @property
    def images(self) -> Any:
        """ImageService."""
        return self.stub("image", "ImageService")

    @property
    def capsule(self) -> Any:
        """CapsuleService."""
        return self.stub("capsule", "CapsuleService")

    @property
    def history(self) -> Any:
        """HistoryService."""
        return self.stub("history", "HistoryService")

    @property
    def volumes(self) -> Any:
        """VolumeService."""
        return self.stub("volume", "VolumeService")

    def call(self, method: Callable[..., Any], request: Any, timeout: float | None = UNARY_S) -> Any:
        """A unary call. Raises Failure with what the capsule said."""
        with failures(self.address):
            return method(request, timeout=timeout, metadata=metadata(acting=True))

    def stream(self, method: Callable[..., Any], request: Any, timeout: float | None = None) -> Iterator[Any]:
        """A call that answers with a stream."""
        with failures(self.address):
            yield from method(request, timeout=timeout, metadata=metadata())


def metadata(acting: bool = False) -> tuple[tuple[str, str], ...]:
    """Who calls, by login name; and for a call that acts an id, so that a repeat of it does nothing twice."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = ""
    found = (("capsule-login", login),) if login.isascii() and login else ()
    return (*found, ("capsule-call-id", uuid.uuid4().hex)) if acting else found


@contextmanager
def failures(address: str) -> Iterator[None]:
    """gRPC's errors as Failures."""
    try:
        yield
    except grpc.RpcError as error:
        raise failure_of(error, address) from error
    except grpc.FutureTimeoutError as error:
        raise Failure(f"the capsule at {address} does not answer", TIMED_OUT) from error


def failure_of(error: Any, address: str) -> Failure:
    """What to tell the operator."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.CANCELLED:
        return Failure("", INTERRUPTED)
    if not reason_of(error) and code in _WORDS:
        hint = "is capsuled running? `make up` starts one" if code is grpc.StatusCode.UNAVAILABLE else details
        return Failure(f"{_WORDS[code]} at {address}: {hint}", FAILED)
    return Failure(details or code.name, FAILED)


def reason_of(error: Any) -> str:
    """The machine-readable reason of a refusal; empty when the error is not the capsule's own."""
    return str(dict(error.trailing_metadata() or ()).get("capsule-reason", ""))
