"""Many readers at once. The daemon's pools of threads fill as they are wanted and never shrink; the fuller they are, the
less of what there is more of at a later look is theirs.
"""

import asyncio
from pathlib import Path
from typing import Any

from capsule.v1 import history_pb2, history_pb2_grpc, volume_pb2, volume_pb2_grpc
from tests.support.storm.calls import at_socket

READERS = 64
"""As many as the daemon may have threads in a pool."""


async def crowd(socket: Path) -> None:
    """Ask what is read beside the event loop, by readers who do not wait for each other."""
    channel = at_socket(socket)
    history: Any = history_pb2_grpc.HistoryServiceStub(channel)
    volumes: Any = volume_pb2_grpc.VolumeServiceStub(channel)

    async def read() -> None:
        async for _ in history.List(history_pb2.HistoryListRequest(limit=1)):
            pass

    try:
        await asyncio.gather(*(read() for _ in range(READERS)))
        await asyncio.gather(*(volumes.List(volume_pb2.VolumeListRequest()) for _ in range(READERS)))
    finally:
        await channel.close(None)
