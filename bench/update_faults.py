"""`make bench-faults`, its second part: updates of the built disk under power cuts, and by releases that are no good.

    python -m bench.update_faults [--only KIND]... [--first N] [--count N] [--until HH:MM] [--fresh]

A run is one disk that is booted, from where it was kept, in a virtual machine; what came of it is written to
build/switching/outcomes/KIND-NUMBER.json, and a second call goes on behind what is there. One that was bad is run
again. `--fresh` builds the disk anew, and begins anew; without it all runs are of the one that was built first. Kinds
take turns, so that a part of it is of all of them.
"""

import argparse
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from itertools import zip_longest
from pathlib import Path

import msgspec

from bench.ends import tidily
from tests.support.switching.proofs import KINDS, Outcome, run
from tests.support.switching.shelf import Shelf

PLACE = Path(__file__).resolve().parent.parent / "build/switching"
OUTCOMES = PLACE / "outcomes"


def main() -> None:
    """Run what was asked for. Exits 1 when anything was wrong."""
    arguments = _arguments()
    tidily()  # the machine that runs is switched off
    if arguments.fresh:
        shutil.rmtree(PLACE, ignore_errors=True)
    OUTCOMES.mkdir(parents=True, exist_ok=True)
    with closing(Shelf(PLACE)) as shelf:
        _go_on(shelf, arguments)
    sys.exit(1 if _sum_up() else 0)


def _go_on(shelf: Shelf, arguments: argparse.Namespace) -> None:
    """Runs that were not made, or were bad."""
    ends_at = _next(arguments.until) if arguments.until else None
    for kind, number in _wanted(arguments):
        if ends_at is not None and datetime.now() >= ends_at:
            print(f"it is {arguments.until}: a second call goes on here")
            break
        before = _outcome(kind, number)
        if before is None or before.wrong:
            _keep(run(shelf, kind, number))


def _next(clock: str) -> datetime:
    """When it is so late again: today, or tomorrow."""
    now = datetime.now()
    today = datetime.combine(now, datetime.strptime(clock, "%H:%M").time())
    return today if today > now else today + timedelta(days=1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", choices=tuple(KINDS), help="this kind; repeatable")
    parser.add_argument("--first", type=int, default=0, help="the first run's number")
    parser.add_argument("--count", type=int, help="how many of each kind (default: each kind's own number)")
    parser.add_argument("--until", default="", help="begin none after this time of day")
    parser.add_argument("--fresh", action="store_true", help="with a disk that is built now, from the beginning")
    return parser.parse_args()


def _wanted(arguments: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Runs of all kinds in turn."""
    chosen = arguments.only or list(KINDS)
    numbers = [
        [(kind, arguments.first + one) for one in range(arguments.count or KINDS[kind].total - arguments.first)]
        for kind in chosen
    ]
    for some in zip_longest(*numbers):
        yield from (one for one in some if one is not None)


def _file(kind: str, number: int) -> Path:
    return OUTCOMES / f"{kind}-{number:03}.json"


def _outcome(kind: str, number: int) -> Outcome | None:
    file = _file(kind, number)
    return msgspec.json.decode(file.read_bytes(), type=Outcome) if file.exists() else None


def _keep(one: Outcome) -> None:
    """On the disk at once, and shown."""
    file = _file(one.kind, one.number)
    part = file.with_suffix(".part")
    part.write_bytes(msgspec.json.format(msgspec.json.encode(one), indent=2) + b"\n")
    os.replace(part, file)
    seen = ", ".join(f"{name} {value}" for name, value in one.seen.items())
    print(
        f"{one.kind} {one.number}: {one.about}: {seen}; {one.seconds:.0f} s: {'BAD' if one.wrong else 'good'}",
        flush=True,
    )
    for problem in one.wrong:
        print(f"    {problem}", flush=True)


def _sum_up() -> int:
    """What there is by now, of all calls; returns how many are bad."""
    outcomes = [msgspec.json.decode(file.read_bytes(), type=Outcome) for file in sorted(OUTCOMES.glob("*.json"))]
    for name, kind in KINDS.items():
        some = [one for one in outcomes if one.kind == name]
        held = Counter(not one.wrong for one in some)
        print(f"{name:<12} {len(some):>4} of {kind.total:>3} runs, {held[True]:>4} held   {kind.what}")
    return sum(bool(one.wrong) for one in outcomes)


if __name__ == "__main__":
    main()
