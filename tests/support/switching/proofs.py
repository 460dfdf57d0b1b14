"""The kinds of runs. Each takes a number, begins with a disk that was kept, and says what it saw and what was wrong; the
same number is the same run."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from journal.evidence import Cause
from tests.support.booted import Booted
from tests.support.power.slot_judge import Journal
from tests.support.switching.cuts import boundaries, planned
from tests.support.switching.judge import Choice, choice_of, is_whole, journal_of, problems, variables_of
from tests.support.switching.life import WINDOW_S
from tests.support.switching.machine import going_on, over, status, until_answers
from tests.support.switching.releases import BAD, GOOD, JUMPS, Release
from tests.support.switching.shelf import Shelf

CUTS = 150
BOUNDARIES, CYCLES = 20, 5
"""In a run."""
RETURNS_S = 900
LATE_S = 15
"""How long behind its deadline a system may go back: it looks every second, on a machine that does other things, too."""
YEARS_S = 9 * 365 * 86_400
BACK_BY_S = 3
"""By what an entry shows at least that the clock was set forwards, or back."""


class Outcome(msgspec.Struct):
    """Of one run. `seen`: what it came to, to be counted; `about` the run itself, in words."""

    kind: str
    number: int
    commit: str
    about: str = ""
    seconds: float = 0.0
    seen: dict[str, Any] = {}
    wrong: list[str] = []


class Kind(msgspec.Struct, frozen=True):
    """`what` in words, how many by default, and how one is run."""

    what: str
    total: int
    run: Callable[[Shelf, int, Outcome], None]


def run(shelf: Shelf, kind: str, number: int) -> Outcome:
    """One run; what goes wrong in it is in what it returns."""
    outcome = Outcome(kind, number, shelf.facts.commit)
    began = time.monotonic()
    try:
        KINDS[kind].run(shelf, number, outcome)
    except AssertionError as error:
        outcome.wrong.append(str(error))
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


# --- power cuts ------------------------------------------------------------------------------------------------------


def _cut(shelf: Shelf, number: int, outcome: Outcome) -> None:
    """The power went at some moment of a life; what is left is judged, and booted."""
    life = number // CUTS + 1
    cut = planned(shelf.steps, len(shelf.wound.operations), CUTS, life)[number % CUTS]
    outcome.about = f"{cut.phase}: {cut.step} (write {cut.at}), {cut.style} of what was not flushed"
    scratch = shelf.fresh_scratch()
    with shelf.wound.cut(cut.at, cut.style, Random(number)):
        choice, journal, wrong = _looked_at(shelf)
        outcome.wrong += wrong
        drive = over(shelf.wound.file, "raw", scratch / "disk.qcow2")
        machine = going_on(shelf.prepared, shelf.prepared / "variables.fd", scratch, drive)
        machine.switch_on()
        try:
            found = until_answers(machine)
            outcome.seen = {"phase": cut.phase, "boots": found["activeSlot"]}
            outcome.wrong += _booted_wrongly(machine, found, choice, journal, outcome)
        finally:
            machine.pull_the_plug()


def _looked_at(shelf: Shelf) -> tuple[Choice, Journal, list[str]]:
    """The wound disk, without a boot."""
    disk = shelf.wound.file
    variables = variables_of(disk, shelf.scratch)
    choice = choice_of(variables)
    journal = journal_of(disk, shelf.facts, shelf.scratch)
    return choice, journal, problems(choice, variables, journal, is_whole(disk, choice.slot, shelf.members))


def _booted_wrongly(
    machine: Booted, found: dict[str, Any], choice: Choice, journal: Journal, outcome: Outcome
) -> list[str]:
    """What is not as it has to be once a machine is up behind a power cut."""
    wrong = []
    if found["activeSlot"] != choice.slot:
        wrong.append(f"{found['activeSlot']} runs, and the boot loader's variables say {choice.slot}")

    def settled() -> bool:
        now = status(machine)
        return bool(now.get("tentative")) or "current" not in now

    machine.until(settled, "the update that was under way has an end, or is on trial")
    now = status(machine)
    if bool(now.get("tentative")) != bool(choice.update) or now["defaultSlot"] != choice.default:
        wrong.append(f"tentative: {now.get('tentative')}, default: {now['defaultSlot']}; to be expected: {choice}")
    last = now.get("last", {})
    outcome.seen["last"] = last.get("phase", "")
    if last.get("phase") == "rolled-back" and not now.get("tentative"):
        outcome.seen["cause"] = f"{last['cause']}: {last['confidence']}"
        wrong += _dishonest(last, journal)
    verified = machine.ctl("journal", "verify")
    if verified.returncode:
        wrong.append(f"journal verify: {verified.stdout}{verified.stderr}")
    return wrong


def _dishonest(last: dict[str, Any], journal: Journal) -> list[str]:
    """Why it went back, of a system that nothing was wrong with, and whose one boot was taken: an operator sent it
    back, or the power went."""
    true: Cause = "operator" if journal.of("update.returning", int(last["uid"])) else "power-lost"
    if last["cause"] in (true, "unknown"):
        return []
    return [f"it says that it went back for {last['cause']} ({last['confidence']}), and it was {true}"]


def _boundaries(shelf: Shelf, number: int, outcome: Outcome) -> None:
    """Every write boundary of staging, arming and confirming, by what is on the disk. Those of the last run may be
    fewer, or none: how many a life has is known when it was lived."""
    cuts = boundaries(shelf.steps)[number * BOUNDARIES :][:BOUNDARIES]
    if not cuts:
        outcome.about = "this life has no more"
        return
    outcome.about = f"{cuts[0].phase}, writes {cuts[0].at} to {cuts[-1].at}"
    chosen: dict[str, int] = {}
    for cut in cuts:
        shelf.fresh_scratch()
        with shelf.wound.cut(cut.at, cut.style, Random(number)):
            choice, _, wrong = _looked_at(shelf)
        outcome.wrong += [f"before write {cut.at}, {cut.style}: {problem}" for problem in wrong]
        name = f"{choice.slot}{' on trial' if choice.update else ''}"
        chosen[name] = chosen.get(name, 0) + 1
    outcome.seen = {"images": len(cuts), **chosen}


# --- releases --------------------------------------------------------------------------------------------------------


def _bad_release(shelf: Shelf, number: int, outcome: Outcome) -> None:
    """One that is no good: the system before is back without anybody's help, and says why."""
    release = BAD[number % len(BAD)]
    outcome.about = release.name
    with _armed(shelf, release) as machine:
        began = time.monotonic()
        until_answers(machine, "slot_a", seconds=RETURNS_S)
        outcome.seen["back_s"] = round(time.monotonic() - began)
        machine.until(lambda: status(machine)["last"]["phase"] == "rolled-back", "the old system says why it is back")
        last = status(machine)["last"]
        assert last["commit"] == GOOD.commit, f"what went back is {last['commit']}"
        outcome.seen |= {"release": release.name, "cause": last["cause"], "confidence": last["confidence"]}
        if last["cause"] not in (release.cause, "unknown"):
            outcome.wrong.append(f"it says {last['cause']} ({last['confidence']}), and it was {release.cause}")
        machine.good("wait", "counter", "--for", "running", "--timeout", "300", timeout=400)
        machine.good("journal", "verify")


