"""sim.rate: seeds of the simulation a second, on all cores, and on one."""

import os
import time
from collections.abc import Callable
from pathlib import Path

from bench.report import Row, in_turn, row
from tests.simulation.seeds import CHUNK, failure_among, run_many

ROUNDS = 3
SEEDS = 100


def rows(directory: Path) -> list[Row]:
    """Processes and their imports included, as in `make sim`."""

    def rate(simulate: Callable[[], object]) -> float:
        begun = time.perf_counter()
        assert not simulate(), "a seed fails: see make sim"
        return SEEDS / (time.perf_counter() - begun)

    def alone() -> bool:
        return any(failure_among(range(at, at + CHUNK)) for at in range(0, SEEDS, CHUNK))

    every, one = in_turn(ROUNDS, lambda: rate(lambda: run_many(0, SEEDS)), lambda: rate(alone))
    return [row("sim.rate", every, "seeds/s", "one core", one, note=f"on {os.cpu_count()} cores")]
