"""A connection to one containerd: its channel, its services, and its errors in this house's words."""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.empty_pb2 import Empty

from containerdapi import (
    containers_pb2_grpc,
    content_pb2_grpc,
    diff_pb2_grpc,
    events_pb2_grpc,
    images_pb2_grpc,
    leases_pb2_grpc,
    namespaces_pb2,
    namespaces_pb2_grpc,
    snapshots_pb2_grpc,
    tasks_pb2_grpc,
    version_pb2_grpc,
)
from effects.errors import DriverError, NoSpace, RuntimeUnavailable, StartFailed

NAMESPACE = "capsule"
SNAPSHOTTER = "overlayfs"
MESSAGE_BYTES = 16 << 20
UNABLE_S = 1.0
PATIENCE_S = 5.0
SERVES_NOTHING = (
    "containerd runs and serves nothing, for it cannot read its own records: no container is known or started. Where a "
    "newer release wrote them, update to one that reads them, or go back to it; else they are damaged"
)
STAYS_AWAY = (
    "containerd has not answered for {:.0f} s: what runs goes on, and until it does no container is started or ended. "
    "If it stays away, `capsulectl capsule logs` tells"
)

log = logging.getLogger(__name__)

Metadata = tuple[tuple[str, str], ...]


class Connection:
    """Lazy stubs over one channel. `metadata` must go with every call; `clearing` is held by who puts right what an
    earlier containerd left; `problem`: why it serves nothing, while it runs."""

    def __init__(self, address: Path) -> None:
        self.address = address
        self.problem = ""
        self._awaited_since: float | None = None
        self.channel = grpc.aio.insecure_channel(
            f"unix://{address}",
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES),
                ("grpc.max_send_message_length", MESSAGE_BYTES),
                # containerd's server refuses the escaped path that would stand here by default.
                ("grpc.default_authority", "localhost"),
                # It is supervised and back within a second: no long sleeps before the next try.
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.min_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1_000),
                # Two containerds of one process (the tests) must not share a connection pool by address.
                ("grpc.use_local_subchannel_pool", 1),
            ],
        )
        self.clearing = asyncio.Lock()
        self.metadata: Metadata = (("containerd-namespace", NAMESPACE),)

    @cached_property
    def containers(self) -> Any:
        """Records that tasks run from."""
        return containers_pb2_grpc.ContainersStub(self.channel)

    @cached_property
    def content(self) -> Any:
        """Blobs by digest."""
        return content_pb2_grpc.ContentStub(self.channel)

    @cached_property
    def diff(self) -> Any:
        """Layers into mounts."""
        return diff_pb2_grpc.DiffStub(self.channel)

    @cached_property
    def events(self) -> Any:
        """What happens."""
        return events_pb2_grpc.EventsStub(self.channel)

    @cached_property
    def images(self) -> Any:
        """Image names."""
        return images_pb2_grpc.ImagesStub(self.channel)

    @cached_property
    def leases(self) -> Any:
        """Guards against garbage collection."""
        return leases_pb2_grpc.LeasesStub(self.channel)

    @cached_property
    def snapshots(self) -> Any:
        """File system trees."""
        return snapshots_pb2_grpc.SnapshotsStub(self.channel)

    @cached_property
    def tasks(self) -> Any:
        """Running processes."""
        return tasks_pb2_grpc.TasksStub(self.channel)

    async def ready(self) -> str:
        """Wait until containerd answers, also through its death meanwhile; make our namespace. Returns its version."""
        if self._awaited_since is None:
            self._awaited_since = asyncio.get_running_loop().time()
        while True:
            try:
                version = await self._greeted()
                self.problem, self._awaited_since = "", None
                return version
            except grpc.aio.AioRpcError as error:
                # `wait_for_ready` waits for a connection; one that broke with the call in flight ends the call.
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNIMPLEMENTED):
                    self._awaited_since = None  # it answers, though not well
                    raise translated(error) from error
                if error.code() is grpc.StatusCode.UNIMPLEMENTED:
                    if not self.problem:
                        log.error("%s", SERVES_NOTHING)
                    self.problem = SERVES_NOTHING
                    await asyncio.sleep(UNABLE_S)

    async def answering(self) -> None:
        """Wait for a containerd that was just started, or is started again, but no longer than who gave a command
        waits for it: the call behind this one tells the rest."""
        if self.channel.get_state(try_to_connect=True) is grpc.ChannelConnectivity.READY:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await self.channel.channel_ready()

    async def answers(self, within_s: float) -> bool:
        """Whether containerd does not hang. One that is gone is none of that: whoever waits for it is told."""
        began = asyncio.get_running_loop().time()
        stub: Any = version_pb2_grpc.VersionStub(self.channel)
        try:
            await stub.Version(Empty(), timeout=within_s)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                return True
            self._awaited_since = began if self._awaited_since is None else self._awaited_since
            return False
        self._awaited_since = None
        return True

    async def warnings(self) -> tuple[str, ...]:
        """That one runs which serves nothing, while it does, or that none has come up for a while."""
        if self.problem:
            return (self.problem,)
        if self._awaited_since is None:
            return ()
        away_s = asyncio.get_running_loop().time() - self._awaited_since
        return (STAYS_AWAY.format(away_s),) if away_s > PATIENCE_S else ()

    async def _greeted(self) -> str:
        stub: Any = version_pb2_grpc.VersionStub(self.channel)
        answer = await stub.Version(Empty(), wait_for_ready=True)
        namespaces: Any = namespaces_pb2_grpc.NamespacesStub(self.channel)
        request = namespaces_pb2.CreateNamespaceRequest(namespace=namespaces_pb2.Namespace(name=NAMESPACE))
        try:
            await namespaces.Create(request, metadata=self.metadata, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if error.code() != grpc.StatusCode.ALREADY_EXISTS:
                raise
        return str(answer.version)

    async def close(self) -> None:
        """Close the channel; calls in flight end."""
        await self.channel.close(grace=None)


_UNSENT = "Internal error from Core"
_ITS_DEADLINE = "context deadline exceeded"


@contextmanager
def tolerated(*codes: grpc.StatusCode) -> Iterator[None]:
    """Let these statuses pass: the goal is reached already. Anything else becomes a DriverError."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() not in codes:
            raise translated(error) from error


def is_late(error: grpc.aio.AioRpcError) -> bool:
    """Whether a call ended by its deadline: as this side sees it, or as containerd was the first to say, which counts
    the same seconds while it asks a shim."""
    return error.code() is grpc.StatusCode.DEADLINE_EXCEEDED or _ITS_DEADLINE in (error.details() or "")


def translated(error: grpc.aio.AioRpcError) -> DriverError:
    """containerd's error as a condition of ours."""
    details = (error.details() or "").strip()
    # The library has words of its own for a message that it could not send any more, as the connection broke.
    gone = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED) or details == _UNSENT
    if gone:
        return RuntimeUnavailable(
            "containerd does not answer, and is started again by itself; if it stays away, `capsulectl capsule logs` "
            "tells"
        )
    if "no space left on device" in details or "disk quota exceeded" in details:
        return NoSpace(f"the disk is full: {details}. Free space under the state directory")
    if is_late(error):
        return StartFailed(
            f"the runtime gives no answer in time, and may wait for a server or a disk that is away or hangs: {details}"
        )
    return StartFailed(details or error.code().name)