@contextmanager
def _armed(shelf: Shelf, release: Release) -> Iterator[Booted]:
    """A machine on which it was just pushed, and whose power then went; it is switched on."""
    scratch = shelf.fresh_scratch()
    with shelf.pushed(release) as drive:
        machine = going_on(shelf.prepared, shelf.prepared / "variables.fd", scratch, drive)
        machine.switch_on()
        try:
            yield machine
        finally:
            machine.pull_the_plug()


def _clock(shelf: Shelf, number: int, outcome: Outcome) -> None:
    """The clock jumps ten years while a new system is on trial. Nobody confirms it, and it goes back when it would have.
    By then the clock is another one than its operator's, whose calls it refuses: the disk says how it was."""
    release = JUMPS[number % len(JUMPS)]
    outcome.about = release.name
    with _armed(shelf, release) as machine:
        machine.until_shown(r"system +\S+ \S+, slot_b")
        machine.until_shown(r"system +\S+ \S+, slot_a", RETURNS_S)
        machine.monitor("quit")
        machine.until_off()
        journal = journal_of(machine.place / "disk.qcow2", shelf.facts, shelf.scratch)
    outcome.wrong += list(journal.wrong)
    uid = journal.of("update.begun")[-1].seq
    (started,) = [one for one in journal.of("boot.started", uid) if one.fields.get("tentative")]
    (returning,), (back,) = journal.of("update.returning", uid), journal.of("update.rolled_back", uid)
    # Of what an entry says of the time the clock behind the journal's own end is no part: one that was set back stands.
    jumped_s = ((returning.at_ns - started.at_ns) - (returning.mono_ns - started.mono_ns)) / 1e9
    late_s = returning.mono_ns / 1e9 - release.window_s
    outcome.seen = {"jumped_s": round(jumped_s), "late_s": round(late_s, 1)}
    outcome.seen["cause"] = back.fields["cause"]
    if jumped_s < YEARS_S if release.name == "clock-forward" else jumped_s > -BACK_BY_S:
        outcome.wrong.append("the clock has not jumped while it was on trial")
    if started.fields["deadline_mono_ns"] != release.window_s * 10**9 or not 0 <= late_s <= LATE_S:
        outcome.wrong.append(f"its time was over {late_s:.1f} s behind its deadline")
    if back.fields["cause"] not in (release.cause, "unknown"):
        outcome.wrong.append(f"it says {back.fields['cause']}, and it was {release.cause}")


