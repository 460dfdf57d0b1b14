"""`make sim`: many seeds over all cores, or one with its trace.

python -m tests.simulation --seeds 2000 [--first 0]
python -m tests.simulation --seed 17
"""

import argparse
import sys

from tests.simulation.machine import Simulation
from tests.simulation.seeds import run_many
from tests.simulation.slot_stories import EVERY, told


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
        if arguments.seed % EVERY == 0:
            box = told(arguments.seed)
            print(
                "\n".join(
                    f"boot {number}: {slot}, default {default}" for number, (slot, default) in enumerate(box.boots)
                )
            )
        print(f"seed {arguments.seed}: good")
        return
    found = run_many(arguments.first, arguments.seeds)
    if found is not None:
        print(f"seed {found[0]} fails:\n{found[1]}\nReplay it with: make sim SEED={found[0]}")
        sys.exit(1)
    print(f"{arguments.seeds} seeds from {arguments.first}: good")


if __name__ == "__main__":
    main()
