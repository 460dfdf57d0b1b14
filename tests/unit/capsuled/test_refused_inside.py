"""A call that reaches inside a workload and is refused: its entry names the workload, which its first message said."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from capsule.v1 import workload_pb2 as pb
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from journal.events import CallRefused
from tests.support.house import standing


def test_the_history_of_a_name_has_what_was_refused_of_it(tmp_path: Path) -> None:
    with standing(tmp_path / "state") as house:
        options = [("grpc.default_authority", "localhost")]
        with grpc.insecure_channel(f"unix:{house.layout.socket}", options) as channel:
            workloads: Any = WorkloadServiceStub(channel)
            config = pb.WorkloadExecConfig(name="nobody", command=["true"])
            into = pb.WorkloadCopyToMetadata(name="nobody")
            for ask in (
                lambda: list(workloads.Exec(iter([pb.WorkloadExecClientMessage(config=config)]))),
                lambda: workloads.CopyTo(iter([pb.WorkloadCopyToRequest(metadata=into)])),
                lambda: workloads.Exec(iter([pb.WorkloadExecClientMessage(stdin=b"who is meant?")])).next(),
            ):
                with pytest.raises(grpc.RpcError):
                    ask()
        told = [event for _, event in house.entries() if isinstance(event, CallRefused)]
        assert [(one.method, one.objects) for one in told] == [
            ("WorkloadService.Exec", ("nobody",)),
            ("WorkloadService.CopyTo", ("nobody",)),
            ("WorkloadService.Exec", ()),
        ]
