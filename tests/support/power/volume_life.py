"""A life of volumes on a disk: a container that writes and syncs, snapshots, restores, growth, volumes that come and go.

    python -m tests.support.power.volume_life DIRECTORY LEDGER ACKS --seed N --calls N [--plant fsync]

A whole daemon, whose volumes lie on the disk and all else elsewhere. The ledger has, once answered: `line` (the
container wrote and synced it), `made` and `gone` (another volume), `taken` (a snapshot, with at least so many lines),
`back` (the volume again holds at least so many); and before each, unnumbered, that it is under way. `--plant fsync`
makes the container skip its sync.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from random import Random

from tests.support.daemon import Daemon, daemon, manifest
from tests.support.power.ledger import Ledger

NAME = "data"
SIZES_MIB = (16, 24, 32)
SNAPSHOTS_MOST = 2
WRITER = """trap 'exit 0' TERM
n=$(tail -n 1 /data/lines 2>/dev/null || echo 0)
while :; do n=$((n + 1)); echo $n >> /data/lines; {sync} && echo $n; done"""
_WRITES_S = 0.3


class Life:
    """One writer on one volume, and an operator."""

    def __init__(self, capsule: Daemon, ledger: Ledger, random: Random) -> None:
        self._capsule, self._ledger, self._random = capsule, ledger, random
        self._read: dict[Path, int] = {}
        self._lines = 0
        self._size = 0
        self._snapshots: dict[str, int] = {}
        self._others: list[str] = []
        self._count = 0

    def begin(self, sync: str) -> None:
        """The volume, and who writes to it."""
        mounts = [{"volumeName": NAME, "mountPath": "/data"}]
        self._capsule.good("volume", "create", NAME, f"{SIZES_MIB[0]}MiB")
        self._ledger.answered(made=NAME)
        self._capsule.apply(manifest("writer", WRITER.format(sync=sync), mounts=mounts), "--wait")

    def listen(self, seconds: float) -> None:
        """Note what the container says that it has synced."""
        over = time.monotonic() + seconds
        while True:
            self._hear()
            if time.monotonic() > over:
                return
            time.sleep(0.005)

    def _hear(self) -> None:
        runs = (self._capsule.state / "logs" / "writer").glob("*.out")
        for file in sorted(runs, key=lambda path: int(path.stem.split(".")[1])):
            with file.open("rb") as log:
                log.seek(self._read.get(file, 0))
                whole, _, _ = log.read().rpartition(b"\n")
            if whole:
                self._read[file] = self._read.get(file, 0) + len(whole) + 1
                self._lines = int(whole.split()[-1])
                self._ledger.answered(line=self._lines)

    def act(self) -> None:
        """One thing that an operator does, while the container writes or while it is stopped for it."""
        self.listen(self._random.random() * _WRITES_S)
        self._count += 1
        kinds = ("take", "take", "restore", "grow", "make", "drop", "restart", "kill")
        match self._random.choice(kinds):
            case "take" if len(self._snapshots) < SNAPSHOTS_MOST:
                self._take()
            case "restore" if self._snapshots:
                self._restore()
            case "grow" if self._size + 1 < len(SIZES_MIB):
                self._grow()
            case "make" if not self._others:
                self._make()
            case "drop":
                self._drop()
            case "kill":
                self._capsule.kill()
                self._capsule.start()
            case _:
                self._capsule.good("restart", "writer", "--wait")

    def _take(self) -> None:
        label, least = f"s{self._count}", self._lines
        self._capsule.good("volume", "snapshot", NAME, label)
        self._snapshots[label] = least
        self._ledger.answered(taken=label, lines=least)

    def _restore(self) -> None:
        label = self._random.choice(sorted(self._snapshots))
        self._capsule.good("stop", "writer", "--wait")
        self._hear()
        self._ledger.note(begun=self._ledger.count, back=self._snapshots[label])
        self._capsule.good("volume", "restore", NAME, label, "--yes")
        self._lines = self._snapshots[label]
        self._ledger.answered(back=self._lines)
        for one in self._capsule.data("volume", "snapshots", NAME):
            if one.get("safety"):
                self._capsule.good("volume", "snapshot-delete", NAME, one["name"], "--yes")
        self._capsule.good("start", "writer", "--wait")

    def _grow(self) -> None:
        self._size += 1
        self._capsule.good("stop", "writer", "--wait")
        self._hear()
        self._capsule.good("volume", "resize", NAME, f"{SIZES_MIB[self._size]}MiB")
        self._ledger.answered(grown=SIZES_MIB[self._size] << 20)
        self._capsule.good("start", "writer", "--wait")

    def _make(self) -> None:
        name = f"other{self._count}"
        self._capsule.good("volume", "create", name, f"{SIZES_MIB[0]}MiB")
        self._others.append(name)
        self._ledger.answered(made=name)

    def _drop(self) -> None:
        if self._others:
            name = self._others.pop()
            self._ledger.note(begun=self._ledger.count, gone=name)
            self._capsule.good("volume", "delete", name, "--yes")
            self._ledger.answered(gone=name)
        elif self._snapshots:
            label = self._random.choice(sorted(self._snapshots))
            self._ledger.note(begun=self._ledger.count, dropped=label)
            self._capsule.good("volume", "snapshot-delete", NAME, label, "--yes")
            del self._snapshots[label]


def live(directory: Path, ledger: Ledger, seed: int, calls: int, sync: str) -> None:
    """A life of `calls` operations."""
    state = Path(tempfile.mkdtemp(prefix="capsule-power-")) / "state"
    (directory / "volumes").mkdir()
    (state / "volumes").mkdir(parents=True)
    subprocess.run(["mount", "--bind", directory / "volumes", state / "volumes"], check=True)
    try:
        with daemon(state=state) as capsule:
            capsule.push_image()
            life = Life(capsule, ledger, Random(seed))
            life.begin(sync)
            for _ in range(calls):
                life.act()
            life.listen(_WRITES_S)
    finally:
        subprocess.run(["umount", state / "volumes"], check=True)
        subprocess.run(["rm", "-rf", state.parent], check=True)


def _main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("directory", "ledger", "acks"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--calls", type=int, required=True)
    parser.add_argument("--plant", choices=("fsync",))
    arguments = parser.parse_args()
    sync = "true" if arguments.plant else "sync /data/lines"
    live(arguments.directory, Ledger(arguments.ledger, arguments.acks), arguments.seed, arguments.calls, sync)


if __name__ == "__main__":
    _main()
