"""image, boot, pid1, idle.wakeups: the built disk, how long it takes until it answers, and what it takes then."""

import re
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.report import Row, row
from tests.support.booted import ROOT, Booted

WARM_S, COLD_S = 30, 300
WHOLE_MIB, BARE_MIB = 400, 250
MEMORY_MIB, OURS_MIB, PID_1_MIB = 280, 125, 12
BOOTS = 3
WATCH_S = 60
KERNEL = "kernel and initramfs"

_SWITCHES = "awk '/ctxt_switches/ {n += $2} END {print n}' /proc/%s/task/*/status"
_LOOK = f"""
daemon=$(cat /perm/capsuled.pid); runtime=$(pidof containerd)
awk '/^VmRSS/ {{print $2}}' /proc/1/status
awk '/^Pss:/ {{n += $2}} END {{print n}}' /proc/1/smaps_rollup /proc/$daemon/smaps_rollup
look() {{ {_SWITCHES % 1}; {_SWITCHES % "$daemon"}; {_SWITCHES % "$runtime"}; }}
look; sleep {WATCH_S}; look
"""


def rows(directory: Path) -> list[Row]:
    """Building first, then what was built is booted."""
    found, disk = _built(directory)
    machine = Booted(directory, disk)
    machine.switch_on()
    try:
        machine.adopt()
        return [*found, *_ready([machine.data("capsule", "info")], "the first"), *_booted(machine)]
    finally:
        machine.pull_the_plug()


def _built(directory: Path) -> tuple[list[Row], Path]:
    cold_s, whole_mib = _build(directory)
    warm_s, _ = _build(directory)
    disk = (directory / "out/disk.raw").rename(directory / "built.raw")
    _, bare_mib = _build(directory, "--without-microvms")
    return [
        row("image.build", cold_s, "s", "limit", COLD_S, "<=1.0", "cold, packages from the archive's mirror"),
        row("image.build", warm_s, "s", "limit", WARM_S, "<=1.0", "warm, as after a change of Python code"),
        row("image.size", whole_mib, "MiB", "limit", WHOLE_MIB, "<=1.0", "with microVMs, without firmware"),
        row("image.size", bare_mib, "MiB", "limit", BARE_MIB, "<=1.0", "without microVMs"),
    ], disk


def _build(directory: Path, *options: str) -> tuple[float, float]:
    """Seconds, and MiB of the root image."""
    places = ("--cache", str(directory / "cache"), "--out", str(directory / "out"))
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "image", *places, *options], cwd=ROOT, check=True, capture_output=True, text=True
    )
    took_s = time.perf_counter() - begun
    size = re.search(r"root image ([0-9.]+) MiB", done.stdout)
    assert size is not None, done.stdout
    return took_s, float(size[1])


def _booted(machine: Booted) -> list[Row]:
    boots = [_boot(machine) for _ in range(BOOTS)]
    info = boots[-1]
    used_mib = (int(info["memoryTotalBytes"]) - int(info["memoryAvailableBytes"])) / (1 << 20)
    rss_kib, ours_kib, *switches = map(int, machine.inside(_LOOK, timeout=WATCH_S + 120).split())
    counted = zip(switches[:3], switches[3:], strict=True)
    init, daemon, runtime = ((after - before) / WATCH_S for before, after in counted)
    return [
        *_ready(boots, f"the median of {BOOTS} later ones"),
        row("boot.memory", used_mib, "MiB", "limit", MEMORY_MIB, "<=1.0", "MemTotal less MemAvailable, no workload"),
        row("boot.memory", ours_kib / 1_024, "MiB", "limit", OURS_MIB, "<=1.0", "capsuled and init (Pss)"),
        row("pid1.rss", rss_kib / 1_024, "MiB", "limit", PID_1_MIB, "<=1.0"),
        row("idle.wakeups", init, "/s", "containerd", runtime, note="init: context switches, no workload, 60 s"),
        row("idle.wakeups", daemon, "/s", "containerd", runtime, note="capsuled: the same"),
    ]


def _ready(boots: list[dict[str, Any]], which: str) -> list[Row]:
    """From PID 1's start to the API's answer."""
    ready = statistics.median(one["bootReadyMs"] - _kernel_ms(one) for one in boots) / 1_000
    kernel = statistics.median(map(_kernel_ms, boots)) / 1_000
    return [row("boot.ready", ready, "s", KERNEL, kernel, "<=2.5", f"{which}: {_longest(boots)}")]


def _boot(machine: Booted) -> dict[str, Any]:
    """Start it anew; what it says of itself when it is up."""
    machine.good("capsule", "reboot", "--yes", "--timeout", "600", timeout=700)
    machine.until(machine.is_up, "the boot is complete")
    found: dict[str, Any] = machine.data("capsule", "info")
    return found


def _kernel_ms(info: dict[str, Any]) -> int:
    return next(int(one["tookMs"]) for one in info["bootStages"] if one["name"] == KERNEL)


def _longest(boots: list[dict[str, Any]]) -> str:
    """The stages in front of the API's answer that took longest."""
    taken: dict[str, list[int]] = {}
    for info in boots:
        for one in info["bootStages"]:
            if one["name"] != KERNEL and int(one.get("beganMs", 0)) < info["bootReadyMs"]:
                taken.setdefault(one["name"], []).append(int(one.get("tookMs", 0)))
    medians = sorted(((statistics.median(times), name) for name, times in taken.items()), reverse=True)
    return ", ".join(f"{name} {took / 1_000:.1f}" for took, name in medians[:4])
