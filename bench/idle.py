"""idle: what capsuled alone costs while 50 containers run and nobody asks anything."""

import time
from pathlib import Path

from bench.client import Client, sleeper
from bench.report import Row, row
from tests.support.daemon import daemon

CONTAINERS = 50
SETTLE_S = 15
WATCH_S = 60
CPU_PERCENT = 0.3
RSS_MIB = 110


def cpu_ns(pid: int) -> int:
    """Processor time of all its threads."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in Path(f"/proc/{pid}/task").iterdir())


def _rss_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def cpu_percent(pid: int) -> float:
    """Of a core, over a minute."""
    before, begun = cpu_ns(pid), time.perf_counter()
    time.sleep(WATCH_S)
    return (cpu_ns(pid) - before) / (time.perf_counter() - begun) / 1e7


def rows(directory: Path) -> list[Row]:
    """Processor and memory, against the limits that a homelab machine can bear."""
    with daemon() as machine:
        machine.push_image()
        with Client(machine.state / "capsule.sock") as client:
            client.run([sleeper(f"idle-{number:02}") for number in range(CONTAINERS)])
        assert machine.process is not None
        pid = machine.process.pid
        time.sleep(SETTLE_S)
        percent = cpu_percent(pid)
        rss = _rss_mib(pid)
    return [
        row("idle.cpu", percent, "% of core", "limit", CPU_PERCENT, "<=1.0", f"{CONTAINERS} containers, {WATCH_S} s"),
        row("idle.rss", rss, "MiB", "limit", RSS_MIB, "<=1.0", f"{CONTAINERS} containers"),
    ]
