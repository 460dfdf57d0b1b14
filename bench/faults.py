"""`make bench-faults`: kills of a daemon under load, power cuts, storms; nothing acknowledged may be lost.

    python -m bench.faults [kills] [cuts] [volume-cuts] [storms] [--kills 500] [--cuts 200] [--volume-cuts 100]
                           [--storms 900] [--seed 1] [--fresh]
    python -m bench.faults kills --round 7       one round again, by its seed; so, too: storms --round 7
    python -m bench.faults cuts --kept DIRECTORY --seed N --cuts N      the images of a disk that a bad round has left

Kills, cuts (of the journal's disk, and of one with volumes) and a storm's operations are counted. It goes on where it
was stopped: a round that was good stands in build/bench-faults.json and is not done again, unless what is tested has
changed or `--fresh` is said; a bad one counts as bad until it was done again. A round takes as much memory and disk
whatever their number is, and what a good one used is removed; a bad one leaves its journal, logs and trace, or its
disk's log, under build/bench-faults/.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.ends import tidily
from tests.support.ordeal.trial import endure
from tests.support.power import trial as power
from tests.support.power.disk import Lacking, lacking
from tests.support.storm.trial import storm

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "bench-faults.json"
KEPT = ROOT / "build" / "bench-faults"


class Kind(NamedTuple):
    """What is counted of a kind, how many of them by default, and how many in a round. `cuts`: whose disk."""

    what: str
    total: int
    a_round: int
    cuts: power.Kind | None = None


KINDS = {
    "kills": Kind("kills", 500, 25),
    "cuts": Kind("power cuts", 200, 20, power.JOURNAL),
    "volume-cuts": Kind("power cuts of volumes", 100, 20, power.VOLUMES),
    "storms": Kind("operations and faults in storms", 900, 300),
}


class Round(msgspec.Struct):
    """One round and what came of it. `count` is of kills, images or operations; a storm's `calls` its quiet moments."""

    kind: str
    seed: int
    count: int
    seconds: float
    runtime_kills: int = 0
    calls: int = 0
    entries: int = 0
    wrong: list[str] = []


class Progress(msgspec.Struct):
    """What build/bench-faults.json holds. `tested` is a hash of the code: another one makes old rounds worthless."""

    tested: str
    counts: dict[str, int] = {}
    bad_rounds: int = 0
    skipped: str = ""
    rounds: list[Round] = []

    def add(self, one: Round) -> None:
        """Count a round, in place of a shorter one, and keep it on the disk at once."""
        self.rounds = [other for other in self.rounds if (other.kind, other.seed) != (one.kind, one.seed)]
        self.rounds.append(one)
        self.counts = {kind: sum(round.count for round in self.rounds if round.kind == kind) for kind in KINDS}
        self.bad_rounds = sum(bool(round.wrong) for round in self.rounds)
        self.save()

    def save(self) -> None:
        """Write the file."""
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def main() -> None:
    """Run what was asked for. Exits 1 when anything was wrong."""
    arguments = _arguments()
    tidily()
    if arguments.kept is not None:
        for kind in arguments.kinds:
            _judge_again(kind, arguments.kept, arguments.seed, vars(arguments)[kind])
        return
    if arguments.round is not None:
        for kind in arguments.kinds:
            _show(_run(kind, arguments.round, KINDS[kind].a_round))
        return
    progress = _begun(arguments.fresh)
    for kind in KINDS:
        if kind in arguments.kinds:
            _go_on(progress, kind, vars(arguments)[kind], arguments.seed)
    _sum_up(progress)
    sys.exit(1 if progress.bad_rounds else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="|".join(KINDS), help="only these kinds")
    for name, kind in KINDS.items():
        parser.add_argument(f"--{name}", dest=name, type=int, default=kind.total, help=f"how many {kind.what}")
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the others follow it")
    parser.add_argument("--round", type=int, help="run the round of this seed alone")
    parser.add_argument("--kept", type=Path, help="judge the images of a kept disk log again")
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    arguments = parser.parse_args()
    strange = set(arguments.kinds) - set(KINDS)
    if strange:
        parser.error(f"{strange.pop()} is none of {', '.join(KINDS)}")
    if arguments.kept is not None and (len(arguments.kinds) != 1 or KINDS[arguments.kinds[0]].cuts is None):
        parser.error("say of which kind of cuts the kept disk is")
    arguments.kinds = arguments.kinds or list(KINDS)
    return arguments


def _begun(fresh: bool) -> Progress:
    tested = _tested()
    if not fresh and OUTPUT.exists():
        progress = msgspec.json.decode(OUTPUT.read_bytes(), type=Progress)
        if progress.tested == tested:
            return progress
        print("what is tested has changed: beginning anew")
    shutil.rmtree(KEPT, ignore_errors=True)
    return Progress(tested)


