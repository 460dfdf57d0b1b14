"""health.cost: what capsuled alone costs while it looks at 50 containers every 10 s by a command inside."""

import time
from pathlib import Path

from bench.client import Client, sleeper
from bench.idle import CONTAINERS, SETTLE_S, cpu_percent
from bench.report import Row, row
from capsule.v1 import workload_pb2 as pb
from tests.support.daemon import daemon

EVERY_MS = 10_000


def _checked(name: str) -> pb.Workload:
    workload = sleeper(name)
    workload.container.health.CopyFrom(pb.HealthCheck(exec=["true"], interval_ms=EVERY_MS))
    return workload


def rows(directory: Path) -> list[Row]:
    """The same containers twice, in one life of the daemon: without a check, and with one."""
    names = [f"health-{number:02}" for number in range(CONTAINERS)]
    with daemon() as machine:
        machine.push_image()
        assert machine.process is not None
        pid = machine.process.pid
        with Client(machine.state / "capsule.sock") as client:
            client.run([sleeper(name) for name in names])
            time.sleep(SETTLE_S)
            idle = cpu_percent(pid)
            client.delete(names)
            client.run([_checked(name) for name in names])
            time.sleep(SETTLE_S + EVERY_MS / 1_000)
            looking = cpu_percent(pid)
            found = client.workloads.List(pb.WorkloadListRequest()).workloads
            assert all(one.status.health == "healthy" for one in found) and len(found) == CONTAINERS
    note = f"{CONTAINERS} exec checks every {EVERY_MS // 1_000} s, the daemon alone"
    return [row("health.cost", looking, "% of core", "idle", idle, "", note)]
