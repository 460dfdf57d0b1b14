"""container.start: from Apply to a process that exists, for a connected client, against `ctr run -d` and podman's."""

import time
from collections.abc import Callable
from pathlib import Path

from bench.client import Client, sleeper
from bench.peers import IMAGE, Ctr, fresh, podman
from bench.report import Row, in_turn, row
from capsuled.layout import hosted
from effects.containerd.config import paths_under
from tests.support.daemon import daemon
from tools.demo_image import archive

ROUNDS = 9
MANY = 32
ROUNDS_OF_MANY = 3


def _timed(step: Callable[[], None], undo: Callable[[], None]) -> float:
    """Milliseconds of `step`; `undo` is not counted."""
    begun = time.perf_counter()
    step()
    milliseconds = (time.perf_counter() - begun) * 1e3
    undo()
    return milliseconds


def rows(directory: Path) -> list[Row]:
    """One, and 32 at once."""
    image = directory / "demo.tar"
    image.write_bytes(archive(IMAGE))
    with daemon() as machine, Client(machine.state / "capsule.sock") as client, podman(directory, image) as pod:
        machine.good("image", "push", str(image))
        layout = hosted(machine.state)
        ctr = Ctr(paths_under(layout.containerd, layout.run).address)
        ctr.import_image(image)

        def ours(count: int) -> float:
            names = [fresh("ours") for _ in range(count)]
            return _timed(lambda: client.run([sleeper(name) for name in names]), lambda: client.delete(names)) / count

        def theirs(count: int, *options: str) -> float:
            names = [fresh("ctr") for _ in range(count)]
            return _timed(lambda: ctr.run(names, *options), lambda: ctr.remove(names)) / count

        def pods() -> float:
            name = fresh("pod")
            return _timed(lambda: pod.run(name), lambda: pod.remove(name))

        ours(1)
        theirs(1)
        pods()
        one, ctr_one, confined, pod_one = in_turn(
            ROUNDS, lambda: ours(1), lambda: theirs(1), lambda: theirs(1, "--seccomp"), pods
        )
        many, ctr_many = in_turn(ROUNDS_OF_MANY, lambda: ours(MANY), lambda: theirs(MANY))
    return [
        row("container.start", one, "ms", "ctr run -d", ctr_one, "<=1.25"),
        row(
            "container.start",
            one,
            "ms",
            "ctr run -d --seccomp",
            confined,
            "",
            "with a filter of system calls, as ours has",
        ),
        row("container.start", one, "ms", "podman run -d", pod_one, "<=0.8", "overlay, runc, cgroupfs, no network"),
        row("container.start.32", many, "ms", "ctr run -d, 32 at once", ctr_many, "<=1.2", "per container"),
    ]
