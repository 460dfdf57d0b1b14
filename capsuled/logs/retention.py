"""What must go so that a workload's logs keep their bound: a plan from sizes to cuts. Pure.

Whole runs go first, the oldest first; then the front of the run before the present one, and of the present one. The run
before keeps a quarter of the bound as long as it needs it: it is the one that says why it ended. Within a run the
smaller stream is spared: a flood on one stream costs the other nothing up to half of the room.
"""

from typing import Final

import msgspec

RUNS_KEPT: Final = 50
"""A workload that restarts all the time keeps so many logs, however small."""

INDEX_PART: Final = 8
"""An index may take one part in so many of the bound; behind that, old lines lose their exact times."""


class RunSize(msgspec.Struct, frozen=True):
    """What one run's log takes, in bytes."""

    run: int
    out: int
    err: int
    index: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.out + self.err + self.index


class Cut(msgspec.Struct, frozen=True):
    """A run's log shall keep so many bytes of each stream, its newest; `whole`: nothing is kept."""

    run: int
    keep_out: int = 0
    keep_err: int = 0
    whole: bool = False


def over(bound: int, sizes: list[RunSize]) -> bool:
    """Whether anything must go."""
    return len(sizes) > RUNS_KEPT or sum(size.total for size in sizes) > bound


def cuts(bound: int, sizes: list[RunSize]) -> list[Cut]:
    """What must go. `sizes` is in the order of runs; the last one is the present run, and is never removed whole.

    A run that is cut is cut an eighth below what it may have, so that cutting is rare.
    """
    planned: list[Cut] = []
    kept = list(sizes)
    while len(kept) > RUNS_KEPT or (len(kept) > 2 and sum(size.total for size in kept) > bound):
        planned.append(Cut(kept.pop(0).run, whole=True))
    if not kept or sum(size.total for size in kept) <= bound:
        return planned
    present = kept[-1]
    room = bound
    if len(kept) == 2:
        before = kept[0]
        may = max(bound // 4, bound - present.total)
        if before.total > may:
            planned.append(_cut(before, may))
        room -= min(before.total, may)
    if present.total > room:
        planned.append(_cut(present, room))
    return planned


def _cut(size: RunSize, may: int) -> Cut:
    room = max(0, may - may // 8 - size.index)
    keep_err = min(size.err, max(room // 2, room - size.out))
    return Cut(size.run, min(size.out, room - keep_err), keep_err)
