"""stats.100: what 100 workloads use, by a connected client's call, against a bare loop over the same files."""

import os
import time
from pathlib import Path

from bench.client import Client, sleeper
from bench.report import Row, in_turn, row
from capsule.v1 import stats_pb2 as pb
from capsule.v1 import stats_pb2_grpc
from capsuled.host import cgroup_parent
from capsuled.identity import load_or_make_id
from capsuled.layout import hosted
from effects.runs.cgroups import ROOT, is_unified
from tests.support.daemon import Daemon, daemon

WORKLOADS = 100
ROUNDS = 15
REPEATS = 5
_UNIFIED = ("cpu.stat", "memory.current", "memory.stat", "memory.max", "pids.current", "pids.max", "io.stat")
_SPLIT = (
    "cpuacct/cpuacct.usage", "cpu/cpu.stat", "memory/memory.usage_in_bytes", "memory/memory.stat",
    "memory/memory.limit_in_bytes", "pids/pids.current", "pids/pids.max",
)  # fmt: skip


def _files(machine: Daemon) -> list[str]:
    """Those that the daemon reads, of every group."""
    parent = cgroup_parent(load_or_make_id(hosted(machine.state).identity))
    if is_unified():
        groups = sorted(one for one in (ROOT / parent.lstrip("/")).iterdir() if one.is_dir())
        return [str(group / name) for group in groups for name in _UNIFIED]
    names = sorted(one.name for one in Path(f"{ROOT}/memory{parent}").iterdir() if one.is_dir())
    parts = [name.partition("/")[::2] for name in _SPLIT]
    return [f"{ROOT}/{controller}{parent}/{name}/{file}" for name in names for controller, file in parts]


def rows(directory: Path) -> list[Row]:
    """In turn, on the same machine."""
    with daemon() as machine:
        machine.push_image()
        with Client(machine.state / "capsule.sock") as client:
            client.run([sleeper(f"stats-{number:03}") for number in range(WORKLOADS)])
            stub, files = stats_pb2_grpc.StatsServiceStub(client.channel), _files(machine)
            assert len(files) == WORKLOADS * len(_UNIFIED if is_unified() else _SPLIT)

            def ours() -> float:
                begun = time.perf_counter()
                for _ in range(REPEATS):
                    asked_ns = time.time_ns()
                    answer = stub.Sample(pb.StatsSampleRequest())
                    assert answer.at_unix_ns >= asked_ns, "it was looked at for this call"
                milliseconds = (time.perf_counter() - begun) * 1e3 / REPEATS
                assert len(answer.workloads) == WORKLOADS and all(one.cpu.total_ns for one in answer.workloads)
                return milliseconds

            def bare() -> float:
                begun = time.perf_counter()
                for _ in range(REPEATS):
                    for path in files:
                        fd = os.open(path, os.O_RDONLY)
                        os.read(fd, 65_536)
                        os.close(fd)
                return (time.perf_counter() - begun) * 1e3 / REPEATS

            sampled, read = in_turn(ROUNDS, ours, bare)
    note = f"{WORKLOADS} workloads, {len(files)} files"
    return [row("stats.100", sampled, "ms", "bare loop over the files", read, "<=2.0", note)]
