"""call.mutating and cli.list.tls: what identity costs beyond the wire and the disk.

A mutating call over TLS with its token, against a "null" call (the same message over TLS to a server that does nothing)
and then one commit of the same entry: in this rhythm, for a disk and a processor that are asked again and again without
a pause answer sooner than they answer anybody's call. And `capsulectl list` over TLS as a whole process, against a bare
Python process that makes the same signed call.
"""

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from bench.report import Row, in_turn, row
from capsule.v1 import workload_pb2 as pb
from capsule.v1.workload_pb2_grpc import WorkloadServiceStub
from capsulectl.operator_key import OperatorKey, load
from capsulectl.secure import secure_channel
from capsuled.tls import Certificate, load_or_make_certificate
from journal.clock import SystemClock
from journal.entry import Actor
from journal.environment import Environment
from journal.events import CallAccepted
from journal.sequencer import Draft
from journal.writer import Journal
from tests.support.daemon import Daemon, daemon
from tests.support.operators import Operator

CALLS = 300
ROUNDS = 7
PROCESSES = 15


def rows(directory: Path) -> list[Row]:
    """Both figures, on one daemon."""
    with daemon(start=False) as machine:
        machine.start("--listen", "127.0.0.1:0")
        address = machine.data("capsule", "info")["addresses"][0]
        operator = Operator(directory / "config")
        operator.good("adopt", address, "--yes", "--name", "bench")
        return [_mutating(machine.scratch, operator), _list(operator, machine)]


# --- call.mutating -----------------------------------------------------------------------------------------------


def _mutating(directory: Path, operator: Operator) -> Row:
    os.environ["CAPSULE_CONFIG_DIR"] = str(operator.config)
    from capsulectl.contexts import target

    found = target("bench")
    ours = secure_channel(found, [])
    certificate = load_or_make_certificate(directory / "null.pem", found.capsule_id)
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.null_server", str(directory / "null.pem")], stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    null = _null_channel(f"127.0.0.1:{server.stdout.readline().strip()}", certificate)
    try:
        # The journal stays open, as the daemon's does: a new one's blocks are still on their way to the disk.
        with asyncio.Runner() as runner:
            journal = runner.run(_opened(directory / "journal"))
            draft = _entry(load(Path(found.key_path)))
            parts: list[tuple[float, float]] = []
            measures: list[Callable[[], float]] = [
                lambda: _p50_us(ours),
                lambda: runner.run(_null_and_commit_p50_us(null, journal, draft, parts)),
            ]
            for measure in measures:
                measure()
            parts.clear()
            call_us, peer_us = in_turn(ROUNDS, *measures)
            runner.run(journal.close())
    finally:
        null.close()
        ours.close()
        server.terminate()
        server.wait()
    null_us, commit_us = (statistics.median(part) * 1e6 for part in zip(*parts, strict=True))
    note = f"null {null_us:.0f} µs + commit {commit_us:.0f} µs"
    return row("call.mutating", call_us, "µs p50", "null + commit", peer_us, "<=1.5", note)


def _null_channel(address: str, certificate: Certificate) -> grpc.Channel:
    return grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(certificate.certificate_pem),
        options=[("grpc.ssl_target_name_override", "capsule")],
    )


def _p50_us(channel: grpc.Channel) -> float:
    delete = _delete(channel)
    taken = []
    for _ in range(CALLS):
        began = time.perf_counter()
        delete()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1e6


def _delete(channel: grpc.Channel) -> Callable[[], Any]:
    """A delete of what is not there: a mutating call that is accepted, and exactly one entry."""
    delete: Any = WorkloadServiceStub(channel).Delete
    request = pb.WorkloadDeleteRequest(name="nobody")
    return lambda: delete(request)


async def _opened(directory: Path) -> Journal:
    return Journal(Environment(directory), SystemClock())


def _entry(key: OperatorKey) -> Draft:
    """What such a call leaves."""
    event = CallAccepted(
        method="WorkloadService.Delete",
        objects=("nobody",),
        peer="127.0.0.1:50000",
        jti=key.kid[:22],
        token_exp=int(time.time()),
        arguments=(("name", "nobody"),),
        took_us=400,
    )
    return Draft(event, Actor("operator", key.kid, "root@bench", "admin"))


async def _null_and_commit_p50_us(
    null: grpc.Channel, journal: Journal, draft: Draft, parts: list[tuple[float, float]]
) -> float:
    """One after the other: the null call, then append the entry and wait until it is durable. Each pair is added to
    `parts`, in seconds."""
    delete, taken = _delete(null), []
    for _ in range(CALLS):
        began = time.perf_counter()
        delete()
        called = time.perf_counter()
        journal.append([draft])
        await journal.durable(journal.seq)
        taken.append((called - began, time.perf_counter() - called))
    parts.extend(taken)
    return statistics.median(map(sum, taken)) * 1e6


# --- cli.list.tls ------------------------------------------------------------------------------------------------

BARE = """
import base64, json, os, sys, time, hashlib
import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from capsule.v1 import workload_pb2, workload_pb2_grpc
address, capsule_id, key, pem = sys.argv[1:]
text = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()
lines = open(key).read().splitlines()
private = Ed25519PrivateKey.from_private_bytes(base64.b64decode("".join(lines[1:-1]))[16:])
kid = text(hashlib.sha256(private.public_key().public_bytes_raw()).digest())
now = int(time.time())
claims = {"sub": kid, "aud": capsule_id, "iat": now, "exp": now + 60, "jti": text(os.urandom(16))}
signed = text(json.dumps({"alg": "EdDSA", "typ": "JWT", "kid": kid}).encode()) + "." + text(json.dumps(claims).encode())
token = signed + "." + text(private.sign(signed.encode()))
credentials = grpc.ssl_channel_credentials(open(pem, "rb").read())
channel = grpc.secure_channel(address, credentials, options=[("grpc.ssl_target_name_override", "capsule")])
stub = workload_pb2_grpc.WorkloadServiceStub(channel)
answer = stub.List(workload_pb2.WorkloadListRequest(), metadata=(("authorization", "Bearer " + token),))
print("\\n".join(one.name for one in answer.workloads))
"""


def _list(operator: Operator, machine: Daemon) -> Row:
    context = operator.data("context", "show", "bench")
    (pem,) = (operator.config / "certificates").iterdir()
    bare = [sys.executable, "-c", BARE, context["addr"], context["capsule_id"], context["key_path"], str(pem)]
    ours = [str(Path(sys.executable).parent / "capsulectl"), "list"]
    ours_ms, bare_ms = in_turn(PROCESSES, lambda: _process_ms(ours, operator), lambda: _process_ms(bare, operator))
    return row("cli.list.tls", ours_ms, "ms", "bare Python process", bare_ms, "<=1.5")


def _process_ms(command: list[str], operator: Operator) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=operator.environment, check=True, capture_output=True)
    return (time.perf_counter() - began) * 1e3
