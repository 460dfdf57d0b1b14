"""At which moments of a life the power goes, and in which way: at every boundary of its phases, and at random."""

from collections.abc import Sequence
from itertools import pairwise
from random import Random

import msgspec

from tests.support.power.cuts import STYLES
from tests.support.switching.life import Step

A_BATCH = 10
_SOME = ("none", "torn", "all")


class Cut(msgspec.Struct, frozen=True):
    """Before operation `at` of the disk's log; `style` says what is left of the writes that were not flushed, `phase`
    and `step` where that is."""

    at: int
    style: str
    phase: str
    step: str


def planned(steps: Sequence[Step], end: int, count: int, seed: int) -> list[Cut]:
    """`count` of them, every other one right before or behind a boundary, and the rest spread over the phases. Each ten
    go forwards through the life, from beginning to end, so that any part of them is of all of it."""
    random = Random(seed)
    phases = list(dict.fromkeys(step.phase for step in steps))
    begins = [next(step.at for step in steps if step.phase == phase) for phase in phases]
    spans = list(zip(phases, pairwise((*begins, end)), strict=True))
    cuts = []
    for number in range(count):
        style = random.choice(STYLES)
        if number % 2 == 0:
            step = steps[number // 2 % len(steps)]
            behind = random.choice((0, 1))
            cuts.append(
                Cut(step.at + behind, style, step.phase, f"{'behind' if behind else 'before'} {step.what.strip()}")
            )
        else:
            phase, (first, last) = spans[number // 2 % len(spans)]
            at = random.randrange(first, last)
            last_step = [step for step in steps if step.at < at]
            cuts.append(
                Cut(at, style, phase, f"after {last_step[-1].what.strip()}" if last_step else "at its beginning")
            )
    cuts.sort(key=lambda one: one.at)
    batches = -(-count // A_BATCH)
    return [cut for batch in range(batches) for cut in cuts[batch::batches]]


def boundaries(steps: Sequence[Step]) -> list[Cut]:
    """Before every write and flush from an update's first entry to its being armed, of the boot loader's own, and from
    what the update is confirmed by to its being so; and the same of the way back. With none of what was not flushed,
    with all of it and with some sectors; while the slot is written, with one of these by turns."""
    named = [step.what for step in steps]
    again = named.index("update.begun", 1)
    taken = named.index("next_slot=")
    found = []
    for first, last in (
        (0, named.index("update.armed")),
        (taken, taken),
        (named.index("update.confirming"), named.index("update.confirmed")),
        (again, named.index("update.armed", again)),
        (named.index("next_slot=", again), named.index("next_slot=", again)),
    ):
        begin, end = steps[first], steps[last]
        staged = next((step.at for step in steps[first:last] if step.what == "update.staged"), 0)
        for at in range(begin.at, end.at + 2):
            styles = (_SOME[at % len(_SOME)],) if at < staged else _SOME
            found += [Cut(at, style, begin.phase, f"{begin.what} to {end.what}") for style in styles]
    return found
