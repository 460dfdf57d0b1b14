"""A client that is connected already: for figures of the daemon alone, without a process and its imports in the way."""

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from capsule.v1 import capsule_pb2, capsule_pb2_grpc, machine_pb2, machine_pb2_grpc, workload_pb2_grpc
from capsule.v1 import workload_pb2 as pb

RUN_S = 120
"""A machine that cannot start what is measured ends the benchmark with an error."""


class Client:
    """One channel to a daemon's unix socket."""

    def __init__(self, socket: Path) -> None:
        self.channel = grpc.insecure_channel(
            f"unix:{socket}",
            options=[("grpc.default_authority", "localhost"), ("grpc.max_receive_message_length", 16 << 20)],
        )
        self.workloads: Any = workload_pb2_grpc.WorkloadServiceStub(self.channel)
        self.machine: Any = machine_pb2_grpc.MachineServiceStub(self.channel)
        self.capsule: Any = capsule_pb2_grpc.CapsuleServiceStub(self.channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()

    def info(self) -> None:
        """The simplest call there is."""
        self.capsule.GetInfo(capsule_pb2.GetInfoRequest())

    def run(self, workloads: list[pb.Workload]) -> None:
        """Apply them at once and return when the last one's process exists, as the machine's own watch tells it."""
        left = {workload.name for workload in workloads}
        watch = self.machine.Watch(machine_pb2.WatchRequest(names=sorted(left)), timeout=RUN_S)
        for item in watch:
            if item.synced:
                break
        self.machine.ApplyAll(machine_pb2.ApplyAllRequest(workloads=workloads))
        self._until_they_run(watch, left)

    def until_it_runs(self, name: str) -> None:
        """Return when its process exists."""
        watch = self.machine.Watch(machine_pb2.WatchRequest(names=[name]), timeout=RUN_S)
        self._until_they_run(watch, {name})

    def _until_they_run(self, watch: Any, left: set[str]) -> None:
        for item in watch:
            status = item.workload.status
            assert status.phase != pb.WORKLOAD_PHASE_FAILED, status.message
            if status.phase == pb.WORKLOAD_PHASE_RUNNING and status.pid:
                left.discard(item.workload.name)
                if not left:
                    break
        watch.cancel()

    def execute(self, name: str, *command: str) -> None:
        """A further process in a running container, to its end."""
        config = pb.WorkloadExecConfig(name=name, command=command)
        messages = self.workloads.Exec(iter([pb.WorkloadExecClientMessage(config=config)]))
        for message in messages:
            if message.WhichOneof("payload") == "exit":
                assert message.exit.exit_code == 0
                return
        raise AssertionError("an exec ended without an exit code")

    def delete(self, names: Iterable[str]) -> None:
        """Nothing is left of them."""
        for call in [self.workloads.Delete.future(pb.WorkloadDeleteRequest(name=name)) for name in names]:
            call.result()


def sleeper(name: str) -> pb.Workload:
    """A container that does nothing, for long."""
    spec = pb.ContainerSpec(
        image="demo:1",
        command=["sleep", "1000000"],
        network_mode=pb.NETWORK_MODE_NONE,
        stop_grace_seconds=0,
        restart=pb.RESTART_MODE_NEVER,
    )
    return pb.Workload(name=name, kind=pb.WORKLOAD_KIND_CONTAINER, container=spec)
