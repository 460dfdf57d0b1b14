"""A look behind the image cache's back, and a runtime that dies in the middle of what the cache asks of it."""

import asyncio
import os
import select
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from containerdapi import content_pb2, leases_pb2, snapshots_pb2
from effects.containerd.connection import SNAPSHOTTER
from tests.support.runtime import Runtime


@dataclass(frozen=True)
class Traces:
    """What is there beside finished images: leases, parts of blobs, half-unpacked layers; and all whole blobs."""

    leases: int = 0
    parts: int = 0
    scratch: int = 0
    blobs: int = 0


async def traces(made: Runtime) -> Traces:
    """After a garbage collection, so that only what something holds is counted."""
    connection, metadata = made.connection, made.connection.metadata
    await connection.leases.Create(leases_pb2.CreateRequest(id="probe"), metadata=metadata)
    await connection.leases.Delete(leases_pb2.DeleteRequest(id="probe", sync=True), metadata=metadata)
    leases = (await connection.leases.List(leases_pb2.ListRequest(), metadata=metadata)).leases
    parts = (await connection.content.ListStatuses(content_pb2.ListStatusesRequest(), metadata=metadata)).statuses
    asked = snapshots_pb2.ListSnapshotsRequest(snapshotter=SNAPSHOTTER)
    pages = connection.snapshots.List(asked, metadata=metadata)
    layers = [info.name async for page in pages for info in page.info]
    blobs = connection.content.List(content_pb2.ListContentRequest(), metadata=metadata)
    return Traces(
        len(leases),
        len(parts),
        sum(name.startswith("extract-") for name in layers),
        sum([len(page.info) async for page in blobs]),
    )


def kill_at(made: Runtime, step: str) -> None:
    """Kill containerd (once) when `service.Method` is called next."""
    service, method = step.split(".")
    real = getattr(made.connection, service)
    made.connection.__dict__[service] = _Deadly(real, method, lambda: _kill(made, service, real))


def _kill(made: Runtime, service: str, real: Any) -> None:
    made.connection.__dict__[service] = real
    pid = made.pid()
    process = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    select.select((process,), (), ())  # dead for sure, before it can answer anything
    os.close(process)


class _Deadly:
    """A stub one of whose methods is the runtime's last."""

    def __init__(self, stub: Any, method: str, kill: Callable[[], None]) -> None:
        self._stub = stub
        self._method = method
        self._kill = kill

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._stub, name)
        if name != self._method:
            return real

        def last(*arguments: Any, **options: Any) -> Any:
            call = real(*arguments, **options)
            asyncio.get_running_loop().call_soon(self._kill)
            return call

        return last
