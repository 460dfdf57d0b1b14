"""`make fuzz`: random and mutated bytes, on every method and on the port.

python -m tests.fuzz [--calls 100000] [--connections 5000] [--seed N]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.calls import growth, house, run
from tests.fuzz.cases import fresh_seed
from tests.fuzz.port import strike
from tests.fuzz.verdict import HELD, problems, told


def main() -> None:
    """Run; exits 1 with what broke, and the seed that breaks it again."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--connections", type=int, default=5_000)
    parser.add_argument("--seed", type=int)
    arguments = parser.parse_args()
    seed = fresh_seed() if arguments.seed is None else arguments.seed
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="capsule-fuzz-") as scratch:
        outcome = run(Path(scratch) / "calls", seed, arguments.calls, pieces=10)
        found = problems(outcome)
        print(told(outcome), flush=True)
        with house(Path(scratch) / "port") as made:
            strike(made.address, seed, arguments.connections // 10)  # what is held from the first connections on
            before = made.settled()
            tls = strike(made.address, seed + 1, arguments.connections)
            after = made.settled()
            print(f"{arguments.connections:,} connections to the port, {tls:,} of them as far as TLS")
            for what in HELD:
                print(f"  {what:<16}{before[what]:,} {after[what]:,}")
            found += growth(before, after, arguments.connections)
    if found:
        print("\n".join(found))
        sys.exit(f"seed {seed}: {len(found)} things that may not happen")


if __name__ == "__main__":
    main()
