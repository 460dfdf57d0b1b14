"""volume.create against bare truncate, mkfs.ext4 and mount; volume.snapshot of a large volume against a small one's.

The snapshots are taken on a file system that shares blocks (XFS in a file of its own), of volumes that are full of
random bytes; the creation where the daemons of all other figures have their state.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.client import Client
from bench.peers import fresh
from bench.report import Row, in_turn, row
from capsule.v1 import volume_pb2 as pb
from capsule.v1 import volume_pb2_grpc
from capsuled.layout import hosted
from tests.support.daemon import Daemon, daemon

ROUNDS = 15
CREATED_MIB = 1024
LARGE_MIB, SMALL_MIB = 1024, 16
DISK_MIB = 4096
_FULL = 0.9
"""How much of a volume is written: the rest is the file system's own."""


def rows(directory: Path) -> list[Row]:
    """Both figures."""
    return [*_create(directory), _snapshot(directory)]


def _timed(*commands: tuple[str, ...]) -> float:
    begun = time.perf_counter()
    for command in commands:
        subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - begun) * 1e3


def _create(directory: Path) -> list[Row]:
    with daemon() as machine, Client(machine.state / "capsule.sock") as client:
        volumes: Any = volume_pb2_grpc.VolumeServiceStub(client.channel)
        # On the same file system as the daemon's volumes.
        point = machine.scratch / "point"
        point.mkdir()

        def ours() -> float:
            name = fresh("made")
            begun = time.perf_counter()
            volumes.Create(pb.VolumeCreateRequest(name=name, size_mib=CREATED_MIB))
            taken = (time.perf_counter() - begun) * 1e3
            volumes.Delete(pb.VolumeDeleteRequest(name=name))
            return taken

        def bare(mounted: bool) -> float:
            image = machine.scratch / "bare"
            made = ("truncate", "-s", f"{CREATED_MIB}M", str(image)), ("mkfs.ext4", "-q", str(image))
            taken = _timed(*made, *((("mount", "-o", "loop", str(image), str(point)),) if mounted else ()))
            if mounted:
                subprocess.run(["umount", point], check=True)
            image.unlink()
            return taken

        ours()
        bare(True)
        made, peer, unmounted = in_turn(ROUNDS, ours, lambda: bare(True), lambda: bare(False))
    note = f"{CREATED_MIB} MiB; ours is durable when it answers, and is checked and mounted when it is used"
    return [
        row("volume.create", made, "ms", "truncate, mkfs, mount", peer, "<=1.3", note),
        row("volume.create", made, "ms", "truncate, mkfs", unmounted),
    ]


def _snapshot(directory: Path) -> Row:
    with (
        _reflink(directory) as disk, daemon(state=disk / "state") as machine,
        Client(machine.state / "capsule.sock") as client,
    ):  # fmt: skip
        snapshots: Any = volume_pb2_grpc.SnapshotServiceStub(client.channel)
        for name, size in (("large", LARGE_MIB), ("small", SMALL_MIB)):
            machine.good("volume", "create", name, f"{size}MiB")
            _fill(machine, name, int(size * _FULL))

        def taken(volume: str) -> float:
            label = fresh("snap")
            begun = time.perf_counter()
            answer = snapshots.Take(pb.SnapshotTakeRequest(volume=volume, name=label))
            milliseconds = (time.perf_counter() - begun) * 1e3
            assert answer.method == "reflink", answer
            snapshots.Delete(pb.SnapshotDeleteRequest(volume=volume, name=label))
            return milliseconds

        for name in ("large", "small"):
            taken(name)
        large, small = in_turn(ROUNDS, lambda: taken("large"), lambda: taken("small"))
    note = f"of {LARGE_MIB} MiB against {SMALL_MIB}, both full, on XFS"
    return row("volume.snapshot", large, "ms", "small", small, "<=2", note)


def _fill(machine: Daemon, name: str, mib: int) -> None:
    """Random bytes, put there by hand while nobody uses it."""
    (image,) = (hosted(machine.state).volumes).glob(f"{name}.*.img")
    point = machine.scratch / "point"
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        subprocess.run(
            ["dd", "if=/dev/urandom", f"of={point}/full", "bs=1M", f"count={mib}", "conv=fsync"],
            check=False,
            capture_output=True,
        )
    finally:
        subprocess.run(["umount", point], check=True)


@contextmanager
def _reflink(directory: Path) -> Iterator[Path]:
    image, point = directory / "disk", directory / "disk.mount"
    point.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_MIB << 20)
    subprocess.run(["mkfs.xfs", "-q", "-m", "reflink=1", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", point], check=True)
        shutil.rmtree(point, ignore_errors=True)
