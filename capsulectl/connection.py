"""A connection to a capsule: its channel, the stubs that a command needs, and its errors as sentences."""

import getpass
import importlib
import os
import shlex
import stat
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from capsulectl.contexts import DEFAULT_SOCKET, Target, target
from capsulectl.errors import FAILED, INTERRUPTED, TIMED_OUT, USAGE, Failure, NotLetIn
from capsulectl.heads import Heads, Question, Seen, Told, kept_at_ns, told_in
from journal.release import RELEASE

AT_A_TIME = 16
UNARY_S = 60.0
"""A call that must answer soon. Deletes answer within 25 seconds, whatever happens."""

_MISSAID = frozenset({"NO_SUCH_TYPE"})
"""Reasons why the capsule could make nothing of a word on the command line: only it knows all that there may be."""

_CLOCKS = frozenset({"TOKEN_EXPIRED", "TOKEN_FROM_THE_FUTURE"})
"""Reasons why a key is not taken now, which may be: a machine that has just booted sets its clock yet."""

_WORDS = {
    grpc.StatusCode.UNAVAILABLE: "the capsule does not answer",
    grpc.StatusCode.DEADLINE_EXCEEDED: "the capsule did not answer in time",
}
_NOT_LET_IN = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)
_UNRESOLVED = ("errors resolving", "empty address list")
"""What gRPC says when it found no address of that name."""
_NEVER_CONNECTED = ("failed to connect", *_UNRESOLVED)
"""What gRPC says when nothing was sent."""


_OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.enable_retries", 0),
    # A machine whose power went says nothing any more: a followed log must notice.
    ("grpc.keepalive_time_ms", 15_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Who goes on asking for one that was away is answered soon after it is back. Of itself gRPC pauses for two minutes.
    ("grpc.max_reconnect_backoff_ms", 4_000),
]