def _tested() -> str:
    """A hash over everything whose faults this would find."""
    digest = hashlib.sha256()
    for package in ("journal", "projections", "channel", "sandbox", "effects", "capsuled", "tests/support", "bench"):
        for file in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _go_on(progress: Progress, kind: str, total: int, seed: int) -> None:
    """Rounds of one kind until there are enough; those that stand in `progress` already count."""
    if KINDS[kind].cuts is not None and (lacks := lacking()):
        progress.skipped = f"no power cuts: this machine lacks {lacks}"
        return
    done = {one.seed: one.count for one in progress.rounds if one.kind == kind and not one.wrong}
    for number, count in enumerate(_portions(total, KINDS[kind].a_round)):
        if done.get(seed + number, 0) >= count:
            continue
        try:
            one = _run(kind, seed + number, count)
        except Lacking as error:
            progress.skipped = f"no power cuts: this machine lacks {error}"
            return
        progress.add(one)
        _show(one)


def _portions(total: int, size: int) -> Iterator[int]:
    while total > 0:
        yield min(total, size)
        total -= size


def _run(kind: str, seed: int, count: int) -> Round:
    began = time.monotonic()
    keep = KEPT / f"{kind}-{seed}"
    shutil.rmtree(keep, ignore_errors=True)
    cuts = KINDS[kind].cuts
    if cuts is not None:
        one = _cuts(kind, cuts, seed, count, keep)
    else:
        one = _kills(seed, count, keep) if kind == "kills" else _storm(seed, count, keep)
    one.seconds = round(time.monotonic() - began, 1)
    return one


def _kills(seed: int, count: int, keep: Path) -> Round:
    outcome = endure(seed, count, keep)
    return Round(
        "kills", seed, outcome.kills, 0, outcome.runtime_kills, outcome.calls, outcome.entries, outcome.wrong
    )  # fmt: skip


def _storm(seed: int, count: int, keep: Path) -> Round:
    outcome = storm(seed, count, keep)
    return Round("storms", seed, outcome.operations, 0, 0, outcome.quiet_moments, wrong=outcome.wrong)


def _cuts(kind: str, lived: power.Kind, seed: int, count: int, keep: Path) -> Round:
    one = Round(kind, seed, 0, 0)
    with tempfile.TemporaryDirectory(prefix="capsule-cuts-") as name:
        scratch = Path(name)
        power.record(scratch, seed, kind=lived)
        for cut, verdict in power.verdicts(scratch, count, seed, lived):
            one.count += 1
            one.calls, one.entries = max(one.calls, verdict.acknowledged), max(one.entries, verdict.entries)
            one.wrong += [f"{cut}: {problem}" for problem in verdict.wrong]
        if one.wrong:
            for part in ("disk.log", "disk.base", "ledger"):
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(scratch / part, keep / part)
    return one


def _judge_again(kind: str, kept: Path, seed: int, count: int) -> None:
    """The same images of the same disk: a life does not come again by its seed alone, but its disk's log stays."""
    lived = KINDS[kind].cuts
    assert lived is not None
    for cut, verdict in power.verdicts(kept, min(count, KINDS[kind].a_round), seed, lived):
        print(cut, "; ".join(verdict.wrong) or "good")


def _show(one: Round) -> None:
    runtime = f", {one.runtime_kills} of containerd" if one.runtime_kills else ""
    if KINDS[one.kind].cuts is None:
        again = f"{one.kind} --round {one.seed}"
    else:
        again = f"{one.kind} --kept build/bench-faults/{one.kind}-{one.seed} --seed {one.seed} --{one.kind} {one.count}"
    seen = f"{one.calls} quiet moments" if one.kind == "storms" else f"{one.calls} acknowledged, {one.entries} entries"
    print(
        f"round {one.seed}: {one.count} {KINDS[one.kind].what}{runtime}, {seen}, "
        f"{one.seconds:.0f} s: {'good' if not one.wrong else f'BAD; again with: python -m bench.faults {again}'}",
        flush=True,
    )
    for problem in one.wrong[:10]:
        print(f"    {problem}", flush=True)


def _sum_up(progress: Progress) -> None:
    print(", ".join(f"{count} {KINDS[kind].what}" for kind, count in progress.counts.items() if count), end=": ")
    print(
        f"{progress.bad_rounds} rounds BAD" if progress.bad_rounds else "nothing lost, nothing altered, all as desired"
    )
    if progress.skipped:
        print(progress.skipped)
    print(f"{OUTPUT.relative_to(ROOT)} has the rounds")


if __name__ == "__main__":
    main()
