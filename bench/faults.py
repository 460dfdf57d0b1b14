"""`make bench-faults`: 500 kills of a daemon under load and 200 power cuts; nothing acknowledged may be lost.

    python -m bench.faults [kills] [cuts] [--kills 500] [--cuts 200] [--seed 1] [--fresh]
    python -m bench.faults kills --round 7       one round again, by its seed
    python -m bench.faults --kept DIRECTORY --seed N --cuts N      the images of a disk that a bad round has left

It goes on where it was stopped: a round that is done stands in build/bench-faults.json and is not done again, unless
what is tested has changed or `--fresh` is said. A round takes as much memory and disk whatever their number is, and
what a good one used is removed; a bad one leaves its journal and logs, or its disk's log, under build/bench-faults/.
"""

import argparse
import hashlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tests.support.ordeal.trial import endure
from tests.support.power.disk import Lacking, lacking
from tests.support.power.trial import record, verdicts

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "build" / "bench-faults.json"
KEPT = ROOT / "build" / "bench-faults"
KINDS = ("kills", "cuts")
KILLS_A_ROUND = 25
CUTS_A_ROUND = 20


class Round(msgspec.Struct):
    """One round and what came of it. `count` is of kills or images."""

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
    kills: int = 0
    cuts: int = 0
    bad_rounds: int = 0
    skipped: str = ""
    rounds: list[Round] = []

    def add(self, one: Round) -> None:
        """Count a round, in place of a shorter one, and keep it on the disk at once."""
        self.rounds = [other for other in self.rounds if (other.kind, other.seed) != (one.kind, one.seed)]
        self.rounds.append(one)
        self.kills = sum(round.count for round in self.rounds if round.kind == "kills")
        self.cuts = sum(round.count for round in self.rounds if round.kind == "cuts")
        self.bad_rounds = sum(bool(round.wrong) for round in self.rounds)
        self.save()

    def save(self) -> None:
        """Write the file."""
        OUTPUT.parent.mkdir(exist_ok=True)
        OUTPUT.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def main() -> None:
    """Run what was asked for. Exits 1 when anything was wrong."""
    arguments = _arguments()
    if arguments.kept is not None:
        _judge_again(arguments.kept, arguments.seed, arguments.cuts)
        return
    if arguments.round is not None:
        for kind in arguments.kinds:
            _show(_run(kind, arguments.round, KILLS_A_ROUND if kind == "kills" else CUTS_A_ROUND))
        return
    progress = _begun(arguments.fresh)
    for kind, total in (("kills", arguments.kills), ("cuts", arguments.cuts)):
        if kind in arguments.kinds:
            _go_on(progress, kind, total, arguments.seed)
    _sum_up(progress)
    sys.exit(1 if progress.bad_rounds else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("kinds", nargs="*", metavar="kills|cuts", help="one kind alone")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--cuts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the others follow it")
    parser.add_argument("--round", type=int, help="run the round of this seed alone")
    parser.add_argument("--kept", type=Path, help="judge the images of a kept disk log again")
    parser.add_argument("--fresh", action="store_true", help="begin anew")
    arguments = parser.parse_args()
    strange = set(arguments.kinds) - set(KINDS)
    if strange:
        parser.error(f"{strange.pop()} is neither of {' and '.join(KINDS)}")
    arguments.kinds = arguments.kinds or KINDS
    return arguments


def _begun(fresh: bool) -> Progress:
    tested = _tested()
    if not fresh and OUTPUT.exists():
        progress = msgspec.json.decode(OUTPUT.read_bytes(), type=Progress)
        if progress.tested == tested:
            progress.rounds = [one for one in progress.rounds if not one.wrong]
            return progress
        print("what is tested has changed: beginning anew")
    shutil.rmtree(KEPT, ignore_errors=True)
    return Progress(tested)


def _tested() -> str:
    """A hash over everything whose faults this would find."""
    digest = hashlib.sha256()
    for package in ("journal", "projections", "effects", "capsuled", "tests/support", "bench"):
        for file in sorted((ROOT / package).rglob("*.py")):
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _go_on(progress: Progress, kind: str, total: int, seed: int) -> None:
    """Rounds of one kind until there are enough; those that stand in `progress` already count."""
    if kind == "cuts" and (lacks := lacking()):
        progress.skipped = f"no power cuts: this machine lacks {lacks}"
        return
    done = {one.seed: one.count for one in progress.rounds if one.kind == kind}
    size = KILLS_A_ROUND if kind == "kills" else CUTS_A_ROUND
    for number, count in enumerate(_portions(total, size)):
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
    one = _kills(seed, count, keep) if kind == "kills" else _cuts(seed, count, keep)
    one.seconds = round(time.monotonic() - began, 1)
    return one


def _kills(seed: int, count: int, keep: Path) -> Round:
    outcome = endure(seed, count, keep)
    return Round(
        "kills", seed, outcome.kills, 0, outcome.runtime_kills, outcome.calls, outcome.entries, outcome.wrong
    )  # fmt: skip


def _cuts(seed: int, count: int, keep: Path) -> Round:
    one = Round("cuts", seed, 0, 0)
    with tempfile.TemporaryDirectory(prefix="capsule-cuts-") as name:
        scratch = Path(name)
        record(scratch, seed)
        for cut, verdict in verdicts(scratch, count, seed):
            one.count += 1
            one.calls, one.entries = max(one.calls, verdict.acknowledged), max(one.entries, verdict.entries)
            one.wrong += [f"{cut}: {problem}" for problem in verdict.wrong]
        if one.wrong:
            for part in ("disk.log", "disk.base", "ledger"):
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(scratch / part, keep / part)
    return one


def _judge_again(kept: Path, seed: int, count: int) -> None:
    """The same images of the same disk: a life does not come again by its seed alone, but its disk's log stays."""
    for cut, verdict in verdicts(kept, min(count, CUTS_A_ROUND), seed):
        print(cut, "; ".join(verdict.wrong) or "good")


def _show(one: Round) -> None:
    runtime = f", {one.runtime_kills} of containerd" if one.runtime_kills else ""
    kept = f"--kept build/bench-faults/cuts-{one.seed} --seed {one.seed} --cuts {one.count}"
    again = f"again with: python -m bench.faults {f'kills --round {one.seed}' if one.kind == 'kills' else kept}"
    what = "kills" if one.kind == "kills" else "power cuts"
    print(
        f"round {one.seed}: {one.count} {what}{runtime}, {one.calls} calls acknowledged, {one.entries} entries, "
        f"{one.seconds:.0f} s: {'good' if not one.wrong else 'BAD; ' + again}",
        flush=True,
    )
    for problem in one.wrong[:10]:
        print(f"    {problem}", flush=True)


def _sum_up(progress: Progress) -> None:
    calls = sum(one.calls for one in progress.rounds)
    print(f"{progress.kills} kills, {progress.cuts} power cuts, {calls} calls acknowledged: ", end="")
    print(
        f"{progress.bad_rounds} rounds BAD" if progress.bad_rounds else "nothing lost, nothing altered, all as desired"
    )
    if progress.skipped:
        print(progress.skipped)
    print(f"{OUTPUT.relative_to(ROOT)} has the rounds")


if __name__ == "__main__":
    main()
