"""How far a pull is, told of whatever kind of workload waits for it."""

import pytest

from capsule.v1 import workload_pb2 as pb
from capsuled.progress import tell_progress
from effects.images.protocol import Progress


@pytest.mark.parametrize("kind", ["container", "micro_vm"])
def test_a_pull_is_told_with_what_is_pulled(kind: str) -> None:
    message = pb.Workload(name="web", status=pb.WorkloadStatus(phase_detail="pulling"))
    getattr(message, kind).image = "docker.io/library/nginx:1"
    progress = Progress(total_bytes=4 << 20, layers=3)
    progress.done_bytes, progress.unpacked = 1 << 20, 1
    told = tell_progress(message, {"web": progress}).status.message
    assert told == "docker.io/library/nginx:1 is being fetched: 1 MiB of 4 MiB, 1 of 3 layers unpacked"