# --- cycles ----------------------------------------------------------------------------------------------------------


def _cycles(shelf: Shelf, number: int, outcome: Outcome) -> None:
    """Some more updates of one machine, whose disk stays from one run to the next. It stays on in between."""
    place = shelf.place / "cycles"
    place.mkdir(exist_ok=True)
    disk = place / "disk.qcow2"
    bundle = shelf.bundle(GOOD)
    scratch = shelf.fresh_scratch()
    if not disk.exists():
        over(shelf.prepared / "disk.raw", "raw", disk)
        shutil.copyfile(shelf.prepared / "variables.fd", place / "variables.fd")
    machine = going_on(shelf.prepared, place / "variables.fd", scratch, f"format=qcow2,cache=unsafe,file={disk}")
    machine.switch_on()
    try:
        until_answers(machine)
        machine.until(machine.is_up, "the boot is complete")
        outcome.about = f"{CYCLES} updates"
        for _ in range(CYCLES):
            _cycle(machine, bundle, outcome)
        machine.good("journal", "verify")
        machine.good("capsule", "poweroff", "--yes")
        machine.until_off()
    finally:
        machine.pull_the_plug()


def _cycle(machine: Booted, bundle: Path, outcome: Outcome) -> None:
    """Into the other slot, by the operator's own words. What its journal grew by is noted."""
    first, before = status(machine)["activeSlot"], machine.data("journal", "stats")
    options = ("--window", str(WINDOW_S), "--auto-confirm", "3s", "--allow-downgrade", "--yes", "--timeout", "400")
    machine.good("update", "push", str(bundle), *options, timeout=1800)
    machine.good("wait", "counter", "--for", "running", "--timeout", "300", timeout=400)
    now, after = status(machine), machine.data("journal", "stats")
    if now["activeSlot"] == first or now["defaultSlot"] != now["activeSlot"] or now.get("tentative"):
        outcome.wrong.append(f"from {first}: it was not confirmed: {now}")
    for name, what in (("entries", "lastSeq"), ("bytes", "usedBytes")):
        outcome.seen.setdefault(name, []).append(int(after[what]) - int(before[what]))


KINDS = {
    "cuts": Kind("power cuts of an update, each booted", CUTS, _cut),
    "boundaries": Kind(
        f"times {BOUNDARIES} write boundaries of staging, arming and confirming, judged by the disk", 20, _boundaries
    ),
    "releases": Kind(f"releases that are no good, {len(BAD)} kinds in turn", 5 * len(BAD), _bad_release),
    "clocks": Kind("jumps of the clock by ten years in a trial", 10, _clock),
    "cycles": Kind(f"times {CYCLES} updates from one slot to the other", 6, _cycles),
}
