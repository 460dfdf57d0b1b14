"""grpc.health.v1.Health: whether the API serves. Check is open to all, for probes that have no key."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

from grpc_health.v1 import health_pb2 as pb
from grpc_health.v1.health_pb2_grpc import HealthServicer

from capsuled.rpc import refuse

SERVING = pb.HealthCheckResponse.SERVING
NOT_SERVING = pb.HealthCheckResponse.NOT_SERVING
UNKNOWN = pb.HealthCheckResponse.SERVICE_UNKNOWN


class HealthService(HealthServicer):  # type: ignore[misc]
    """All services serve, until the daemon stops; the empty name is the whole of them."""

    def __init__(self) -> None:
        self._names: frozenset[str] = frozenset({""})
        self._stopping = asyncio.Event()

    def serve(self, names: Iterable[str]) -> None:
        """These services are there."""
        self._names |= frozenset(names)

    def stop(self) -> None:
        """From now on nothing serves; whoever watches hears of it."""
        self._stopping.set()

    def _status(self, name: str) -> pb.HealthCheckResponse:
        if name not in self._names:
            return pb.HealthCheckResponse(status=UNKNOWN)
        return pb.HealthCheckResponse(status=NOT_SERVING if self._stopping.is_set() else SERVING)

    async def Check(self, request: pb.HealthCheckRequest, context: Any) -> pb.HealthCheckResponse:
        """One service, now."""
        if request.service not in self._names:
            refuse("NOT_FOUND", "SERVICE_UNKNOWN", "this capsule has no such service", "service")
        return self._status(request.service)

    async def List(self, request: pb.HealthListRequest, context: Any) -> pb.HealthListResponse:
        """All of them."""
        return pb.HealthListResponse(statuses={name: self._status(name) for name in sorted(self._names)})

    async def Watch(self, request: pb.HealthCheckRequest, context: Any) -> AsyncIterator[pb.HealthCheckResponse]:
        """One service, now and when that changes."""
        yield self._status(request.service)
        await self._stopping.wait()
        yield self._status(request.service)
