"""`make soak`: operations and faults of every kind for an hour, hosted or on the built disk; nothing may be left over.

    python -m bench.soak [hosted|booted] [--minutes 60] [--seed 1]

What it came to is in build/soak-KIND.json; a bad one leaves what it was looked into by under build/soak/.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from bench.ends import tidily
from tests.support.booted import Booted, built
from tests.support.soak import booted, hosted

BUILD = Path(__file__).resolve().parent.parent / "build"
KEPT = BUILD / "soak"


def main() -> None:
    """Run one. Exits 1 when anything was wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kind", nargs="?", choices=("hosted", "booted"), default="hosted")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.minutes <= 0:
        parser.error("--minutes is more than 0")
    if os.geteuid() != 0:
        raise SystemExit("the soak must run as root: it makes namespaces, mounts and machines of its own")
    tidily()
    shutil.rmtree(KEPT, ignore_errors=True)
    run = _hosted if arguments.kind == "hosted" else _booted
    wrong = run(arguments.seed, arguments.minutes)
    print("\n".join(wrong) or "nothing was wrong, and nothing is left")
    sys.exit(1 if wrong else 0)


def _hosted(seed: int, minutes: float) -> list[str]:
    came = hosted.soak(seed, minutes, KEPT, partial(print, flush=True))
    _keep("hosted", came)
    one = came.storm
    print(
        f"{one.seconds / 60:.1f} min, seed {seed}: {one.operations} operations and {one.faults} faults, "
        f"{one.quiet_moments} quiet moments, {one.boots} microVMs booted, {one.foreign} changes by another hand, "
        f"{sum(came.visits.values())} looks, of which {sum(came.refused.values())} were refused; "
        f"MiB a further hour: {', '.join(f'{name} {more:+.1f}' for name, more in came.mib_an_hour().items())}"
    )
    return one.wrong


def _booted(seed: int, minutes: float) -> list[str]:
    disk = built()
    with tempfile.TemporaryDirectory(prefix="capsule-soak-") as scratch:
        machine = Booted(Path(scratch), disk)
        machine.switch_on()
        try:
            machine.adopt()
            machine.push_image("demo:1")
            came = booted.soak(machine, seed, minutes, partial(print, flush=True))
            if came.wrong:
                _look_into(machine)
        finally:
            machine.pull_the_plug()
    _keep("booted", came)
    print(
        f"{came.seconds / 60:.1f} min, seed {seed}: {came.operations} operations and {came.faults} faults, "
        f"{came.quiet_moments} quiet moments, {came.entries} entries; {came.ends}"
    )
    return came.wrong


def _look_into(machine: Booted) -> None:
    """What a machine that is not as it should be says of itself, while it can."""
    KEPT.mkdir(parents=True, exist_ok=True)
    (KEPT / "console").write_text(machine.console)
    for name, command in (("history", ("history", "-n", "400")), ("logs", ("capsule", "logs", "-n", "400"))):
        with suppress(subprocess.TimeoutExpired):
            done = machine.ctl(*command)
            (KEPT / name).write_text(done.stdout + done.stderr)


def _keep(kind: str, came: object) -> None:
    (BUILD / f"soak-{kind}.json").write_bytes(msgspec.json.format(msgspec.json.encode(came), indent=2) + b"\n")


if __name__ == "__main__":
    main()
