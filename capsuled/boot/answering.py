"""Whether anybody answers: the API is asked by its own socket, as a client would."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


@asynccontextmanager
async def answering(socket: Path) -> AsyncIterator[Callable[[], Awaitable[object]]]:
    """What asks, and raises where the answer is not the right one."""
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)

        async def answers() -> None:
            said = await stub.Check(health_pb2.HealthCheckRequest())
            if said.status != health_pb2.HealthCheckResponse.SERVING:
                raise RuntimeError("it says that it does not serve")

        yield answers
