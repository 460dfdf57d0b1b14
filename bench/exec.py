"""exec.true: `true` in a running container. For a connected client against `ctr task exec` (a whole process, but one
that starts in milliseconds), and as a whole process against `podman exec`."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench.client import Client, sleeper
from bench.peers import IMAGE, Ctr, fresh, podman
from bench.report import Row, in_turn, row
from capsuled.layout import hosted
from effects.containerd.config import paths_under
from tests.support.daemon import CTL, daemon
from tools.demo_image import archive

ROUNDS = 25


def _timed(step: Callable[[], object]) -> float:
    begun = time.perf_counter()
    step()
    return (time.perf_counter() - begun) * 1e3


def rows(directory: Path) -> list[Row]:
    """Both."""
    image = directory / "demo.tar"
    image.write_bytes(archive(IMAGE))
    with daemon() as machine, Client(machine.state / "capsule.sock") as client, podman(directory, image) as pod:
        machine.good("image", "push", str(image))
        layout = hosted(machine.state)
        ctr = Ctr(paths_under(layout.containerd, layout.run).address)
        ctr.import_image(image)
        name = fresh("inside")
        client.run([sleeper(name)])
        ctr.run([name])
        pod.run(name)

        def whole() -> None:
            subprocess.run([CTL, "exec", name, "true"], env=machine.environment, check=True)

        measures: tuple[Callable[[], float], ...] = (
            lambda: _timed(lambda: client.execute(name, "true")),
            lambda: _timed(lambda: ctr.execute(name, "true")),
            lambda: _timed(whole),
            lambda: _timed(lambda: pod.execute(name, "true")),
        )
        for warm in measures:
            warm()
        connected, ctr_ms, process, pod_ms = in_turn(ROUNDS, *measures)
        ctr.remove([name])
    return [
        row("exec.true", connected, "ms", "ctr task exec", ctr_ms, "<=1.3", "a connected client"),
        row("exec.true.process", process, "ms", "podman exec", pod_ms, "<=1.5", "overlay, runc, cgroupfs"),
    ]
