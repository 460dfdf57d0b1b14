"""`make mutants`: plant each bug in a copy of the code, and say after how many seeds the simulation finds it.

python -m tests.mutants [NAME ...] [--seeds 20000] [--new]

What came of it is kept in found.json, and drawn as the table in docs/simulation.md. `--new` leaves out what was found.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants.mutant import Mutant
from tests.mutants.planted import MUTANTS
from tests.mutants.table import Found, draw, keep, kept

ROOT = Path(__file__).parents[2]
COPIED = (
    "channel", "copies", "sandbox", "effects", "gen", "journal", "projections", "capsuled", "capsulectl", "tests", "bench",
    "tools",
)  # fmt: skip
ERROR = re.compile(r"(?!Exception)[\w.]+: ")
FOUND = re.compile(r"^seed (\d+) fails:\n(.*?)^Replay it", re.S | re.M)


def main() -> None:
    """Exits 1 when one is not found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--seeds", type=int, default=20_000)
    parser.add_argument("--new", action="store_true")
    asked = parser.parse_args()
    os.nice(19)
    known = {name for name, found in kept().items() if found.told} if asked.new else set()
    wanted = [one for one in MUTANTS if one.name not in known and (not asked.names or one.name in asked.names)]
    unfound = [one.name for one in wanted if not _hunt(one, asked.seeds)]
    draw()
    if unfound:
        sys.exit(f"not found: {', '.join(unfound)}")


def _hunt(mutant: Mutant, seeds: int) -> bool:
    with tempfile.TemporaryDirectory(prefix="capsule-mutant-") as directory:
        copy = Path(directory)
        for name in COPIED:
            shutil.copytree(ROOT / name, copy / name)  # compiled modules, too: most bugs are found in a second
        for file, old, new in mutant.edits:
            code = (copy / file).read_text()
            assert code.count(old) == 1, f"{mutant.name}: its place in {file} is gone"
            (copy / file).write_text(code.replace(old, new))
        simulation = [sys.executable, "-m", "tests.simulation", "--seeds", str(seeds)]
        done = subprocess.run(simulation, cwd=copy, capture_output=True, text=True)
    found = FOUND.search(done.stdout)
    told = _last_line(found[2]) if found else (done.stdout + done.stderr).strip()[-300:]
    print(f"{mutant.name:<28} {'seed ' + found[1] if found else 'NOT FOUND':<12} {told}", flush=True)
    keep(mutant.name, Found(int(found[1]) + 1, told) if found else Found(seeds))
    return found is not None


def _last_line(text: str) -> str:
    """The error's own, also of one in a group, which ends with a frame."""
    lines = [line.strip(" |") for line in text.splitlines() if line.strip(" |+-")]
    errors = [line for line in lines if ERROR.match(line)]
    return (errors or lines or [""])[-1][:160]


if __name__ == "__main__":
    main()
