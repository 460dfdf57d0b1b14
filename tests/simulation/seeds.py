"""Many seeds over all cores."""

import gc
import logging
import multiprocessing
import os
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

from tests.simulation.machine import Simulation
from tests.simulation.slot_stories import EVERY, told
from tests.simulation.time import unswept

CHUNK = 5


def failure_of(seed: int) -> tuple[int, str] | None:
    """What is wrong with a seed, or None."""
    with _quiet():
        simulation = Simulation(seed)
        try:
            simulation.run()
            if seed % EVERY == 0:
                told(seed)
        except BaseException:
            return seed, traceback.format_exc(limit=6)
        return None


def failure_among(seeds: Sequence[int]) -> tuple[int, str] | None:
    """The first failure of a few seeds. What they leave in circles is collected behind them, not in their midst."""
    try:
        with unswept():
            return next(filter(None, map(failure_of, seeds)), None)
    finally:
        with _quiet():
            gc.collect()


@contextmanager
def _quiet() -> Iterator[None]:
    """What daemons log of all that befalls them is of no use here."""
    before = logging.root.manager.disable
    logging.disable()
    try:
        yield
    finally:
        logging.disable(before)


def run_many(first: int, count: int) -> tuple[int, str] | None:
    """Run seeds on every core; the first failure found, or None. The first few are run here: what is broken altogether
    is known before other processes have begun."""
    seeds = range(first, first + count)
    if (found := failure_among(seeds[:CHUNK])) is not None:
        return found
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        for found in pool.map(failure_among, [seeds[at : at + CHUNK] for at in range(CHUNK, count, CHUNK)]):
            if found is not None:
                pool.shutdown(cancel_futures=True)
                return found
    return None
