"""`capsulectl capsule info`."""

import shutil
import time
from typing import Annotated

from cyclopts import Parameter

from capsule.v1 import capsule_pb2 as pb
from capsulectl.boot_chart import chart
from capsulectl.connection import Connection
from capsulectl.errors import Failure
from capsulectl.options import COMMON, Common, Output
from capsulectl.render import plain, printable, say, write
from projections.words import bytes_text

Boot = Annotated[bool, Parameter(name="--boot", negative="", help="Show what each part of the boot took instead.")]


def info(*, boot: Boot = False, output: Output = "table", common: Common = COMMON) -> None:
    """Show the machine: versions, sizes, and the condition the daemon is in.

    Example: capsulectl capsule info -o json
    """
    connection = Connection(common.capsule)
    answer = connection.read(connection.capsule.GetInfo, pb.GetInfoRequest())
    if output in ("json", "yaml"):
        write(plain(answer), output)
    elif output == "name":
        print(answer.short_id)
    elif boot:
        _print_boot(answer)
    else:
        _print(answer)
    for warning in answer.warnings:
        say(f"warning: {warning}")
    if answer.condition != "ok":
        say(f"{answer.condition}: {answer.condition_message}")


def _print_boot(answer: pb.GetInfoResponse) -> None:
    if not answer.boot_stages:
        raise Failure("this capsule runs hosted: the host's boot is its own")
    print("\n".join(chart(answer.boot_stages, answer.boot_ready_ms, shutil.get_terminal_size().columns)))


def _print(answer: pb.GetInfoResponse) -> None:
    lines = (*_capsule(answer), *_reached(answer), *_machine(answer), *_kept(answer))
    width = max(len(name) for name, _ in lines) + 2
    print("\n".join(f"{name + ':':<{width}}{printable(value)}" for name, value in lines if value))


NOT_UP = "not up (`capsulectl capsule logs` tells, if it stays so)"

Lines = tuple[tuple[str, str], ...]
"""Names and values; an empty value is left out."""


def _capsule(answer: pb.GetInfoResponse) -> Lines:
    """What it is, and what there is."""
    before = f", before it {answer.last_version}" if answer.last_version else ""
    slots = f"{answer.active_slot}{before}" if answer.active_slot else ""
    pending = f"{answer.pending_slot}, to be confirmed {_until(answer)}" if answer.pending_slot else ""
    return (
        ("Capsule", f"{answer.short_id} ({answer.capsule_id})"),
        ("Condition", answer.condition),
        ("Version", f"{answer.capsule_version}, {answer.mode}, containerd {answer.containerd_version or NOT_UP}"),
        ("Slot", slots),
        ("Pending", pending),
        ("Not here", "; ".join(answer.absent)),
        ("Workloads", _workloads(answer.objects) if answer.HasField("objects") else "not known"),
        ("Volumes", _volumes(answer)),
        ("Images", str(answer.objects.images or "none") if answer.HasField("objects") else ""),
    )


def _workloads(objects: pb.ObjectCounts) -> str:
    words = (
        (objects.running, "running"),
        (objects.pending, "pending"),
        (objects.failed, "failed"),
        (objects.stopped, "stopped"),
    )
    return ", ".join(f"{number} {word}" for number, word in words if number) or "none"


def _volumes(answer: pb.GetInfoResponse) -> str:
    number = str(answer.objects.volumes or "none") if answer.HasField("objects") else ""
    used, total = answer.thinpool_used_bytes, answer.thinpool_total_bytes
    pool = f"{bytes_text(used)} of {bytes_text(total)} in use in the thin pool" if total else ""
    return ", ".join(part for part in (number, pool) if part)


def _until(answer: pb.GetInfoResponse) -> str:
    seconds = max(0, answer.pending_deadline_unix - answer.local_time_unix)
    return f"within {seconds // 60} min {seconds % 60} s"


def _reached(answer: pb.GetInfoResponse) -> Lines:
    """Where, and by whom."""
    minutes = -(-answer.claimable_seconds // 60)
    claim = f", can be adopted for {minutes} min" if minutes and answer.addresses else ""
    return (
        ("Address", (", ".join(answer.addresses) or "its socket alone") + claim),
        ("Metrics", answer.metrics),
        ("TLS", answer.tls_fingerprint_sha256),
        ("Network", f"{answer.bridge}, {answer.subnet}" if answer.bridge else answer.subnet),
    )


def _machine(answer: pb.GetInfoResponse) -> Lines:
    """What is under it."""
    used = answer.memory_total_bytes - answer.memory_available_bytes
    groups = f", control groups v{answer.cgroup_version}" if answer.cgroup_version else ""
    return (
        ("Host", f"{answer.hostname}, Linux {answer.kernel_release} {answer.architecture}{groups}"),
        ("Kernel", answer.kernel_version),
        ("Processor", f"{answer.cpu_cores} × {answer.cpu_model}, load {answer.load_1:.2f}"),
        ("Memory", f"{bytes_text(used)} of {bytes_text(answer.memory_total_bytes)} in use"),
        ("Disk", f"{answer.boot_disk}, {bytes_text(answer.disk_total_bytes)}" if answer.boot_disk else ""),
        ("MicroVMs", _microvms(answer)),
    )


def _microvms(answer: pb.GetInfoResponse) -> str:
    """What runs them; of a capsule that is older than they are, nothing."""
    if not answer.microvm_backend:
        return f"none: {answer.microvm_lacks}" if answer.microvm_lacks else ""
    if not answer.microvm_accelerator:
        return f"{answer.microvm_backend}; the first one after a boot finds out whether KVM can be used"
    return f"{answer.microvm_backend} with {answer.microvm_accelerator.upper()}"


def _kept(answer: pb.GetInfoResponse) -> Lines:
    """Since when, and what it remembers."""
    daemon = f", the daemon since {moment_text(answer.started_at_unix)}" if answer.started_at_unix else ""
    size = f", {bytes_text(answer.journal_size_bytes)}" if answer.journal_size_bytes else ""
    return (
        ("State", f"{bytes_text(answer.perm_used_bytes)} of {bytes_text(answer.perm_total_bytes)} in use on its disk"),
        ("Up", f"{answer.uptime_seconds // 3600} h {answer.uptime_seconds % 3600 // 60} min{daemon}"),
        ("Boot", answer.boot_id),
        ("Time", moment_text(answer.local_time_unix)),
        ("Journal", f"entry {answer.journal_seq}, head {answer.journal_head[:16]}{size}"),
    )


def moment_text(at_s: int) -> str:
    """A wall time, in the operator's own time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at_s))
