"""An empty log of a workload that never ran is told: it is not the log of a program that is silent."""

from types import SimpleNamespace
from typing import Any

import pytest

from capsule.v1 import workload_pb2 as pb
from capsulectl import logs
from capsulectl.options import Common


class Machine:
    """One with a workload that is so, and has written this."""

    workloads = SimpleNamespace(Logs=None, Get=None)

    def __init__(self, *chunks: bytes, **status: Any) -> None:
        self.chunks = [pb.WorkloadLogChunk(data=chunk) for chunk in chunks]
        self.status = pb.WorkloadStatus(phase=pb.WORKLOAD_PHASE_PENDING, phase_detail="retrying", **status)

    def stream(self, method: None, request: Any) -> Any:
        return iter(self.chunks)

    def read(self, method: None, request: Any) -> Any:
        return pb.Workload(name=request.name, status=self.status)


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        (
            Machine(message="no image"),
            "web has no log: no run of it has begun yet; it is Pending (retrying): no image\n",
        ),
        (Machine(run=1), "web has no log: no run of it has begun yet; it is Pending (retrying)\n"),
        (Machine(run=4), "web has no log: run 4 has not begun yet; it is Pending (retrying)\n"),
        (Machine(run=1, started_at_unix_ns=5), ""),
        (Machine(b"a\n", run=1), ""),
    ],
)
def test_that_it_never_ran_is_said(
    machine: Machine, says: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(logs, "Connection", lambda capsule: machine)
    logs.logs(("web",))
    assert capfd.readouterr().err == says
    logs.logs(("web",), common=Common(quiet=True))
    assert capfd.readouterr().err == ""
