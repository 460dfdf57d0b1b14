"""Options that many commands share."""

from dataclasses import dataclass
from typing import Annotated, Literal

from cyclopts import Parameter

Format = Literal["table", "wide", "json", "yaml", "name"]
Output = Annotated[Format, Parameter(name=["-o", "--output"], help="How to print: table, wide, json, yaml or name.")]
DryRun = Annotated[bool, Parameter(name="--dry-run", negative="", help="Show the plan; change nothing at all.")]
ExpectSeq = Annotated[
    int | None, Parameter(name="--expect-seq", help="Refuse if the object changed since this sequence number.")
]
Watch = Annotated[bool, Parameter(name=["-w", "--watch"], negative="", help="Go on and print every change.")]
Timeout = Annotated[float, Parameter(name="--timeout", help="Seconds to wait at most; then exit 124.")]
Yes = Annotated[bool, Parameter(name=["-y", "--yes"], negative="", help="Do not ask.")]


def workload_names(context: object) -> list[str]:
    """For the shell's completion: what the machine has. A machine that does not answer completes nothing."""
    from capsule.v1 import workload_pb2
    from capsulectl.connection import Connection
    from capsulectl.errors import Failure

    try:
        connection = Connection()
        answer = connection.call(connection.workloads.List, workload_pb2.WorkloadListRequest(), timeout=1)
    except Failure:
        return []
    return [workload.name for workload in answer.workloads]


Name = Annotated[str, Parameter(help="The workload's name.", completer=workload_names)]


@Parameter(name="*")
@dataclass(frozen=True)
class Common:
    """Options of every command that talks to a capsule."""

    capsule: Annotated[
        str,
        Parameter(
            name="--capsule",
            help="A context, its HOST:PORT, or unix:PATH (default: CAPSULE_HOST, then the current context).",
        ),
    ] = ""
    quiet: Annotated[bool, Parameter(name=["-q", "--quiet"], negative="", help="Print only what was asked for.")] = (
        False
    )


COMMON = Common()
