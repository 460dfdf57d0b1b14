"""`make sim`: many seeds over all cores, or one with its trace.

    python -m tests.simulation --seeds 2000 [--first 0]
    python -m tests.simulation --seed 17
"""

import argparse
import multiprocessing
import os
import sys
import traceback

from tests.simulation.machine import Simulation


def failure_of(seed: int) -> tuple[int, str] | None:
    """What is wrong with a seed, or None."""
    simulation = Simulation(seed)
    try:
        simulation.run()
    except BaseException:
        return seed, traceback.format_exc(limit=6)
    return None


def run_many(first: int, count: int) -> tuple[int, str] | None:
    """Run seeds on every core; the first failure found, or None."""
    with multiprocessing.get_context("spawn").Pool(os.cpu_count()) as pool:
        for found in pool.imap_unordered(failure_of, range(first, first + count), chunksize=20):
            if found is not None:
                pool.terminate()
                return found
    return None


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int)
    parser.add_argument("--seeds", type=int, default=2_000)
    parser.add_argument("--first", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.seed is not None:
        simulation = Simulation(arguments.seed)
        try:
            simulation.run()
        finally:
            print("\n".join(simulation.trace.lines))
        print(f"seed {arguments.seed}: good")
        return
    found = run_many(arguments.first, arguments.seeds)
    if found is not None:
        print(f"seed {found[0]} fails:\n{found[1]}\nReplay it with: make sim SEED={found[0]}")
        sys.exit(1)
    print(f"{arguments.seeds} seeds from {arguments.first}: good")


if __name__ == "__main__":
    main()
