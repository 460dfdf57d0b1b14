"""Calls on the daemon's own socket: each repeated by its id until it is answered, however many daemons that takes."""

import asyncio
from pathlib import Path
from typing import Any

import grpc

from capsule.v1 import volume_pb2_grpc, workload_pb2_grpc

CALL_S = 60.0
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)


class Calls:
    """One connection. `mark` begins every call's id."""

    def __init__(self, socket: Path, mark: str) -> None:
        options = [("grpc.default_authority", "localhost"), ("grpc.max_reconnect_backoff_ms", 100)]
        self._channel = grpc.aio.insecure_channel(f"unix:{socket}", options=options)
        workloads: Any = workload_pb2_grpc.WorkloadServiceStub(self._channel)
        volumes: Any = volume_pb2_grpc.VolumeServiceStub(self._channel)
        snapshots: Any = volume_pb2_grpc.SnapshotServiceStub(self._channel)
        self._methods: dict[str, Any] = {
            "Apply": workloads.Apply, "Stop": workloads.Stop, "Start": workloads.Start, "Delete": workloads.Delete,
            "Create": volumes.Create, "Resize": volumes.Resize, "Destroy": volumes.Delete,
            "Take": snapshots.Take, "Restore": snapshots.Restore, "Drop": snapshots.Delete,
        }  # fmt: skip
        self._mark = mark
        self._count = 0

    async def answered(self, method: str, request: Any) -> Any:
        """The answer. Raises AioRpcError for a refusal."""
        self._count += 1
        metadata = (("capsule-call-id", f"{self._mark}-{self._count}"),)
        while True:
            try:
                return await self._methods[method](request, metadata=metadata, timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AGAIN:
                    raise
                await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close(None)
