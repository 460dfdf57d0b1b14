"""cp.to, cp.from: 1 GiB in one file, and 20,000 small files in 100 directories, as whole processes against `podman cp`.

Each has a running container of the same image. What was copied in the last round is removed before the clock starts,
and nothing is synced by either.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench.client import Client, sleeper
from bench.peers import IMAGE, fresh, podman
from bench.report import Row, in_turn, row
from tests.support.daemon import CTL, daemon
from tools.demo_image import archive

ROUNDS = 5
LARGE_MIB = 1024
DIRECTORIES, FILES, FILE_BYTES = 100, 200, 1_000


def rows(directory: Path) -> list[Row]:
    """Both sizes, both directions."""
    image = directory / "demo.tar"
    image.write_bytes(archive(IMAGE))
    sources = {"1g": _large(directory / "large"), "20k": _small(directory / "small")}
    with daemon() as machine, Client(machine.state / "capsule.sock") as client, podman(directory, image) as pod:
        machine.good("image", "push", str(image))
        name = fresh("copied")
        client.run([sleeper(name)])
        pod.run(name)

        def ours(source: str, target: str) -> None:
            subprocess.run([CTL, "cp", "-q", source, target], env=machine.environment, check=True)

        def clear() -> None:
            client.execute(name, "rm", "-rf", "/there")
            pod.execute(name, "rm", "-rf", "/there")
            shutil.rmtree(directory / "back", ignore_errors=True)
            (directory / "back").mkdir()

        found = []
        for size, source in sources.items():
            inside, kept, back = f"{name}:/there", f"{name}:/kept-{size}", str(directory / "back" / "x")

            def both(source: str, target: str) -> tuple[float, float]:
                mine, theirs = in_turn(
                    ROUNDS,
                    lambda: _timed(clear, lambda: ours(source, target)),
                    lambda: _timed(clear, lambda: pod.copy(source, target)),
                )
                return mine, theirs

            note = f"{LARGE_MIB} MiB in a file" if size == "1g" else f"{DIRECTORIES * FILES:,} files of {FILE_BYTES} B"
            found.append(row(f"cp.to.{size}", *_against(both(str(source), inside)), note))
            for copy in (ours, pod.copy):
                copy(str(source), kept)
            found.append(row(f"cp.from.{size}", *_against(both(kept, back)), note))
    return found


def _against(measured: tuple[float, float]) -> tuple[float, str, str, float, str]:
    """What a row has between its name and its note."""
    mine, theirs = measured
    return mine, "ms", "podman cp", theirs, "<=1.0"


def _timed(before: Callable[[], object], step: Callable[[], object]) -> float:
    before()
    begun = time.perf_counter()
    step()
    return (time.perf_counter() - begun) * 1e3


def _large(path: Path) -> Path:
    with path.open("wb") as file:
        for _ in range(LARGE_MIB):
            file.write(os.urandom(1 << 20))
    return path


def _small(path: Path) -> Path:
    for number in range(DIRECTORIES):
        below = path / f"d{number}"
        below.mkdir(parents=True)
        for one in range(FILES):
            (below / f"f{one}").write_bytes(os.urandom(FILE_BYTES))
    return path
