"""`make soak`: an hour of operations and faults of every kind on one hosted capsule, and nothing may be left over.

    python -m bench.soak [--minutes 60] [--seed 1]

What it came to is in build/soak.json; a bad one leaves its journal, logs and trace under build/soak/.
"""

import argparse
import shutil
import sys
from functools import partial
from pathlib import Path

import msgspec

from tests.support.storm.soak import soak

BUILD = Path(__file__).resolve().parent.parent / "build"


def main() -> None:
    """Run one. Exits 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    keep = BUILD / "soak"
    shutil.rmtree(keep, ignore_errors=True)
    came = soak(arguments.seed, arguments.minutes, keep, partial(print, flush=True))
    (BUILD / "soak.json").write_bytes(msgspec.json.format(msgspec.json.encode(came), indent=2) + b"\n")
    one = came.storm
    print(
        f"{one.seconds / 60:.1f} min, seed {came.seed}: {one.operations} operations and {one.faults} faults, "
        f"{one.quiet_moments} quiet moments, {one.boots} microVMs booted, {one.foreign} changes by another hand, "
        f"{sum(came.visits.values())} looks, of which {sum(came.refused.values())} were refused; "
        f"MiB a further hour: capsuled {came.daemon_mib_an_hour:+.1f}, containerd {came.runtime_mib_an_hour:+.1f}"
    )
    print("\n".join(one.wrong) or "nothing was wrong, and nothing is left")
    sys.exit(1 if one.wrong else 0)


if __name__ == "__main__":
    main()
