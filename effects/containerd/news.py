"""containerd's own news: a subscription that ends with it, and is made again with its successor."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from containerdapi import events_pb2
from effects.containerd.connection import Connection
from effects.errors import DriverError

AGAIN_S = 0.1


async def news(connection: Connection, *topics: str) -> AsyncIterator[Any]:
    """Envelopes of these topics (filters, as containerd writes them), and None whenever some may have been missed
    before it, first of all."""
    while True:
        with contextlib.suppress(grpc.aio.AioRpcError, DriverError):
            stream = connection.events.Subscribe(
                events_pb2.SubscribeRequest(filters=topics), metadata=connection.metadata, wait_for_ready=True
            )
            # containerd sends the headers with the first event only; it answering anything later than the
            # subscription was sent means that the subscription stands, as both go over one connection.
            await connection.ready()
            yield None
            async for envelope in stream:
                yield envelope
        await asyncio.sleep(AGAIN_S)
