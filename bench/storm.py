"""storm: 100 containers applied, changed and deleted by `capsulectl`, against the same by podman one after another."""

import time
from pathlib import Path

from bench.peers import IMAGE, Podman, fresh, podman
from bench.report import Row, row
from tests.support.daemon import Daemon, daemon, manifest
from tools.demo_image import archive

COUNT = 100
PODS = 25
"""podman takes them one after another, so the hundred are counted from these; it only gets slower with more of them."""

CHANGED = ("sleep", "2000000")


def rows(directory: Path) -> list[Row]:
    """Once each: it is long enough to be steady."""
    image = directory / "demo.tar"
    image.write_bytes(archive(IMAGE))
    names = [fresh("storm") for _ in range(COUNT)]
    with daemon() as machine, podman(directory, image) as pod:
        machine.good("image", "push", str(image))
        began = time.perf_counter()
        applied, changed, deleted = ours(machine, directory, names)
        ours_s = time.perf_counter() - began
        pods_s = theirs(pod, names[:PODS]) * COUNT / PODS
    note = f"{COUNT} containers: applied in {applied:.1f} s, changed in {changed:.1f}, deleted in {deleted:.1f}"
    return [row("storm", ours_s, "s", "podman, in turn", pods_s, "<=0.5", note)]


def theirs(pod: Podman, names: list[str]) -> float:
    """Seconds for all three."""
    began = time.perf_counter()
    for name in names:
        pod.run(name)
    for name in names:
        pod.replace(name, CHANGED)
    for name in names:
        pod.remove(name)
    return time.perf_counter() - began


def ours(machine: Daemon, directory: Path, names: list[str]) -> tuple[float, float, float]:
    """Seconds for each of the three."""
    seconds = []
    for command in (("sleep", "1000000"), CHANGED):
        file = directory / f"{command[1]}.yaml"
        texts = (manifest(name, "", command=command, stopGraceSeconds=0, restart="NEVER") for name in names)
        file.write_text("\n---\n".join(texts))
        began = time.perf_counter()
        machine.good("apply", "-f", str(file), "--wait", "--timeout", "300")
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    machine.good("delete", *names, "--yes")
    return seconds[0], seconds[1], time.perf_counter() - began
