"""Calls on a daemon: each repeated by its id until it is answered, however many daemons, or boots, that takes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc

from capsule.v1 import machine_pb2_grpc, rollback_pb2_grpc, secret_pb2_grpc, volume_pb2_grpc, workload_pb2_grpc
from capsule.v1 import workload_pb2 as pb

CALL_S = 60.0
PIECE_BYTES = 32 << 10
_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)


Metadata = tuple[tuple[str, str], ...]
OPTIONS = (("grpc.max_reconnect_backoff_ms", 100), ("grpc.enable_retries", 0))


def at_socket(socket: Path) -> grpc.aio.Channel:
    """A channel to the daemon of this socket."""
    return grpc.aio.insecure_channel(f"unix:{socket}", options=[("grpc.default_authority", "localhost"), *OPTIONS])


class Calls:
    """One connection. `mark` begins every call's id; `signed` is what says who calls, made anew for each."""

    def __init__(self, channel: grpc.aio.Channel, mark: str, signed: Callable[[], Metadata] = tuple) -> None:
        self._channel, self._signed = channel, signed
        workloads: Any = workload_pb2_grpc.WorkloadServiceStub(self._channel)
        volumes: Any = volume_pb2_grpc.VolumeServiceStub(self._channel)
        snapshots: Any = volume_pb2_grpc.SnapshotServiceStub(self._channel)
        secrets: Any = secret_pb2_grpc.SecretServiceStub(self._channel)
        rollbacks: Any = rollback_pb2_grpc.RollbackServiceStub(self._channel)
        machine: Any = machine_pb2_grpc.MachineServiceStub(self._channel)
        self._workloads = workloads
        self._methods: dict[str, Any] = {
            "Apply": workloads.Apply, "Stop": workloads.Stop, "Start": workloads.Start, "Delete": workloads.Delete,
            "Create": volumes.Create, "Resize": volumes.Resize, "Destroy": volumes.Delete,
            "Take": snapshots.Take, "Restore": snapshots.Restore, "Drop": snapshots.Delete,
            "Restart": workloads.Restart, "Get": workloads.Get, "Rollback": rollbacks.Rollback,
            "Conceal": secrets.Create, "Rotate": secrets.Rotate, "Forget": secrets.Remove,
            "ApplyAll": machine.ApplyAll,
        }  # fmt: skip
        self._mark = mark
        self._count = 0

    async def answered(self, method: str, request: Any) -> Any:
        """The answer. Raises AioRpcError for a refusal."""
        self._count += 1
        named = ("capsule-call-id", f"{self._mark}-{self._count}")
        while True:
            try:
                return await self._methods[method](request, metadata=(named, *self._signed()), timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AGAIN:
                    raise
                await asyncio.sleep(0.02)

    async def into(self, name: str, path: str, archive: bytes) -> None:
        """One copy into a workload, once: no id makes it another's repetition. Raises AioRpcError."""

        async def messages() -> AsyncIterator[pb.WorkloadCopyToRequest]:
            yield pb.WorkloadCopyToRequest(metadata=pb.WorkloadCopyToMetadata(name=name, dest_path=path))
            for start in range(0, len(archive), PIECE_BYTES):
                yield pb.WorkloadCopyToRequest(chunk=archive[start : start + PIECE_BYTES])

        await self._workloads.CopyTo(messages(), metadata=self._signed(), timeout=CALL_S)

    async def out_of(self, name: str, path: str) -> bytes:
        """The archive of a path in a workload. Raises AioRpcError."""
        request = pb.WorkloadCopyFromRequest(name=name, src_path=path)
        chunks = self._workloads.CopyFrom(request, metadata=self._signed(), timeout=CALL_S)
        return b"".join([chunk.data async for chunk in chunks])

    async def ran(self, name: str, *command: str) -> int:
        """The exit code of a command in a workload. Raises AioRpcError."""
        config = pb.WorkloadExecConfig(name=name, command=command)
        said = (pb.WorkloadExecClientMessage(config=config), pb.WorkloadExecClientMessage(end_of_input=True))
        codes = [
            message.exit.exit_code
            async for message in self._workloads.Exec(iter(said), metadata=self._signed(), timeout=CALL_S)
            if message.WhichOneof("payload") == "exit"
        ]
        return int(codes[0])

    async def close(self) -> None:
        """Hang up."""
        await self._channel.close(None)