class Connection:
    """One channel. Stubs are imported by name, each only when it is asked for.

    `capsule` is as the operator named it, or another connection's `target`: which context is the current one may change
    while a command waits, and the machine that it is about does not.
    """

    def __init__(self, capsule: str | Target = "") -> None:
        self.target = capsule if isinstance(capsule, Target) else target(capsule)
        self.address = self.target.address
        if self.target.secure:
            from capsulectl.secure import secure_channel

            self._channel: Any = secure_channel(self.target, _OPTIONS)
        else:
            self._channel = grpc.insecure_channel(self.address, [*_OPTIONS, ("grpc.default_authority", "localhost")])

        self.heads = Heads(self.target.machine, self._why_another)

    def _why_another(self, seen: Seen, told: Told) -> str:
        """What the machine's own journal says of how it came to be another; empty when it says nothing."""
        from capsulectl.restored import why_another

        return why_another(self, seen, told, kept_at_ns(self.target.machine))

    @property
    def local(self) -> bool:
        """Whether the capsule is reached by its unix socket."""
        return self.address.startswith("unix:")

    def close(self) -> None:
        """For whoever asks again and again; a command's own ends with it."""
        self._channel.close()

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
    def image_cache(self) -> Any:
        """ImageCacheService."""
        return self.stub("image_cache", "ImageCacheService")

    @property
    def registries(self) -> Any:
        """RegistryService."""
        return self.stub("registry", "RegistryService")

    @property
    def secrets(self) -> Any:
        """SecretService."""
        return self.stub("secret", "SecretService")

    @property
    def capsule(self) -> Any:
        """CapsuleService."""
        return self.stub("capsule", "CapsuleService")

    @property
    def debug(self) -> Any:
        """DebugService."""
        return self.stub("debug", "DebugService")

    @property
    def drift(self) -> Any:
        """DriftService."""
        return self.stub("drift", "DriftService")

    @property
    def move(self) -> Any:
        """MoveService."""
        return self.stub("move", "MoveService")

    @property
    def history(self) -> Any:
        """HistoryService."""
        return self.stub("history", "HistoryService")

    @property
    def power(self) -> Any:
        """PowerService."""
        return self.stub("power", "PowerService")

    @property
    def retention(self) -> Any:
        """RetentionService."""
        return self.stub("retention", "RetentionService")

    @property
    def rollbacks(self) -> Any:
        """RollbackService."""
        return self.stub("rollback", "RollbackService")

    @property
    def snapshots(self) -> Any:
        """SnapshotService."""
        return self.stub("volume", "SnapshotService")

    @property
    def volume_data(self) -> Any:
        """VolumeDataService."""
        return self.stub("volume", "VolumeDataService")

    @property
    def identity(self) -> Any:
        """IdentityService."""
        return self.stub("identity", "IdentityService")

    @property
    def operators(self) -> Any:
        """OperatorService."""
        return self.stub("identity", "OperatorService")

    @property
    def stats(self) -> Any:
        """StatsService."""
        return self.stub("stats", "StatsService")

    @property
    def updates(self) -> Any:
        """UpdateService."""
        return self.stub("update", "UpdateService")

    @property
    def volumes(self) -> Any:
        """VolumeService."""
        return self.stub("volume", "VolumeService")

    @property
    def copy_into(self) -> Any:
        """WorkloadService.CopyTo, of messages that are made already: see copies/frames.py."""
        from capsule.v1 import workload_pb2

        answer = workload_pb2.WorkloadCopyToResponse.FromString
        return self._channel.stream_unary("/capsule.v1.WorkloadService/CopyTo", None, answer)

    @property
    def copy_out(self) -> Any:
        """WorkloadService.CopyFrom, of whose messages the content is taken."""
        from capsule.v1 import workload_pb2
        from copies.frames import CHUNK_OUT, content_of

        def content(message: bytes) -> memoryview:
            found = content_of(CHUNK_OUT, message)
            return memoryview(workload_pb2.WorkloadCopyFromChunk.FromString(message).data) if found is None else found

        request = workload_pb2.WorkloadCopyFromRequest.SerializeToString
        return self._channel.unary_stream("/capsule.v1.WorkloadService/CopyFrom", request, content)

    def call(self, method: Any, request: Any, timeout: float | None = UNARY_S, changes: bool = True) -> Any:
        """A unary call. `changes`: it is no read. Raises Failure with what the capsule said."""
        question = self.heads.question()
        with failures(self.address, changes):
            asks = (*metadata(acting=changes), *question.metadata)
            answer, call = method.with_call(request, timeout=timeout, metadata=asks)
        self.heads.hear(told_in(call.trailing_metadata()), question)
        return answer

    def read(self, method: Any, request: Any, timeout: float | None = UNARY_S) -> Any:
        """A unary call that changes nothing. Raises Failure with what the capsule said."""
        return self.call(method, request, timeout, changes=False)

    def compare(self) -> None:
        """Say now if the journal is another than the one that was seen here: a stream's answer tells only at its end.
        Raises Failure."""
        from capsule.v1 import capsule_pb2

        self.read(self.capsule.GetInfo, capsule_pb2.GetInfoRequest())

    def calls(self, method: Any, requests: Sequence[Any], timeout: float = UNARY_S, changes: bool = True) -> list[Any]:
        """Several unary calls, some of them at a time; for each its answer or, in its place, its Failure."""
        pending: deque[tuple[Any, Question]] = deque()
        answers: list[Any] = []

        def take() -> None:
            try:
                with failures(self.address, changes):
                    one, question = pending.popleft()
                    answers.append(one.result())
                    self.heads.hear(told_in(one.trailing_metadata()), question)
            except Failure as failure:
                answers.append(failure)

        for request in requests:
            if len(pending) == AT_A_TIME:
                take()
            question = self.heads.question()
            asks = (*metadata(acting=changes), *question.metadata)
            pending.append((method.future(request, timeout=timeout, metadata=asks), question))
        while pending:
            take()
        return answers

    def stream(self, method: Any, request: Any, timeout: float | None = None, changes: bool = False) -> Iterator[Any]:
        """A call that answers with a stream. `changes`: it is no read."""
        question = self.heads.question()
        with failures(self.address, changes):
            answers = method(request, timeout=timeout, metadata=(*metadata(), *question.metadata))
            yield from answers
        self.heads.hear(told_in(answers.trailing_metadata()), question)


