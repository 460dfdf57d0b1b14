"""`capsulectl logs` and `capsulectl capsule logs`."""

import sys
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from capsulectl.connection import Connection
from capsulectl.options import COMMON, Common, Name

Follow = Annotated[bool, Parameter(name=["-f", "--follow"], negative="", help="Go on as it grows.")]
Tail = Annotated[int, Parameter(name=["-n", "--tail"], help="Only the last so many lines of each stream; 0: all.")]
Stream = Annotated[Literal["both", "stdout", "stderr"], Parameter(name="--stream", help="Only one of the two streams.")]


def logs(name: Name, /, *, follow: Follow = False, tail: Tail = 0, stream: Stream = "both",
    common: Common = COMMON) -> None:  # fmt: skip
    """Print what a workload's newest run wrote: its output on ours, its errors on ours.

    Example: capsulectl logs web -n 20 -f
    """
    from capsule.v1 import workload_pb2 as pb

    only = {"both": pb.LOG_STREAM_UNSPECIFIED, "stdout": pb.LOG_STREAM_STDOUT, "stderr": pb.LOG_STREAM_STDERR}[stream]
    request = pb.WorkloadLogsRequest(name=name, follow=follow, tail_lines=tail, stream=only)
    connection = Connection(common.capsule)
    _copy(connection.stream(connection.workloads.Logs, request))


def daemon_logs(*, follow: Follow = False, tail: Tail = 0, common: Common = COMMON) -> None:
    """Print the daemon's log of this boot.

    Example: capsulectl capsule logs -n 50
    """
    from capsule.v1 import capsule_pb2 as pb

    connection = Connection(common.capsule)
    _copy(connection.stream(connection.capsule.StreamLogs, pb.CapsuleLogsRequest(follow=follow, tail_lines=tail)))


def _copy(chunks: Iterable[Any]) -> None:
    for chunk in chunks:
        target = sys.stderr if getattr(chunk, "stderr", False) else sys.stdout
        target.buffer.write(chunk.data)
        target.buffer.flush()
