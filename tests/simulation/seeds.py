"""Many seeds over all cores."""

import logging
import multiprocessing
import os
import traceback
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.machine import Simulation
from tests.simulation.slot_stories import EVERY, told

CHUNK = 5


def failure_of(seed: int) -> tuple[int, str] | None:
    """What is wrong with a seed, or None."""
    before = logging.root.manager.disable
    logging.disable()
    simulation = Simulation(seed)
    try:
        simulation.run()
        if seed % EVERY == 0:
            told(seed)
    except BaseException:
        return seed, traceback.format_exc(limit=6)
    finally:
        logging.disable(before)
    return None


def run_many(first: int, count: int) -> tuple[int, str] | None:
    """Run seeds on every core; the first failure found, or None. The first few are run here: what is broken altogether
    is known before other processes have begun."""
    for seed in range(first, first + min(count, CHUNK)):
        if (found := failure_of(seed)) is not None:
            return found
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        for found in pool.map(failure_of, range(first + CHUNK, first + count), chunksize=CHUNK):
            if found is not None:
                pool.shutdown(cancel_futures=True)
                return found
    return None
