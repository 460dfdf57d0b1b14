"""cli: whole processes. `capsulectl list` against a bare Python with the same call, `apply` against podman."""

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.client import Client, sleeper
from bench.peers import IMAGE, fresh, podman
from bench.report import Row, in_turn, row
from tests.support.daemon import CTL, daemon, manifest
from tools.demo_image import archive

ROUNDS = 15

BARE = """
import sys
import grpc
from capsule.v1 import workload_pb2, workload_pb2_grpc
channel = grpc.insecure_channel(sys.argv[1], options=[("grpc.default_authority", "localhost")])
answer = workload_pb2_grpc.WorkloadServiceStub(channel).List(workload_pb2.WorkloadListRequest())
for workload in answer.workloads:
    print(workload.name, workload.status.phase)
"""


def rows(directory: Path) -> list[Row]:
    """Both."""
    image = directory / "demo.tar"
    image.write_bytes(archive(IMAGE))
    with daemon() as machine, podman(directory, image) as pod, Client(machine.state / "capsule.sock") as client:
        machine.good("image", "push", str(image))
        client.run([sleeper(f"service-{number}") for number in range(5)])

        def whole(command: Sequence[str | Path]) -> float:
            begun = time.perf_counter()
            subprocess.run(command, env=machine.environment, stdout=subprocess.DEVNULL, check=True)
            return (time.perf_counter() - begun) * 1e3

        def apply() -> float:
            name = fresh("applied")
            file = directory / f"{name}.json"
            file.write_text(manifest(name, "exec sleep 1000000", stopGraceSeconds=0, restart="NEVER"))
            begun = time.perf_counter()
            whole([CTL, "apply", "-f", file])
            client.until_it_runs(name)  # --wait is for a run that lasts, which podman does not wait for
            milliseconds = (time.perf_counter() - begun) * 1e3
            machine.good("delete", name, "--yes")
            return milliseconds

        def run() -> float:
            name = fresh("pod")
            milliseconds = whole(pod.command(name))
            pod.remove(name)
            return milliseconds

        bare_command: list[str | Path] = [sys.executable, "-c", BARE, machine.environment["CAPSULE_HOST"]]
        for warm in ([CTL, "list"], bare_command):
            whole(warm)
        apply()
        run()
        listed, bare = in_turn(ROUNDS, lambda: whole([CTL, "list"]), lambda: whole(bare_command))
        applied, ran = in_turn(ROUNDS, apply, run)
    return [
        row("cli.list", listed, "ms", "bare Python process", bare, "<=1.5", "five workloads"),
        row("cli.apply", applied, "ms", "podman run -d", ran, "<=1.8", "apply, to a process that exists"),
    ]
