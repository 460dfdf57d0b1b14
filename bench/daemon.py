"""daemon.ready: from the start of the process to its first answered call, with a million entries and with none.

Both were started and stopped once before: the million have their snapshot, as every journal has that was closed, and
their workloads' bridge is there. They run on a machine of their own (a network namespace) for that bridge's sake.
"""

import shutil
import socket
import time
from pathlib import Path

from bench.client import Client
from bench.past import past
from bench.report import Row, in_turn, row
from tests.support.daemon import Daemon
from tests.support.site import site

ROUNDS = 7
READY_S = 60


def _until_answered(daemon: Daemon) -> None:
    path = daemon.state / "capsule.sock"
    deadline = time.monotonic() + READY_S
    while True:
        assert daemon.process is not None and daemon.process.poll() is None, daemon.output()[-2000:]
        assert time.monotonic() < deadline, "it does not answer"
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(path))
            break
        except OSError:
            time.sleep(0.001)
    with Client(path) as client:
        client.info()


def _ready_ms(daemon: Daemon) -> float:
    begun = time.perf_counter()
    daemon.start(wait=False)
    _until_answered(daemon)
    milliseconds = (time.perf_counter() - begun) * 1e3
    daemon.stop()
    return milliseconds


def _prepared(scratch: Path, inside: tuple[str, ...]) -> Daemon:
    scratch.mkdir()
    daemon = Daemon(scratch, inside)
    daemon.state.mkdir()
    return daemon


def rows(directory: Path) -> list[Row]:
    """A million against none."""
    with site() as place:
        full, empty = (_prepared(directory / name, place.inside) for name in ("full", "empty"))
        shutil.copytree(past(), full.state / "journal")
        try:
            for one in (full, empty):
                _ready_ms(one)
            with_past, without = in_turn(ROUNDS, lambda: _ready_ms(full), lambda: _ready_ms(empty))
        finally:
            for one in (full, empty):
                one.close()
    return [row("daemon.ready", with_past, "ms", "the same with an empty journal", without, "<=1.5", "10^6 entries")]