def metadata(acting: bool = False) -> tuple[tuple[str, str], ...]:
    """Who calls, by login name; and for a call that acts an id, so that a repeat of it does nothing twice."""
    try:
        login = getpass.getuser()
    except (KeyError, OSError):
        login = ""
    found = (("capsule-login", login),) if login.isascii() and login else ()
    return (*found, ("capsule-call-id", os.urandom(16).hex())) if acting else found


@contextmanager
def failures(address: str, changes: bool = True) -> Iterator[None]:
    """gRPC's errors as Failures. `changes`: what broke off may have been done."""
    try:
        yield
    except grpc.RpcError as error:
        raise failure_of(error, address, changes) from error
    except grpc.FutureTimeoutError as error:
        raise Failure(f"the capsule at {address} does not answer", TIMED_OUT) from error


def never_sent(error: Any) -> bool:
    """Whether the capsule heard nothing of the call."""
    return (error.details() or "").startswith(_NEVER_CONNECTED)


def failure_of(error: Any, address: str, changes: bool = True) -> Failure:
    """What to tell the operator."""
    code, details = error.code(), error.details() or ""
    if code is grpc.StatusCode.CANCELLED:
        return Failure("", INTERRUPTED)
    if not reason_of(error) and code in _WORDS:
        doubt = ". What was to change may have changed, `capsulectl history` tells" if changes else ""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return Failure(f"{_WORDS[code]} at {address}: it is slow, or hangs{doubt}", FAILED)
        if address.startswith("unix:"):
            hint = _why_deaf(address.removeprefix("unix:"))
        else:
            from capsulectl.secure import why_unreachable

            try:
                hint = why_unreachable(address, resolved=not details.startswith(_UNRESOLVED))
            except Failure as changed:
                return changed
        if not never_sent(error):
            hint = f"the connection broke off{doubt}; {hint}"
        return Failure(f"{_WORDS[code]} at {address}: {hint}", FAILED)
    if not reason_of(error) and code is grpc.StatusCode.UNIMPLEMENTED:
        # What a capsule knows and cannot do it refuses with a reason: this is gRPC's own word.
        return Failure(
            f"the capsule at {address} does not know this call: it runs an older release than this command line, which "
            f"is {RELEASE}. `capsulectl capsule info` shows its own; start it anew from the newer one",
            FAILED,
        )
    reason = reason_of(error)
    kind = NotLetIn if reason and reason not in _CLOCKS and code in _NOT_LET_IN else Failure
    return kind(_field_of(error) + (details or code.name), USAGE if reason in _MISSAID else FAILED, reason)


def _why_deaf(socket: str) -> str:
    """Why nobody answers on a unix socket."""
    try:
        is_socket = stat.S_ISSOCK(os.stat(socket).st_mode)
    except PermissionError:
        return f"you may not open it: only root may, and whoever may enter its directory. {_as_root(socket)}"
    except OSError:
        if socket == str(DEFAULT_SOCKET):
            return f"there is no such socket: {_SERVICE}"
        return "there is no such socket. Is it the right path, and does capsuled run? `make up` starts one"
    if not is_socket:
        return "that is no socket. Is it the right path?"
    if not os.access(socket, os.W_OK):
        return f"you may not open it: who may is an administrator of the capsule. {_as_root(socket)}"
    return _SERVICE if socket == str(DEFAULT_SOCKET) else "is capsuled running? `make up` starts one"


_SERVICE = "does capsuled run? `systemctl status capsuled` tells, `systemctl start capsuled` starts it"
"""Of the one that `make install` made a service of."""


def _as_root(socket: str) -> str:
    named = "" if socket == str(DEFAULT_SOCKET) else f" --capsule {shlex.quote(f'unix:{socket}')}"
    return f"`sudo capsulectl …{named}` asks as root"


def _field_of(error: Any) -> str:
    """The path of the manifest's field at fault, if it is one's. What is in a stream's first message is none."""
    field, _, _ = dict(error.trailing_metadata() or ()).get("capsule-fields", "").partition(",")
    return f"{field}: " if "." in field and not field.startswith("metadata.") else ""


def reason_of(error: Any) -> str:
    """The machine-readable reason of a refusal; empty when the error is not the capsule's own."""
    return str(dict(error.trailing_metadata() or ()).get("capsule-reason", ""))
