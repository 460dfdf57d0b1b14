"""Many seeds over all cores."""

import logging
import multiprocessing
import os
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.machine import Simulation


def failure_of(seed: int) -> tuple[int, str] | None:
    """What is wrong with a seed, or None."""
    logging.disable()
    simulation = Simulation(seed)
    try:
        simulation.run()
    except BaseException:
        return seed, traceback.format_exc(limit=6)
    return None


def run_many(first: int, count: int) -> tuple[int, str] | None:
    """Run seeds on every core; the first failure found, or None."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        for found in pool.map(failure_of, range(first, first + count), chunksize=20):
            if found is not None:
                pool.shutdown(cancel_futures=True)
                return found
    return None
