"""The calls, each decoded and handed on. See proto/capsule/guest/v1/guest.proto for what they promise."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import NoReturn

import grpc

from capsule.guest.v1 import guest_pb2 as pb
from capsule.guest.v1.guest_pb2_grpc import GuestServiceServicer
from guest import cgroups
from guest.service import secret_files
from guest.service.clock import Clock
from guest.service.copying import Copying
from guest.service.execution import Execution
from guest.service.freezing import Freezing
from guest.service.link import Link
from guest.service.refusals import Refusal, abort
from guest.service.usage import usage

VERSION_MIN, VERSION_MAX = 1, 1
"""Of the contract: what this release speaks."""
LONG_CALLS = 48
"""Execs and copies at once. Each holds a thread as long as it lasts, and there are more threads than these: so whatever
is open, the guest answers the daemon, which takes it for hung otherwise, and can be asked to end."""


class Servicer(GuestServiceServicer):
    """All of them. `release` is ours; `long_calls` is for the server's threads, which must be more."""

    def __init__(self, link: Link, release: str, long_calls: int = LONG_CALLS, clock: Clock | None = None) -> None:
        self._link = link
        self._release = release
        self._clock = clock or Clock()
        self._freezing = Freezing()
        self._agreed = False
        self._long_calls = long_calls
        self._places = threading.Semaphore(long_calls)

    def Hello(self, request: pb.HelloRequest, context: grpc.ServicerContext) -> pb.HelloResponse:
        """See the contract."""
        version = min(VERSION_MAX, request.version_max)
        self._agreed = version >= max(VERSION_MIN, request.version_min)
        who = self._link.introduction
        return pb.HelloResponse(
            version=version if self._agreed else 0,
            version_min=VERSION_MIN,
            version_max=VERSION_MAX,
            release=self._release,
            name=who.name,
            uid=who.uid,
            run=who.run,
        )

    def Status(self, request: pb.StatusRequest, context: grpc.ServicerContext) -> pb.StatusResponse:
        """See the contract."""
        self._check(context)
        self._clock.make_up(request.clock_behind_ns)
        return pb.StatusResponse(
            phase=pb.PHASE_STOPPING if self._link.stopping else pb.PHASE_RUNNING,
            uptime_ns=time.clock_gettime_ns(time.CLOCK_BOOTTIME),
            oom_kills=cgroups.oom_kills(),
            executions=self._link.alive,
            time_ns=self._clock.now_ns(),
        )

    def Exec(
        self, request_iterator: Iterator[pb.ExecClientMessage], context: grpc.ServicerContext
    ) -> Iterator[pb.ExecServerMessage]:
        """See the contract."""
        self._check(context)
        first = next(request_iterator, pb.ExecClientMessage())
        if not first.HasField("start"):
            _invalid(context, "the first message of an exec is `start`")
        try:
            with self._place():
                execution = Execution(self._link, first.start)
                _at_end(context, execution.desert)
                # Who cancels ends the iterator with an error, who says no more ends it without one: both hang up.
                threading.Thread(target=_hear, args=(execution, request_iterator), daemon=True).start()
                yield from execution.messages()
        except Refusal as refusal:
            yield pb.ExecServerMessage(refused=_refused(refusal))

    def CopyIn(
        self, request_iterator: Iterator[pb.CopyInClientMessage], context: grpc.ServicerContext
    ) -> Iterator[pb.CopyServerMessage]:
        """See the contract."""
        self._check(context)
        first = next(request_iterator, pb.CopyInClientMessage())
        if not first.HasField("start"):
            _invalid(context, "the first message of a copy is `start`")
        try:
            with self._place():
                copying = Copying(self._link, "to", first.start.path)
                _at_end(context, copying.call_off)
                try:
                    yield copying.ready()
                    yield copying.take(request_iterator)
                finally:
                    copying.close()
        except Refusal as refusal:
            yield pb.CopyServerMessage(refused=_refused(refusal))

    def CopyOut(self, request: pb.CopyStart, context: grpc.ServicerContext) -> Iterator[pb.CopyServerMessage]:
        """See the contract."""
        self._check(context)
        try:
            with self._place():
                copying = Copying(self._link, "from", request.path)
                _at_end(context, copying.call_off)
                try:
                    yield copying.ready()
                    yield from copying.pieces()
                finally:
                    copying.close()
        except Refusal as refusal:
            yield pb.CopyServerMessage(refused=_refused(refusal))

    def Stats(self, request: pb.StatsRequest, context: grpc.ServicerContext) -> pb.StatsResponse:
        """See the contract."""
        self._check(context)
        return usage(self._link.introduction.volumes)

    def Stop(self, request: pb.StopRequest, context: grpc.ServicerContext) -> pb.StopResponse:
        """See the contract."""
        self._link.say({"do": "stop", "signal": request.signal, "grace_ms": request.grace_ms})
        return pb.StopResponse()

    def Shutdown(self, request: pb.ShutdownRequest, context: grpc.ServicerContext) -> pb.ShutdownResponse:
        """See the contract."""
        self._link.say({"do": "shutdown"})
        return pb.ShutdownResponse()

    def PlaceSecrets(self, request: pb.PlaceSecretsRequest, context: grpc.ServicerContext) -> pb.PlaceSecretsResponse:
        """See the contract."""
        self._check(context)
        try:
            secret_files.place(list(request.files), self._link.introduction.secrets)
        except Refusal as refusal:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(refusal))
        except OSError as error:
            abort(context, "the secrets cannot be placed", error)
        return pb.PlaceSecretsResponse()

    def Freeze(self, request: pb.FreezeRequest, context: grpc.ServicerContext) -> pb.FreezeResponse:
        """See the contract."""
        serial = self._volume(request.path, context)
        try:
            self._freezing.freeze(serial, request.timeout_ms)
        except OSError as error:
            abort(context, f"the volume at {request.path} cannot be frozen", error)
        return pb.FreezeResponse()

    def Thaw(self, request: pb.ThawRequest, context: grpc.ServicerContext) -> pb.ThawResponse:
        """See the contract."""
        serial = self._volume(request.path, context)
        return pb.ThawResponse(late=not self._freezing.thaw(serial))

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        """For a call that lasts, as long as its thread is at it. Raises Refusal where all are taken."""
        if not self._places.acquire(blocking=False):
            raise Refusal(
                "GUEST_BUSY",
                f"{self._link.introduction.name} has {self._long_calls} execs and copies open, and its guest carries "
                "no more at once: end some of them first",
            )
        try:
            yield
        finally:
            self._places.release()

    def _volume(self, path: str, context: grpc.ServicerContext) -> str:
        """Its serial."""
        self._check(context)
        serial = self._link.introduction.volumes.get(path)
        if serial is None:
            context.abort(grpc.StatusCode.NOT_FOUND, f"the run has no volume at {path}")
        return serial or ""

    def _check(self, context: grpc.ServicerContext) -> None:
        if not self._agreed:
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                f"say Hello first: this guest ({self._release}) speaks versions {VERSION_MIN} to {VERSION_MAX}",
            )


def _hear(execution: Execution, messages: Iterator[pb.ExecClientMessage]) -> None:
    try:
        execution.hear(messages)
    except grpc.RpcError:
        pass  # the client has gone; whoever hears of it has ended the process


def _at_end(context: grpc.ServicerContext, what: Callable[[], None]) -> None:
    """Called once the call has ended, however."""
    if not context.add_callback(what):
        what()


def _refused(refusal: Refusal) -> pb.Refused:
    return pb.Refused(reason=refusal.reason, message=str(refusal), moved=refusal.moved)


def _invalid(context: grpc.ServicerContext, why: str) -> NoReturn:
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)
    raise AssertionError("abort raises")
