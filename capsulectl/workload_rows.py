"""Workloads as a list: their columns, and all of them at once."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from capsule.v1 import workload_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.render import age, plain, show_table, write
from capsulectl.words import image_word, kind_word, network_word, phase, ports_word

if TYPE_CHECKING:
    from capsulectl.options import Format

HEADINGS = ("NAME", "PHASE", "RESTARTS", "SINCE", "IMAGE", "PORTS")
SINCE = HEADINGS.index("SINCE")
_WIDE = (
    *HEADINGS,
    "KIND",
    "VCPUS",
    "MEMORY",
    "ACCEL",
    "RUN",
    "PID",
    "ADDRESS",
    "NETWORK",
    "UID",
    "DIGEST",
    "LABELS",
    "MESSAGE",
)


def show_all(connection: Connection, output: "Format", has: Callable[[Any], bool] = lambda workload: True) -> None:
    """What there is, of that what `has` selects."""
    answer = connection.read(connection.workloads.List, pb.WorkloadListRequest())
    show_answer(answer, output, has)


def show_answer(
    answer: Any,
    output: "Format",
    has: Callable[[Any], bool] = lambda workload: True,
    now_ns: int | None = None,
) -> None:
    """Of what a capsule said there is, or was, what `has` selects."""
    workloads = [workload for workload in answer.workloads if has(workload)]
    if output in ("json", "yaml"):
        write({"workloads": [plain(workload) for workload in workloads], "desiredSeq": answer.desired_seq}, output)
    else:
        show(workloads, output, now_ns)


def show(workloads: list[Any], output: "Format", now_ns: int | None = None) -> None:
    """Names, or a table; how long something is so is counted up to `now_ns`."""
    if output == "name":
        for workload in workloads:
            print(workload.name)
    else:
        show_table(
            headings(output), [row_of(workload, output, now_ns) for workload in workloads], cut=output == "table"
        )


def headings(output: "Format") -> tuple[str, ...]:
    """Of the columns."""
    return _WIDE if output == "wide" else HEADINGS


def row_of(workload: Any, output: "Format", now_ns: int | None = None) -> tuple[str, ...]:
    """A workload's cells."""
    status = workload.status
    row = (
        workload.name,
        phase(workload),
        str(status.restart_count),
        age(
            status.started_at_unix_ns if status.phase == pb.WORKLOAD_PHASE_RUNNING else status.finished_at_unix_ns,
            now_ns,
        ),
        image_word(workload),
        ports_word(workload),
    )
    if output != "wide":
        return row
    return (
        *row,
        kind_word(workload),
        *_machine(workload),
        str(status.run or ""),
        str(status.pid or ""),
        status.address,
        network_word(workload),
        str(workload.uid),
        workload.image_digest[:19],
        ",".join(f"{key}={value}" for key, value in sorted(workload.labels.items())),
        status.message,
    )


def _machine(workload: Any) -> tuple[str, str, str]:
    """The cells of the machine that a microVM has to itself; empty of a container."""
    if not workload.HasField("micro_vm"):
        return "", "", ""
    vm = workload.micro_vm
    return str(vm.vcpus), f"{vm.memory_mib} MiB", workload.status.accelerator.upper()
