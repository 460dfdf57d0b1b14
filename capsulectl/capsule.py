"""`capsulectl capsule info`."""

import time

from capsule.v1 import capsule_pb2 as pb
from capsulectl.connection import Connection
from capsulectl.contexts import remember_head
from capsulectl.options import COMMON, Common, Output
from capsulectl.render import plain, say, write
from projections.words import bytes_text


def info(*, output: Output = "table", common: Common = COMMON) -> None:
    """Show the machine: versions, sizes, and the condition the daemon is in.

    Example: capsulectl capsule info -o json
    """
    connection = Connection(common.capsule)
    answer = connection.call(connection.capsule.GetInfo, pb.GetInfoRequest())
    if answer.journal_seq:
        remember_head(answer.capsule_id, answer.journal_seq, answer.journal_head)
    if output in ("json", "yaml"):
        write(plain(answer), output)
    elif output == "name":
        print(answer.short_id)
    else:
        _print(answer)
    for warning in answer.warnings:
        say(f"warning: {warning}")
    if answer.condition != "ok":
        say(f"{answer.condition}: {answer.condition_message}")


def _print(answer: pb.GetInfoResponse) -> None:
    used = answer.memory_total_bytes - answer.memory_available_bytes
    minutes = -(-answer.claimable_seconds // 60)
    claim = f", can be adopted for {minutes} min" if minutes and answer.addresses else ""
    lines = (
        ("Capsule", f"{answer.short_id} ({answer.capsule_id})"),
        ("Condition", answer.condition),
        ("Version", f"{answer.capsule_version}, {answer.mode}, containerd {answer.containerd_version or 'not up yet'}"),
        ("Address", (", ".join(answer.addresses) or "its socket alone") + claim),
        ("Metrics", answer.metrics),
        ("TLS", answer.tls_fingerprint_sha256),
        ("Host", f"{answer.hostname}, Linux {answer.kernel_release} {answer.architecture}"),
        ("Processor", f"{answer.cpu_cores} × {answer.cpu_model}"),
        ("Memory", f"{bytes_text(used)} of {bytes_text(answer.memory_total_bytes)} in use"),
        ("State", f"{bytes_text(answer.perm_used_bytes)} of {bytes_text(answer.perm_total_bytes)} in use on its disk"),
        ("Up", f"{answer.uptime_seconds // 3600} h {answer.uptime_seconds % 3600 // 60} min"),
        ("Time", time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(answer.local_time_unix))),
        ("Journal", f"entry {answer.journal_seq}, head {answer.journal_head[:16]}"),
    )
    print("\n".join(f"{name + ':':<11}{value}" for name, value in lines if value))
